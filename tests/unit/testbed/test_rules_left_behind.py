"""Flow dumps as evidence: what counts as staged, as a gate, and as left behind."""

from __future__ import annotations

import pytest

from ryu_apps.evb.pipeline.tables import Cookie, CookieKind, Direction, Table, cookie, metadata
from ryu_apps.testbed.flow_dumps import DepartedVsi, added, gates, left_behind, owner_at, read_dump
from ryu_apps.testbed.measurement.measure import staged_alone

OLD, NEW = Cookie(CookieKind.GATE, 6, 2), Cookie(CookieKind.GATE, 7, 3)
MAC = "52:54:00:aa:00:01"


def line(kind: CookieKind, table: int, *, owner: int = 7, generation: int = 3, match: str = "", epoch: int = 0) -> str:
    actions = "drop"
    if epoch:
        value = metadata(vsi=owner, epoch=epoch, direction=Direction.TO_VM)
        actions = f"write_metadata:{value:#x},goto_table:50"
    return f"cookie={cookie(kind, owner, generation):#x}, table={int(table)}, priority=200{match} actions={actions}"


def page(*owners: int) -> str:
    copies = [f"set_field:{metadata(vsi=owner, port=1, epoch=5):#x}->metadata,resubmit(,50)" for owner in owners]
    membership = cookie(CookieKind.MEMBERSHIP, 100)
    head = f"cookie={membership:#x}, table={int(Table.FLOOD_PAGE)}, priority=200,metadata=0x1/0xffff"
    return f"{head} actions={','.join(copies)}"


def group_page(owner: int) -> str:
    membership = cookie(CookieKind.MEMBERSHIP, 100)
    copy = f"set_field:{metadata(vsi=owner):#x}->metadata,resubmit(,{int(Table.GROUP_GATE)})"
    return f"cookie={membership:#x}, table={int(Table.GROUP_PAGE)}, priority=200,ip,nw_dst=239.1.0.1 actions={copy}"


WAY = line(CookieKind.GATE, Table.FORWARD, match=f",dl_vlan=100,dl_dst={MAC}")
INGRESS = line(CookieKind.GATE, Table.INGRESS, match=f",in_port=1,vlan_tci=0x0000/0x1fff,dl_src={MAC}", epoch=5)
DELIVERY = line(CookieKind.GATE, Table.FORWARD, match=f",dl_vlan=100,dl_dst={MAC}", epoch=5)
VSI_BODY = line(CookieKind.VSI_BODY, Table.ANTISPOOF)
TYPE_BODY = line(CookieKind.TYPE_BODY, Table.ACL_TO, owner=5)
NEW_RULES = (INGRESS, DELIVERY, VSI_BODY, TYPE_BODY, page(7, 9))
INFRASTRUCTURE = line(CookieKind.INFRASTRUCTURE, Table.ADMIT, owner=0, generation=0)
FOREIGN = "cookie=0x0, priority=0 actions=NORMAL"


def left(*lines: str, same_switch: bool = False) -> list[str]:
    departure = DepartedVsi(MAC, OLD, NEW, same_switch)
    return [rule.line for rule in left_behind(read_dump(lines), departure)]


def test_the_way_to_the_vm_is_not_left_behind() -> None:
    assert left(WAY, INFRASTRUCTURE, FOREIGN, page(9)) == []


def test_the_way_of_group_copies_to_the_vm_is_not_left_behind() -> None:
    way = line(CookieKind.GATE, Table.GROUP_GATE)
    assert left(WAY, way) == []
    delivery = line(CookieKind.GATE, Table.GROUP_GATE, epoch=5)
    assert left(WAY, delivery) == [delivery]


def test_the_membership_of_the_vm_in_a_set_is_not_left_behind() -> None:
    """A switch whose VSIs name the set needs it wherever the member is; the old one's is overwritten."""
    member = line(CookieKind.GATE, Table.MEMBERS, match=f",dl_src={MAC}")
    assert left(WAY, member) == []
    old = line(CookieKind.GATE, Table.MEMBERS, owner=6, generation=2, match=f",dl_src={MAC}")
    assert left(WAY, old) == [old]


