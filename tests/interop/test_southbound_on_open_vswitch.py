"""A real Open vSwitch accepts, shows and refuses the driver's messages as the driver expects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed, Rejected
from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import ANY_TAGGED, VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Bucket, CookieMask, Group, GroupType, Meter, Rule
from ryu_apps.southbound.changes import WINDOW
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.piece import PIECE
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs

COOKIE = 0xEB47_3000_0100_0001
MINE = CookieMask(COOKIE, ALL_ONES)

L2 = {"in_port": 1, "eth_src": 0x5254_0000_0001, "eth_dst": (0x0100_0000_0000, 0x0100_0000_0000), "metadata": (5, 0xFF)}
IPV4 = L2 | {"eth_type": 0x0800, "vlan_vid": VLAN_PRESENT | 5, "vlan_pcp": 3, "ip_dscp": 46}
IPV4 |= {"ipv4_src": (0x0A000000, 0xFF000000), "ipv4_dst": 0x0A000001}
IPV6 = L2 | {"eth_type": 0x86DD, "ipv6_src": 1, "ipv6_dst": (0xFE80 << 112, 0xFFC0 << 112), "ip_proto": 58}
MATCHES = {
    "any": {},
    "tagged": {"vlan_vid": ANY_TAGGED},
    "untagged": {"vlan_vid": 0},
    "l2": L2,
    "tcp": IPV4 | {"ip_proto": 6, "tcp_src": 80, "tcp_dst": (0x0400, 0xFC00)},
    "tcp flags": IPV4 | {"ip_proto": 6, "tcp_flags": (0x002, 0x012), "tcp_dst": 80, "reg0": 7, "reg3": (0x10, 0xF0)},
    "all tcp flags": IPV4 | {"ip_proto": 6, "tcp_flags": 0x012},
    "tcp flags as learnt": IPV4 | {"ip_proto": 6, "tcp_flags": (0x012, 0xFFF)},
    "registers": {"reg0": 0xFFFFFFFF, "reg1": (1, 1), "reg2": 0, "reg3": (0x80000000, 0x80000000), "metadata": 1},
    "registers and arp": L2 | {"eth_type": 0x0806, "arp_op": 1, "arp_spa": 1, "arp_tha": 4, "reg1": 3},
    "udp": IPV4 | {"ip_proto": 17, "udp_src": (53, 0xFFFF), "udp_dst": 53},
    "icmp": IPV4 | {"ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0},
    "arp": L2 | {"eth_type": 0x0806, "arp_op": 1, "arp_spa": 1, "arp_tpa": 2, "arp_sha": 3, "arp_tha": 4},
    "neighbour solicitation": IPV6 | {"icmpv6_type": 135, "icmpv6_code": 0, "ipv6_nd_target": 9, "ipv6_nd_sll": 1},
    "neighbour advertisement": IPV6 | {"icmpv6_type": 136, "icmpv6_code": 0, "ipv6_nd_target": 9, "ipv6_nd_tll": 1},
}
ACTIONS: dict[str, tuple[Action, ...]] = {
    "drop": (),
    "output": (Output(2), Output(0xFFFFFFFD, 128)),
    "group": (OutputGroup(7),),
    "tag": (PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 9), SetField("vlan_pcp", 1), Output(1)),
    "metadata": (SetField("metadata", 77), SetField("eth_dst", 0x5254_0000_0002), Resubmit(60)),
    "reflect": (ClearInPort(), Output(1)),
    "clone": (Clone(60), Output(1)),
    "registers": (SetField("reg0", 7), SetField("reg3", 0xFFFFFFFF), RegLoad(Bits("reg1", 4, 8), 0xAB), Output(1)),
    "more registers": (SetField("reg4", 7), SetField("reg8", 9), SetField("xxreg1", 1 << 127 | 5), Output(1)),
    "stack": (
        StackPush(whole("reg8")),
        StackPop(Bits("reg8", 16, 16)),
        StackPush(whole("xxreg1")),
        StackPop(whole("xxreg1")),
        Output(1),
    ),
    "bits": (RegLoad(Bits("metadata", 16, 20), 5), RegLoad(whole("reg2"), 7), RegLoad(whole("eth_dst"), 9)),
    "learn": (
        Learn(50, 7, COOKIE, 60, 5, 0, None, (LearnSpec(whole("eth_src"), whole("eth_dst")),), ()),
        Learn(50, 7, COOKIE, 0, 0, 9, None, (LearnSpec(whole("eth_src"), 5),), (LearnSpec(Bits("reg0", 3, 1), 1),)),
        Output(1),
    ),
}
#: What may be matched, written and read by a rule that learns from a TCP segment.
OF_TCP = (
    *(Bits("metadata", 16, 20), Bits("reg1", 0, 16), whole("reg0"), whole("metadata"), whole("in_port")),
    *(whole("reg4"), Bits("reg8", 0, 16)),
    *(whole("eth_src"), whole("eth_dst"), whole("vlan_vid"), Bits("vlan_vid", 4, 8)),
    *(whole("ipv4_src"), whole("ipv4_dst"), Bits("ipv4_src", 8, 24), whole("ip_dscp")),
    *(whole("tcp_src"), whole("tcp_dst"), whole("tcp_flags")),
)
OF_TCP6 = (*map(whole, ("ipv6_src", "ipv6_dst", "tcp_dst", "xxreg1")), Bits("ipv6_dst", 64, 64))
OF_ARP = tuple(map(whole, ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha")))
OF_UDP = (whole("udp_src"), whole("udp_dst"))
#: Frames of each kind and the bits they have, TCP with IPv4 and a tag first.
KINDS = {
    "tcp": ({"eth_type": 0x0800, "vlan_vid": VLAN_PRESENT | 5, "ip_proto": 6}, OF_TCP),
    "tcp over ipv6": ({"eth_type": 0x86DD, "ip_proto": 6}, OF_TCP6),
    "udp": ({"eth_type": 0x0800, "ip_proto": 17}, OF_UDP),
    "arp": ({"eth_type": 0x0806}, OF_ARP),
    "icmp": ({"eth_type": 0x0800, "ip_proto": 1}, (whole("icmpv4_type"), whole("icmpv4_code"))),
    "icmpv6": ({"eth_type": 0x86DD, "ip_proto": 58}, (whole("icmpv6_type"), whole("icmpv6_code"))),
    "solicitation": ({"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135}, (whole("ipv6_nd_target"),)),
}
#: Fields that nobody may write.
READ_ONLY = {"in_port", "eth_type", "ip_proto", "tcp_flags"}
GROUP = Group(7, GroupType.ALL, (Bucket((PopVlan(), ClearInPort(), Output(1))), Bucket((Output(2),))))


def rule(number: int = 0, table: int = 30, cookie: int = COOKIE, **fields: object) -> Rule:
    return Rule(table, 100, match(metadata=number), cookie, **fields)  # type: ignore[arg-type]


BROKEN = rule(1, apply=(OutputGroup(99),))


@pytest.mark.parametrize("fields", MATCHES.values(), ids=MATCHES)
def test_a_match_is_shown_as_it_was_sent(controller: Controller, fields: dict[str, int]) -> None:
    change = RuleChange(add=(Rule(30, 100, match(**fields), COOKIE, (Output(2),)),))
    assert isinstance(controller.apply(change, Mode.STAGE), Confirmed)
    assert controller.rules(MINE) == set(change.add)


@pytest.mark.parametrize("actions", ACTIONS.values(), ids=ACTIONS)
def test_actions_are_shown_as_they_were_sent(controller: Controller, actions: tuple[Action, ...]) -> None:
    written = rule(apply=actions, metadata=(0x12, 0xFF), goto=40, meter=3)
    change = RuleChange((Meter(3, 100, 10),), (GROUP,), add=(written,))
    assert isinstance(controller.apply(change, Mode.STAGE), Confirmed)
    assert controller.rules(MINE) == {written}


def test_an_advertisement_is_written_as_it_was_sent(controller: Controller) -> None:
    kind = match(eth_type=0x86DD, ip_proto=58, icmpv6_type=136)
    actions = (SetField("nd_options_type", 2), SetField("nd_reserved", 0x60000000), SetField("ipv6_nd_tll", 9))
    written = Rule(30, 100, kind, COOKIE, (*actions, Output(1)))
    assert isinstance(controller.apply(RuleChange(add=(written,)), Mode.STAGE), Confirmed)
    assert controller.rules(MINE) == {written}


def test_a_bucket_may_watch_a_group(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    trunks = tuple(
        Group(number, GroupType.FAST_FAILOVER, (Bucket((Output(number),), watch_port=number),)) for number in (1, 2)
    )
    ways = Group(
        9, GroupType.SELECT, tuple(Bucket((OutputGroup(port),), weight=1, watch_group=port) for port in (1, 2))
    )
    assert isinstance(controller.apply(RuleChange(groups=(*trunks, ways)), Mode.ATOMIC), Confirmed)
    (shown,) = [line for line in private_ovs.ofctl("dump-groups", bridge).splitlines() if "group_id=9," in line]
    assert shown.count("bucket=") == 2
    assert "type=select" in shown
    assert "watch_group:1" in shown
    assert "watch_group:2" in shown


@pytest.mark.parametrize(("fields", "bits"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("limit", [0, 5])
@pytest.mark.parametrize("mode", [Mode.STAGE, Mode.ATOMIC])
def test_what_is_learnt_is_shown_as_it_was_sent(
    controller: Controller, fields: dict[str, int], bits: tuple[Bits, ...], limit: int, mode: Mode
) -> None:
    kind = tuple(LearnSpec(whole(name), value & ~VLAN_PRESENT) for name, value in fields.items() if name != "vlan_vid")
    writable = [field for field in bits if field.name not in READ_ONLY]
    verdict = Bits("reg2", 9, 1) if limit else None
    learning = [
        *(((*kind, LearnSpec(field, field)), ()) for field in bits),
        *(((*kind, LearnSpec(field, 1)), (LearnSpec(Bits("reg3", 0, field.width % 33 or 1), 1),)) for field in bits),
        *((kind, (LearnSpec(field, field), LearnSpec(field, 1), LearnSpec(field, field))) for field in writable),
        (tuple(LearnSpec(Bits("metadata", 0, 16), Bits("reg0", 8, 16)) for _ in range(2)), ()),
    ]
    rules = tuple(
        Rule(30, 100, match(metadata=number, **fields), COOKIE, (Learn(50, 7, 1, 60, 5, limit, verdict, *learned),))
        for number, learned in enumerate(learning)
    )
    assert isinstance(controller.apply(RuleChange(add=rules), mode), Confirmed)
    assert controller.rules(MINE) == set(rules)


@pytest.mark.parametrize("mode", [Mode.STAGE, Mode.ATOMIC])
def test_timeouts_are_shown_as_they_were_sent(controller: Controller, mode: Mode) -> None:
    tcp = match(eth_type=0x0800, ip_proto=6)
    written = Rule(30, 1, tcp, COOKIE, (FinTimeout(5), Output(1)), goto=40, idle_timeout=600)
    other = rule(idle_timeout=30)
    assert isinstance(controller.apply(RuleChange(add=(written, other)), mode), Confirmed)
    assert controller.rules(MINE) == {written, other}


def read_back_at_the_end(idle_timeout: int = 0) -> RuleBlock:
    """Rules that are one slice, since no bit of their matches tells them apart."""
    return RuleBlock(tuple(replace(rule(5, idle_timeout=idle_timeout), priority=1 + at) for at in range(9 * PIECE)))


def test_another_timeout_is_another_rule(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    token = controller.submit(RuleChange(blocks=(read_back_at_the_end(idle_timeout=60),)), Mode.STAGE)
    private_ovs.ofctl("add-flow", bridge, f"table=30,priority=1,cookie={COOKIE:#x},metadata=0x5,actions=drop")
    refused = controller.ends(token)
    assert isinstance(refused, Rejected)
    assert "another cookie or timeout" in refused.reason


def test_a_tag_can_be_popped_where_one_is_matched(controller: Controller) -> None:
    change = RuleChange(add=(Rule(30, 100, match(vlan_vid=ANY_TAGGED), COOKIE, (PopVlan(), Output(1))),))
    assert isinstance(controller.apply(change, Mode.STAGE), Confirmed)


def test_a_group_sent_again_has_the_new_buckets(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    for port in (1, 2):
        again = RuleChange(groups=(Group(7, GroupType.ALL, (Bucket((Output(port),)),)),))
        assert isinstance(controller.apply(again), Confirmed)
    assert "output:2" in private_ovs.ofctl("dump-groups", bridge)
    assert "output:1" not in private_ovs.ofctl("dump-groups", bridge)


def test_a_dropped_group_is_gone(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    controller.apply(RuleChange(groups=(GROUP,)))
    controller.apply(RuleChange(delete_groups=(7,)))
    assert "group_id=7" not in private_ovs.ofctl("dump-groups", bridge)


def test_a_meter_can_be_changed_after_a_restart(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    controller.apply(RuleChange(meters=(Meter(3, 100, 10),)))
    controller.start_over()
    controller.up()
    assert isinstance(controller.apply(RuleChange(meters=(Meter(3, 200, 10),))), Confirmed)
    assert "rate=200" in private_ovs.ofctl("dump-meters", bridge)


def test_a_large_block_is_staged_in_pieces_and_read_back(controller: Controller) -> None:
    block = RuleBlock(tuple(rule(number) for number in range(25 * PIECE + 1)))
    assert isinstance(controller.apply(RuleChange(blocks=(block,)), Mode.STAGE), Confirmed)
    assert controller.rules(MINE) == set(block)


def test_a_refused_rule_is_named_and_its_reason_too(controller: Controller) -> None:
    refused = controller.apply(RuleChange(add=(rule(0), BROKEN)), Mode.STAGE)
    assert isinstance(refused, Rejected)
    assert "metadata=0x1 actions=group:0x63" in refused.reason
    assert "OFPBAC_BAD_OUT_GROUP" in refused.reason
    assert not refused.full


def test_nothing_more_of_a_refused_change_is_sent(controller: Controller) -> None:
    block = RuleBlock((BROKEN, *(rule(number) for number in range(2, 20 * PIECE))))
    assert isinstance(controller.apply(RuleChange(blocks=(block,)), Mode.STAGE), Rejected)
    controller.apply(RuleChange())
    assert len(controller.rules(MINE)) < WINDOW * PIECE


def test_a_full_table_is_told_from_other_refusals(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    limit = ("--", "--id=@t", "create", "Flow_Table", "flow_limit=5", "overflow_policy=refuse")
    private_ovs.vsctl(*limit, "--", "set", "bridge", bridge, "flow_tables:30=@t")
    refused = controller.apply(RuleChange(add=tuple(rule(number) for number in range(6))), Mode.STAGE)
    assert isinstance(refused, Rejected)
    assert refused.full
    assert "metadata=0x5" in refused.reason
    assert "OFPFMFC_TABLE_FULL" in refused.reason


@pytest.mark.parametrize(
    "broken",
    [BROKEN, Rule(30, 100, match(tcp_dst=80), COOKIE), rule(1, goto=29)],
    ids=["unknown group", "missing prerequisite", "backwards"],
)
def test_a_bundle_that_fails_leaves_nothing(controller: Controller, broken: Rule) -> None:
    refused = controller.apply(RuleChange(add=(rule(0), broken, rule(2))), Mode.ATOMIC)
    assert isinstance(refused, Rejected)
    assert "table=ACL_FROM" in refused.reason
    assert isinstance(controller.apply(RuleChange()), Confirmed)
    assert controller.rules(MINE) == set()


def test_a_bundle_committed_without_waiting_leaves_nothing_when_it_fails(controller: Controller) -> None:
    known = (rule(0, apply=(OutputGroup(7),)), rule(1, apply=(OutputGroup(7),)))
    controller.apply(RuleChange(groups=(GROUP,)))
    assert isinstance(controller.apply(RuleChange(add=known), Mode.ATOMIC), Confirmed)
    controller.apply(RuleChange(delete_by_cookie=(MINE,)))
    before = len(controller.sent)
    alike = (rule(2, apply=(OutputGroup(7),)), rule(3, apply=(OutputGroup(99),)))
    refused = controller.apply(RuleChange(add=alike), Mode.ATOMIC)
    assert len(controller.sent) == before + 1, "one write, the commit with the rest"
    assert isinstance(refused, Rejected)
    assert controller.rules(MINE) == set()


def test_a_prepared_change_is_checked_without_being_made_and_then_made_in_one_write(controller: Controller) -> None:
    prepared = RuleChange(add=(rule(0), rule(1, apply=(Output(2),))))
    controller.driver.prepare(prepared)
    assert controller.until(Confirmed).token == 0
    assert controller.rules(MINE) == set()
    before = len(controller.sent)
    assert isinstance(controller.apply(prepared, Mode.ATOMIC), Confirmed)
    assert len(controller.sent) == before + 1, "one write, the commit with the rest"
    assert controller.rules(MINE) == set(prepared.add)


def test_a_prepared_change_that_the_switch_does_not_take_is_refused_when_it_is_asked_for(
    controller: Controller,
) -> None:
    prepared = RuleChange(add=(rule(0), Rule(30, 100, match(tcp_dst=80), COOKIE)))
    controller.driver.prepare(prepared)
    assert controller.until(Confirmed).token == 0
    assert isinstance(controller.apply(prepared, Mode.ATOMIC), Rejected)
    assert controller.rules(MINE) == set()


def test_a_bundle_takes_meters_groups_rules_and_deletions(controller: Controller) -> None:
    controller.apply(RuleChange(add=(rule(0), rule(1))))
    added = rule(2, apply=(OutputGroup(7),), meter=3)
    change = RuleChange((Meter(3, 100, 10),), (GROUP,), add=(added,), remove=(rule(0),))
    assert isinstance(controller.apply(change, Mode.ATOMIC), Confirmed)
    assert controller.rules(MINE) == {rule(1), added}


def test_a_change_of_one_rule_needs_no_bundle(controller: Controller) -> None:
    assert isinstance(controller.apply(RuleChange(add=(rule(0),)), Mode.ATOMIC), Confirmed)
    assert controller.rules(MINE) == {rule(0)}
    assert isinstance(controller.apply(RuleChange(add=(BROKEN,)), Mode.ATOMIC), Rejected)


def test_removing_an_overwritten_rule_leaves_the_newer_one(controller: Controller) -> None:
    newer = rule(0, cookie=COOKIE + 1)
    controller.apply(RuleChange(add=(rule(0),)))
    controller.apply(RuleChange(add=(newer,)))
    assert isinstance(controller.apply(RuleChange(remove=(rule(0),))), Confirmed)
    assert controller.rules(CookieMask(0, 0)) == {newer}


def test_a_sweep_takes_one_generation_out_of_all_tables(controller: Controller) -> None:
    other = rule(0, table=50, cookie=COOKIE + 1)
    controller.apply(RuleChange(add=(rule(0), rule(1, table=40), other)))
    controller.apply(RuleChange(delete_by_cookie=(MINE,)))
    assert controller.rules(CookieMask(0, 0)) == {other}


def test_a_rule_that_somebody_changed_meanwhile_is_found(
    controller: Controller, private_ovs: PrivateOvs, bridge: str
) -> None:
    token = controller.submit(RuleChange(blocks=(read_back_at_the_end(),)), Mode.STAGE)
    private_ovs.ofctl("del-flows", bridge, "table=30,metadata=0x5")
    refused = controller.ends(token)
    assert isinstance(refused, Rejected)
    assert "does not show" in refused.reason
    assert "metadata=0x5 " in refused.reason


def test_another_lane_overtakes(controller: Controller) -> None:
    block = RuleBlock(tuple(rule(number) for number in range(10 * PIECE)))
    slow = controller.submit(RuleChange(blocks=(block,)), Mode.STAGE, lane=1)
    quick = controller.apply(RuleChange(add=(rule(1, table=10), rule(2, table=10))), Mode.ATOMIC, lane=2)
    assert isinstance(quick, Confirmed)
    assert not any(event.token == slow for event in controller.events)
    assert isinstance(controller.ends(slow), Confirmed)


def test_a_lane_keeps_its_order(controller: Controller) -> None:
    block = RuleBlock(tuple(rule(number) for number in range(10 * PIECE)))
    staged = controller.submit(RuleChange(blocks=(block,)), Mode.STAGE, lane=1)
    swept = controller.submit(RuleChange(delete_by_cookie=(MINE,)), Mode.ATOMIC, lane=1)
    assert isinstance(controller.ends(staged), Confirmed)
    assert isinstance(controller.ends(swept), Confirmed)
    assert controller.rules(MINE) == set()


def test_the_switch_says_how_much_it_holds(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    private_ovs.vsctl(
        "--", "--id=@t", "create", "Flow_Table", "flow_limit=7", "--", "set", "bridge", bridge, "flow_tables:30=@t"
    )
    assert controller.up().capacity.tables[30] == 7
