"""From a policy's rules to the entries of the two ACL tables."""

from __future__ import annotations

import pytest

from ryu_apps.evb.flow.match import (
    ANY_TAGGED,
    VLAN_PRESENT,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Direction, Priority, Table, type_metadata
from ryu_apps.evb.policy.loader import MAX_ACL_RULES, load_policies
from ryu_apps.evb.policy.model import Acl, AclRule, VsiType
from ryu_apps.evb.services.acl import ACL, TOP_PRIORITY
from ryu_apps.evb.services.base import DIRECT
from ryu_apps.evb.services.firewall.schema import MAX_RULES, FirewallPolicy, Lifetimes
from ryu_apps.evb.services.firewall.service import FIREWALL

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


def test_as_many_rules_as_are_loaded_stand_one_above_the_other_and_all_above_the_implied_ones() -> None:
    """The firewall's rules and those of multicast have their own priorities beneath."""
    assert MAX_ACL_RULES == MAX_RULES == 50_000
    rules = Acl((AclRule(True, ()),) * MAX_ACL_RULES, implied=(AclRule(True, ()),) * 1000)
    firewall = FirewallPolicy(rules, Acl(), 8, Lifetimes(60, 20, 60, 60))
    vsi_type = VsiType(VsiTypeKey(7, 2), "large", rules, Acl(), services=(("firewall", firewall),))
    for service, table in ((ACL, Table.ACL_FROM), (FIREWALL, Table.NEW_FROM)):
        written = [rule.priority for rule in service.per_type(vsi_type, EPOCH, DIRECT) if rule.table == table]
        counted = [priority for priority in written if 1000 < priority <= TOP_PRIORITY]
        assert counted[:MAX_ACL_RULES] == list(range(TOP_PRIORITY, TOP_PRIORITY - MAX_ACL_RULES, -1))
        assert len(set(counted)) == len(counted)


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