OLD_BODY = line(CookieKind.VSI_BODY, Table.ANTISPOOF, owner=6, generation=2)


@pytest.mark.parametrize("rule", [INGRESS, DELIVERY, VSI_BODY, OLD_BODY, page(7, 9), page(6)])
def test_a_rule_of_the_vsi_where_the_vm_is_not_is_left_behind(rule: str) -> None:
    assert rule in left(WAY, rule)


@pytest.mark.parametrize("owner", [6, 7])
@pytest.mark.parametrize("same_switch", [False, True])
def test_a_rule_of_an_older_association_is_left_behind_wherever_it_is(owner: int, same_switch: bool) -> None:
    old = line(CookieKind.GATE, Table.FORWARD, owner=owner, generation=2)
    present = NEW_RULES if same_switch else (WAY,)
    assert left(*present, old, same_switch=same_switch) == [old]


def test_a_rule_that_names_the_vm_is_left_behind_whoever_owns_it() -> None:
    stray = line(CookieKind.GATE, Table.FORWARD, owner=55, match=f",dl_dst={MAC}")
    assert left(WAY, stray) == [stray]


def test_after_a_move_within_the_switch_the_new_rules_belong_there() -> None:
    assert left(*NEW_RULES, same_switch=True) == []


def test_the_policy_of_a_type_is_left_behind_when_no_gate_leads_to_it() -> None:
    assert left(WAY, TYPE_BODY) == [TYPE_BODY]


def test_the_policy_of_a_type_stays_for_another_vm_of_the_type() -> None:
    other = line(CookieKind.GATE, Table.INGRESS, owner=9, generation=1, epoch=5)
    assert left(WAY, TYPE_BODY, other) == []


def test_rules_of_other_vsis_are_not_counted() -> None:
    assert left(WAY, line(CookieKind.VSI_BODY, Table.ANTISPOOF, owner=8)) == []


def test_the_owner_is_found_by_port_and_source_address() -> None:
    rules = read_dump([INGRESS, line(CookieKind.GATE, Table.INGRESS, owner=8, match=f",in_port=2,dl_src={MAC}")])
    assert owner_at(rules, 1, MAC) == NEW
    assert owner_at(rules, 3, MAC) is None


def test_added_rules_are_those_of_the_later_dump_only() -> None:
    new = added([WAY, VSI_BODY], [WAY, VSI_BODY, INGRESS])
    assert [rule.line for rule in new] == [INGRESS]
    assert gates(new) == new


def test_a_flood_page_is_a_gate_too() -> None:
    assert gates(read_dump([page(7), VSI_BODY, TYPE_BODY]))[0].line == page(7)


def test_what_is_no_rule_is_not_read_as_one() -> None:
    with pytest.raises(ValueError, match="not a flow"):
        read_dump(["NXST_FLOW reply"])


@pytest.mark.parametrize(
    ("brought", "gates_staged"),
    [
        ((page(9),), 0),
        ((page(7, 9),), 1),
        ((INGRESS,), 1),
        ((INGRESS, DELIVERY, page(7, 9)), 3),
        ((line(CookieKind.GATE, Table.MEMBERS, owner=9),), 0),
        ((line(CookieKind.GATE, Table.MEMBERS),), 1),
        ((group_page(7),), 0),
        ((group_page(7), line(CookieKind.GATE, Table.GROUP_GATE, epoch=5)), 1),
    ],
    ids=[
        *("another VSI joined a group", "its own copy", "its gate", "all of it", "another member", "itself a member"),
        *("copies that have yet to pass its gate", "the gate of those copies"),
    ],
)
def test_memberships_of_others_are_no_gates_of_a_staged_vsi(brought: tuple[str, ...], gates_staged: int) -> None:
    staged = [INFRASTRUCTURE, VSI_BODY, TYPE_BODY, *brought]
    assert staged_alone({"before": [INFRASTRUCTURE, page(9, 11)], "staged": staged}).gates == gates_staged
