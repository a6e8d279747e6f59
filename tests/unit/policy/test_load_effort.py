"""Loading a rule costs no more Python than it did: numbers of calls, the same on every machine and under any load."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS, body_of_type
from tests.worlds.effort import calls

#: Calls for a rule of two fields, in both notations of YAML.
LOADING, COMPILING = 112, 47
#: What a small change may add.  A change that spares calls lowers the numbers above.
ROOM = 1.05
FLOW = "    - rule: {{ipv4_src: 10.0.{}.{}, tcp_dst: {}, actions: {{allow: 1}}}}\n"
BLOCK = "    - rule:\n        ipv4_src: 10.0.{}.{}\n        tcp_dst: {}\n        actions:\n          allow: 1\n"


def policy(notation: str, rules: int) -> str:
    head = "version: 1\nvsi_type: {type_id: 1, version: 1, name: web}\nfrom_vm:\n  rules:\n"
    return head + "".join(notation.format(number >> 8, number & 255, number + 1) for number in range(rules))


def efforts(notation: str, rules: int) -> tuple[int, int]:
    """Calls for loading a policy, and for compiling it."""
    text = policy(notation, rules)
    # Models of pydantic and cached values are made once.
    policies, _ = load_policies([("x", text)], SECTIONS)
    assert policies is not None
    (vsi_type,) = policies.types.values()
    return calls(lambda: load_policies([("x", text)], SECTIONS)), calls(lambda: body_of_type(vsi_type, 1))


@pytest.mark.parametrize("notation", [FLOW, BLOCK], ids=["flow", "block"])
def test_a_rule_takes_no_more_calls_than_before(notation: str) -> None:
    few, many = efforts(notation, 100), efforts(notation, 600)
    loading, compiling = ((more - less) / 500 for less, more in zip(few, many, strict=True))
    assert loading <= ROOM * LOADING
    assert compiling <= ROOM * COMPILING
