"""From a policy's rules to the entries of the two ACL tables."""

from __future__ import annotations

import pytest

from ryu_apps.evb.flow.rule import ANY_TAGGED, VLAN_PRESENT, MatchFields, Rule, match
from ryu_apps.evb.pipeline.tables import Direction, Priority, Table, type_metadata
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.acl import ACL, TOP_PRIORITY

EPOCH = 3


def compiled(text: str) -> list[Rule]:
    head = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\nneighbour_discovery: false\n"
    policies, diagnostics = load_policies([("p", head + text)])
    assert policies is not None, diagnostics
    return list(ACL.per_type(next(iter(policies.types.values())), EPOCH))


def from_vm(*rules: str) -> list[Rule]:
    lines = "".join(f"    - rule: {{{rule}, actions: {{allow: 1}}}}\n" for rule in rules)
    return [rule for rule in compiled(f"from_vm:\n  rules:\n{lines}") if rule.table == Table.ACL_FROM]


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ("vlan_vid: 100, eth_type: arp", {"eth_type": 0x806, "vlan_vid": VLAN_PRESENT | 100}),
        ("vlan_vid: 96-111, eth_type: arp", {"eth_type": 0x806, "vlan_vid": (VLAN_PRESENT | 96, VLAN_PRESENT | 0xFF0)}),
        ("vlan_pcp: 3, eth_type: arp", {"eth_type": 0x806, "vlan_vid": ANY_TAGGED, "vlan_pcp": 3}),
        ("vlan_pcp: 3, vlan_vid: 100", {"eth_type": 0x806, "vlan_vid": VLAN_PRESENT | 100, "vlan_pcp": 3}),
        ("ip_dscp: 46, eth_type: ipv4", {"eth_type": 0x800, "ip_dscp": 46}),
        ("arp_op: reply", {"eth_type": 0x806, "arp_op": 2}),
    ],
)
def test_fields_are_matched_as_openflow_has_them(written: str, fields: MatchFields) -> None:
    scope = type_metadata(EPOCH, Direction.FROM_VM)
    assert from_vm(written)[0].match == match(metadata=scope, **fields)


def test_earlier_rules_stand_above_later_ones_and_the_default_below_all() -> None:
    assert [rule.priority for rule in from_vm("tcp_dst: [1, 2], eth_type: ipv4", "udp_dst: 3, eth_type: ipv4")] == [
        TOP_PRIORITY,
        TOP_PRIORITY,
        TOP_PRIORITY - 1,
        Priority.DEFAULT,
    ]


def test_what_passes_goes_on_and_what_does_not_has_no_instruction() -> None:
    found = compiled("from_vm: {default: allow}\nto_vm: {default: allow, rules: [{rule: {actions: {allow: 0}}}]}\n")
    assert [(rule.table, rule.goto) for rule in found] == [
        *[(Table.ACL_FROM, Table.FORWARD)] * 3,
        (Table.ACL_FROM, None),
        (Table.ACL_TO, None),
        *[(Table.ACL_TO, Table.OUTPUT)] * 3,
        (Table.ACL_TO, None),
    ]


def test_each_direction_matches_its_own_metadata() -> None:
    found = {rule.table: rule.match for rule in compiled("")}
    assert found == {
        Table.ACL_FROM: match(metadata=type_metadata(EPOCH, Direction.FROM_VM)),
        Table.ACL_TO: match(metadata=type_metadata(EPOCH, Direction.TO_VM)),
    }
