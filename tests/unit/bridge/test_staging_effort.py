"""Staging a body again costs no Python for each of its rules: a number of calls, the same under any load."""

from __future__ import annotations

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from tests.worlds.bridge import Vm
from tests.worlds.staging_path import StagingPath

#: Calls for 100 rules, which are a page of a body.
MEASURED = 57
#: What a small change may add.  A change that spares calls lowers the number above.
ROOM = 1.05
HEAD = "version: 1\nvsi_type: {type_id: 9, version: 1, name: web}\nto_vm:\n  rules:\n"
RULE = "    - rule: {{ipv4_src: 10.0.{}.{}, tcp_dst: 443, actions: {{allow: 1}}}}\n"


def efforts(rules: int) -> list[int]:
    """Calls of the second and the third staging of a type with so many rules."""
    text = HEAD + "".join(RULE.format(number >> 8, number & 255) for number in range(rules))
    policies, _ = load_policies([("web", text)], SECTIONS)
    assert policies is not None
    (key,) = policies.types
    path = StagingPath(policies)
    path.stage(Vm(1, key), measured=False)
    return [path.stage(Vm(number, key)) for number in (2, 3)]


def test_a_page_that_is_staged_again_takes_no_more_calls_than_before() -> None:
    # Actions of a VSI are encoded once in a process, whatever switch has them: not only for the first of the two.
    efforts(100)
    few, many = efforts(100), efforts(600)
    for less, more in zip(few, many, strict=True):
        assert (more - less) / 5 <= ROOM * MEASURED
