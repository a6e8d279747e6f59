"""Flow dumps as evidence: what counts as staged, as a gate, and as left behind."""

from __future__ import annotations

import pytest

from mininet_tests.rules import added, gates, left_behind, owner_at, read_dump
from ryu_apps.evb.flow.pipeline import Cookie, Direction, Kind, Table, cookie, metadata

OWNER = Cookie(Kind.GATE, 7, 3)
MAC = "52:54:00:aa:00:01"


def line(kind: Kind, table: int, *, owner: int = 7, generation: int = 3, match: str = "", epoch: int = 0) -> str:
    actions = "drop"
    if epoch:
        value = metadata(vsi=owner, epoch=epoch, direction=Direction.TO_VM)
        actions = f"write_metadata:{value:#x},goto_table:50"
    return f"cookie={cookie(kind, owner, generation):#x}, table={int(table)}, priority=200{match} actions={actions}"


WAY = line(Kind.GATE, Table.FORWARD, match=f",dl_vlan=100,dl_dst={MAC}")
INGRESS = line(Kind.GATE, Table.INGRESS, match=f",in_port=1,vlan_tci=0x0000/0x1fff,dl_src={MAC}", epoch=5)
DELIVERY = line(Kind.GATE, Table.FORWARD, match=f",dl_vlan=100,dl_dst={MAC}", epoch=5)
VSI_BODY = line(Kind.VSI_BODY, Table.ANTISPOOF)
TYPE_BODY = line(Kind.TYPE_BODY, Table.ACL_TO, owner=5)
INFRASTRUCTURE = line(Kind.INFRASTRUCTURE, Table.ADMIT, owner=0, generation=0)
FOREIGN = "cookie=0x0, priority=0 actions=NORMAL"


def left(*lines: str, port_no: int | None = None) -> list[str]:
    return [rule.line for rule in left_behind(read_dump(lines), OWNER, port_no)]


def test_the_way_to_the_vm_is_not_left_behind() -> None:
    assert left(WAY, INFRASTRUCTURE, FOREIGN) == []


@pytest.mark.parametrize("rule", [INGRESS, DELIVERY, VSI_BODY])
def test_a_rule_of_the_vsi_where_the_vm_is_not_is_left_behind(rule: str) -> None:
    assert rule in left(WAY, rule)


def test_a_rule_of_an_older_association_is_left_behind_wherever_it_is() -> None:
    old = line(Kind.GATE, Table.FORWARD, generation=2)
    assert left(WAY, old) == [old]
    assert left(INGRESS, DELIVERY, VSI_BODY, TYPE_BODY, old, port_no=2) == [old]


def test_after_a_move_within_the_switch_the_new_rules_belong_there() -> None:
    assert left(INGRESS, DELIVERY, VSI_BODY, TYPE_BODY, port_no=2) == []


def test_the_policy_of_a_type_is_left_behind_when_no_gate_leads_to_it() -> None:
    assert left(WAY, TYPE_BODY) == [TYPE_BODY]


def test_the_policy_of_a_type_stays_for_another_vm_of_the_type() -> None:
    other = line(Kind.GATE, Table.INGRESS, owner=9, generation=1, epoch=5)
    assert left(WAY, TYPE_BODY, other) == []


def test_rules_of_other_vsis_are_not_counted() -> None:
    assert left(WAY, line(Kind.VSI_BODY, Table.ANTISPOOF, owner=8)) == []


def test_the_owner_is_found_by_port_and_source_address() -> None:
    rules = read_dump([INGRESS, line(Kind.GATE, Table.INGRESS, owner=8, match=f",in_port=2,dl_src={MAC}")])
    assert owner_at(rules, 1, MAC) == OWNER
    assert owner_at(rules, 3, MAC) is None


def test_added_rules_are_those_of_the_later_dump_only() -> None:
    new = added([WAY, VSI_BODY], [WAY, VSI_BODY, INGRESS])
    assert [rule.line for rule in new] == [INGRESS]
    assert gates(new) == new


def test_what_is_no_rule_is_not_read_as_one() -> None:
    with pytest.raises(ValueError, match="not a flow"):
        read_dump(["NXST_FLOW reply"])
