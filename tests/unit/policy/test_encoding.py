"""VSI types as JSON and back, of every shipped policy and of every key; what is no type is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ryu_apps.evb.policy.encoding import decode_type, encode_type
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import SECTIONS

POLICIES = sorted((Path(__file__).parents[3] / "policies").rglob("*.yaml"))
EVERY_KEY = """\
version: 1
vsi_type: {type_id: 70, version: 2, name: "é\\u2028\\n"}
stage_on: preassociate
null_vid: keep
notify_displaced: never
trigger: single
anti_spoofing: {mac: false}
sets: {db: {types: [1, 2/3], labels: [x]}}
addresses: ['fd00::/8', 10.0.0.0/8]
labels: [a]
roles: [router]
network: {vlan: [5, 6], pcp: 3}
from_vm:
  rules:
    - rule: {ipv6_src: [$db, 'fe80::/10'], description: both, actions: {allow: 1}}
    - rule: {icmpv6_type: 135, ipv6_nd_target: 'fe80::1', actions: {allow: 0}}
to_vm: {default: allow}
"""


def loaded(text: str) -> VsiType:
    policies, mistakes = load_policies([("x", text)], SECTIONS)
    assert policies is not None, mistakes
    (vsi_type,) = policies.types.values()
    return vsi_type


@pytest.mark.parametrize("text", [EVERY_KEY, *(path.read_text() for path in POLICIES)])
def test_a_type_comes_back_as_it_was(text: str) -> None:
    vsi_type = loaded(text)
    encoded = encode_type(vsi_type)
    assert b"\n" not in encoded
    # Not only equal: numbers are no booleans, and lists no tuples.
    assert repr(decode_type(encoded, SECTIONS)) == repr(replace(vsi_type, text=""))


def test_every_service_is_among_the_shipped_policies() -> None:
    used = {name for path in POLICIES for name, _ in loaded(path.read_text()).services}
    assert used == {section.name for section in SECTIONS}


@pytest.mark.parametrize(
    ("key", "value"),
    [("key", [1]), ("from_vm", 5), ("services", [["no_service", {}]]), ("services", [["bandwidth", 5]]), ("name", 5)],
)
def test_what_is_no_type_is_refused(key: str, value: object) -> None:
    whole = json.loads(encode_type(loaded(EVERY_KEY)))
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's words
        decode_type(json.dumps({**whole, key: value}).encode(), SECTIONS)


def test_the_digest_of_a_type_is_what_it_was_when_switches_were_given_its_rules() -> None:
    """Records of VSIs name their types by it, also those of an earlier version."""
    (policy,) = (path for path in POLICIES if path.stem == "web_server_stateful")
    assert loaded(policy.read_text()).digest.startswith("2252403d909f6b97")
