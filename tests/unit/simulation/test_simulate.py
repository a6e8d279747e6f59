"""The simulated switch: one behaviour a test (agreement with the real one is in tests/interop)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Action,
    Bits,
    ClearInPort,
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
    whole,
)
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.match import (
    ANY_TAGGED,
    VLAN_PRESENT,
    Match,
    match,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.simulation.packet import SimulationError, action_set, matches
from ryu_apps.evb.simulation.switch import MAX_DEPTH, forward

FRAME = {"in_port": 1, "eth_src": 1, "eth_dst": 2, "eth_type": 0x0800}
TAGGED = FRAME | {"vlan_vid": VLAN_PRESENT | 5}


def rule(table: int, wanted: Match = (), *apply: Action, priority: int = 1, **instructions: Any) -> Rule:
    return Rule(table, priority, wanted, cookie=0, apply=apply, **instructions)


def table_of(*rules: Rule, groups: tuple[Group, ...] = ()) -> FlowTable:
    return FlowTable({rule.key: rule for rule in rules}, {group.group_id: group for group in groups})


def group_of(*buckets: Bucket, kind: GroupType = GroupType.ALL) -> Group:
    return Group(1, kind, buckets)


def ports_of(table: FlowTable, frame: dict[str, int] = FRAME, live: Collection[int] | None = None) -> list[int]:
    return [port for port, _ in forward(table, frame, live)]


def test_a_frame_that_no_rule_matches_is_dropped() -> None:
    assert ports_of(table_of(rule(0, match(in_port=2), Output(3)), rule(1, (), Output(4)))) == []


def test_the_highest_priority_wins() -> None:
    low, high = rule(0, (), Output(2)), rule(0, match(in_port=1), Output(3), priority=2)
    assert ports_of(table_of(low, high)) == ports_of(table_of(high, low)) == [3]


def test_two_different_rules_of_the_same_priority_are_refused() -> None:
    table = table_of(rule(0, match(in_port=1), Output(2)), rule(0, match(eth_src=1), Output(3)))
    with pytest.raises(SimulationError, match="two rules of the same priority"):
        forward(table, FRAME)
    assert ports_of(table, FRAME | {"eth_src": 9}) == [2]


def test_two_rules_that_do_the_same_are_not() -> None:
    assert ports_of(table_of(rule(0, match(in_port=1), Output(2)), rule(0, match(eth_src=1), Output(2)))) == [2]


@pytest.mark.parametrize(
    ("wanted", "fields", "expected"),
    [
        (match(), {}, True),
        (match(eth_type=0x0800), {"eth_type": 0x0800}, True),
        (match(eth_type=0x0800), {"eth_type": 0x0806}, False),
        (match(ipv4_dst=(0x0A000000, 0xFF000000)), {"ipv4_dst": 0x0A010203}, True),
        (match(ipv4_dst=(0x0A000000, 0xFF000000)), {"ipv4_dst": 0x0B010203}, False),
        (match(ipv4_dst=0), {}, False),
        (match(vlan_vid=ANY_TAGGED), {"vlan_vid": VLAN_PRESENT}, True),
        (match(vlan_vid=ANY_TAGGED), {"vlan_vid": 0}, False),
        (match(in_port=1, eth_type=1), {"in_port": 1, "eth_type": 2}, False),
    ],
)
def test_matching(wanted: Match, fields: dict[str, int], expected: bool) -> None:
    assert matches(wanted, fields) is expected


def test_a_frame_without_tag_or_metadata_has_both_as_zero() -> None:
    assert ports_of(table_of(rule(0, match(vlan_vid=0, metadata=0), Output(2)))) == [2]


def test_a_tagged_frame_has_a_priority() -> None:
    assert ports_of(table_of(rule(0, match(vlan_pcp=0), Output(2))), TAGGED) == [2]


def test_a_frame_comes_in_somewhere() -> None:
    with pytest.raises(SimulationError, match="no in_port"):
        forward(table_of(), {"eth_type": 1})


def test_actions_apply_in_order_and_each_output_keeps_its_moment() -> None:
    table = table_of(rule(0, (), Output(2), SetField("eth_dst", 9), Output(3), Output(CONTROLLER)))
    assert [(port, fields["eth_dst"]) for port, fields in forward(table, FRAME)] == [(2, 2), (3, 9), (CONTROLLER, 9)]


def test_the_caller_s_frame_is_left_alone() -> None:
    forward(table_of(rule(0, (), SetField("eth_dst", 9), Output(2))), frame := dict(FRAME))
    assert frame == FRAME


def test_a_field_that_the_frame_does_not_have_is_not_set() -> None:
    ((_, fields),) = forward(table_of(rule(0, (), SetField("ipv4_dst", 9), Output(2))), FRAME)
    assert "ipv4_dst" not in fields


def test_metadata_is_written_under_its_mask_after_the_actions() -> None:
    table = table_of(
        rule(0, (), SetField("metadata", 0xFFFF), Output(2), metadata=(0x0012, 0x00FF), goto=1),
        rule(1, match(metadata=0xFF12), Output(3)),
    )
    assert [(port, fields["metadata"]) for port, fields in forward(table, FRAME)] == [(2, 0xFFFF), (3, 0xFF12)]


def test_output_to_the_ingress_port_is_suppressed_until_it_is_forgotten() -> None:
    assert ports_of(table_of(rule(0, (), Output(1), Output(2), ClearInPort(), Output(1)))) == [2, 1]


def test_resubmit_comes_back_with_changed_fields_and_without_a_pending_goto() -> None:
    table = table_of(
        rule(0, (), Resubmit(2), Output(4), goto=1),
        rule(1, (), Output(5)),
        rule(2, (), SetField("eth_dst", 9), metadata=(7, 7), goto=3),
        rule(3, (), Output(3)),
    )
    seen = [(port, fields["eth_dst"], fields["metadata"]) for port, fields in forward(table, FRAME)]
    assert seen == [(3, 9, 7), (4, 9, 7), (5, 9, 7)]


def test_tags_are_pushed_rewritten_and_popped() -> None:
    table = table_of(
        rule(0, (), PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 7), SetField("vlan_pcp", 3), Output(2), goto=1),
        rule(1, match(vlan_vid=VLAN_PRESENT | 7, vlan_pcp=3), PopVlan(), Output(3), goto=2),
        rule(2, match(vlan_vid=0), Output(4)),
        rule(2, match(vlan_pcp=3), Output(5), priority=2),
    )
    assert [(port, fields["vlan_vid"]) for port, fields in forward(table, FRAME)] == [
        (2, VLAN_PRESENT | 7),
        (3, 0),
        (4, 0),
    ]


def test_every_bucket_of_an_all_group_has_its_own_copy() -> None:
    first, second = Bucket((SetField("eth_dst", 9), Output(2))), Bucket((Output(3),))
    table = table_of(rule(0, (), OutputGroup(1), Output(4)), groups=(group_of(first, second),))
    assert [(port, fields["eth_dst"]) for port, fields in forward(table, FRAME)] == [(2, 9), (3, 2), (4, 2)]


def test_a_bucket_forgets_the_ingress_port_for_itself_only() -> None:
    table = table_of(rule(0, (), OutputGroup(1), Output(1)), groups=(group_of(Bucket((ClearInPort(), Output(1)))),))
    assert ports_of(table) == [1]


@pytest.mark.parametrize(("live", "expected"), [(None, [2]), ({2, 3}, [2]), ({3}, [3]), (set(), [])])
def test_fast_failover_takes_the_first_bucket_alive(live: Collection[int] | None, expected: list[int]) -> None:
    buckets = [Bucket((Output(port),), watch_port=port) for port in (2, 3)]
    table = table_of(rule(0, (), OutputGroup(1)), groups=(group_of(*buckets, kind=GroupType.FAST_FAILOVER),))
    assert ports_of(table, live=live) == expected


def test_a_select_group_takes_one_bucket_that_has_weight() -> None:
    buckets = [Bucket((Output(port),), weight=weight) for port, weight in ((2, 0), (3, 1), (4, 1))]
    table = table_of(rule(0, (), OutputGroup(1)), groups=(group_of(*buckets, kind=GroupType.SELECT),))
    assert ports_of(table) == [3]


def test_a_bucket_is_an_action_set() -> None:
    writes = (SetField("eth_dst", 9), RegLoad(whole("reg0"), 1))
    written = (Output(2), *writes, Resubmit(1), Output(3), PushVlan(), PopVlan(), ClearInPort())
    assert action_set(written) == (PopVlan(), PushVlan(), *writes, ClearInPort(), Output(3))
    assert action_set((Output(2), OutputGroup(1))) == (OutputGroup(1),)
    assert action_set((PopVlan(),)) == (PopVlan(),)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (rule(0, (), OutputGroup(9)), "no group 0x9"),
        (rule(0, (), SetField("vlan_vid", VLAN_PRESENT)), "untagged"),
        (rule(0, (), PushVlan(), PushVlan(), PushVlan()), "a third tag pushed"),
        (rule(0, (), goto=0), "goto from table 0 back to 0"),
        (rule(0, (), Output(0xFFFFFFFB)), "reserved port"),
        (rule(0, (), Resubmit(0)), "recursion too deep"),
        (rule(0, (), OutputGroup(1)), "recursion too deep"),
    ],
)
def test_what_a_switch_would_refuse_or_give_up(wrong: Rule, reason: str) -> None:
    table = table_of(wrong, groups=(group_of(Bucket((OutputGroup(1),))),))
    with pytest.raises(SimulationError, match=reason):
        forward(table, FRAME)


def test_the_local_port_is_a_port() -> None:
    assert ports_of(table_of(rule(0, (), Output(0xFFFFFFFE)))) == [0xFFFFFFFE]


def test_a_chain_of_later_tables_may_be_long() -> None:
    rules = [rule(table, (), goto=table + 1) for table in range(MAX_DEPTH + 10)]
    assert ports_of(table_of(*rules, rule(MAX_DEPTH + 10, (), Output(2)))) == [2]


def test_registers_are_there_and_zero() -> None:
    table = table_of(
        rule(0, match(reg0=0, reg3=0), SetField("reg0", 0xFF), RegLoad(Bits("reg0", 4, 8), 0xA5), goto=1),
        rule(1, match(reg0=0xA5F), Output(2)),
    )
    assert ports_of(table) == [2]


def test_some_bits_of_a_field_are_written() -> None:
    loads = (RegLoad(Bits("eth_dst", 0, 8), 9), RegLoad(whole("vlan_vid"), 7), RegLoad(whole("tcp_dst"), 1))
    table = table_of(rule(0, (), *loads, Output(2)))
    ((_, untagged),) = forward(table, FRAME | {"eth_dst": 0xAB02})
    assert (untagged["eth_dst"], untagged["vlan_vid"], "tcp_dst" in untagged) == (0xAB09, 0, False)
    ((_, tagged),) = forward(table, TAGGED | {"tcp_dst": 80})
    assert (tagged["vlan_vid"], tagged["tcp_dst"]) == (VLAN_PRESENT | 7, 1)


def test_tcp_flags_are_those_of_the_frame() -> None:
    table = table_of(rule(0, match(tcp_flags=(0x02, 0x12)), FinTimeout(5), Output(2)))
    assert [ports_of(table, FRAME | {"tcp_flags": flags}) for flags in (0x02, 0x12, 0x03)] == [[2], [], [2]]
    assert ports_of(table) == []


def learning(limit: int = 0, *, idle: int = 60) -> Learn:
    """Notes who has sent something, and sets a bit of reg3 if it could."""
    return Learn(
        *(1, 5, 7, idle, 3, limit, Bits("reg3", 0, 1)),
        match=(LearnSpec(whole("eth_src"), whole("eth_src")), LearnSpec(Bits("metadata", 4, 4), 9)),
        writes=(LearnSpec(Bits("reg0", 0, 1), 1), LearnSpec(whole("ipv6_src"), whole("ipv6_dst"))),
    )


def test_a_learnt_rule_is_met_by_the_next_frame() -> None:
    table = table_of(
        rule(0, (), SetField("metadata", 0x90), learning(), Resubmit(1), goto=2),
        rule(2, match(reg0=1), Output(2)),
    )
    assert ports_of(table, FRAME | {"ipv6_dst": 5 << 64 | 6}) == []
    assert table.rules[(1, 5, match(eth_src=1, metadata=(0x90, 0xF0)))] == Rule(
        *(1, 5, match(eth_src=1, metadata=(0x90, 0xF0)), 7),
        apply=(
            FinTimeout(3),
            RegLoad(Bits("reg0", 0, 1), 1),
            RegLoad(Bits("ipv6_src", 0, 64), 6),
            RegLoad(Bits("ipv6_src", 64, 64), 5),
        ),
        idle_timeout=60,
    )
    assert ports_of(table, FRAME) == [2]


def test_beyond_the_limit_nothing_is_learnt_and_the_verdict_is_zero() -> None:
    table = table_of(
        rule(0, (), learning(limit=2), goto=2), rule(2, match(reg3=1), Output(2)), rule(2, match(reg3=0), Output(3))
    )
    assert [ports_of(table, FRAME | {"eth_src": source}) for source in (1, 2, 3, 1)] == [[2], [2], [3], [2]]
    assert sum(key.table == 1 for key in table.rules) == 2


def test_a_learnt_rule_that_would_change_counts_against_the_limit() -> None:
    table = table_of(rule(0, (), learning(limit=1, idle=60), Output(2)))
    forward(table, FRAME)
    (known,) = [rule for rule in table.rules.values() if rule.table == 1]
    table.apply(RuleChange(add=(rule(0, (), learning(limit=1, idle=30), Output(2)),)))
    ((_, fields),) = forward(table, FRAME)
    assert fields["reg3"] == 0
    assert table.rules[known.key] == known


def test_a_rule_that_is_learnt_over_keeps_its_timeout() -> None:
    table = table_of(rule(0, (), learning(idle=60)))
    forward(table, FRAME)
    (known,) = [rule for rule in table.rules.values() if rule.table == 1]
    table.apply(RuleChange(add=(rule(0, (), learning(idle=30)),)))
    forward(table, FRAME | {"ipv6_dst": 1})
    assert table.rules[known.key].idle_timeout == 60
    assert table.rules[known.key].apply != known.apply


def test_a_learnt_vlan_is_a_mask() -> None:
    learn = Learn(*(1, 5, 7, 0, 0, 0, None), match=(LearnSpec(whole("vlan_vid"), whole("vlan_vid")),), writes=())
    table = table_of(rule(0, (), learn))
    forward(table, TAGGED)
    assert (1, 5, match(vlan_vid=(5, 0xFFF))) in table.rules
