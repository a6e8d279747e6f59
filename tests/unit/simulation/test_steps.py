"""The steps of one frame through a simulated switch."""

from __future__ import annotations

from ryu_apps.evb.flow.actions import (
    Bits,
    Clone,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    Resubmit,
    SetField,
    whole,
)
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.simulation.steps import Grouped, Learned, LookedUp, MeterPassed, Sent
from ryu_apps.evb.simulation.switch import forward, steps

FRAME = {"in_port": 1, "eth_src": 1, "eth_dst": 2, "eth_type": 0x88B5}
LEARN = Learn(9, 10, 1, 0, 0, 1, Bits("reg0", 0, 1), (LearnSpec(whole("eth_src"), whole("eth_src")),), ())


def table_of(*rules: Rule, groups: tuple[Group, ...] = ()) -> FlowTable:
    return FlowTable({rule.key: rule for rule in rules}, {group.group_id: group for group in groups})


def test_a_lookup_has_the_rule_and_the_fields_at_that_moment() -> None:
    first = Rule(0, 5, match(in_port=1), 0, (SetField("eth_dst", 7),), goto=1)
    (one, two), error = steps(table_of(first), FRAME)
    assert error is None
    assert isinstance(one, LookedUp)
    assert isinstance(two, LookedUp)
    assert (one.table, one.rule, one.fields["eth_dst"]) == (0, first, 2)
    assert (two.table, two.rule, two.fields["eth_dst"]) == (1, None, 7)


def test_what_is_nested_has_a_level_of_its_own() -> None:
    rules = (
        Rule(0, 5, (), 0, (Resubmit(3), OutputGroup(1), Clone(4)), goto=5),
        Rule(3, 5, (), 0, (Resubmit(4),)),
    )
    group = Group(1, GroupType.ALL, (Bucket((Output(2),)), Bucket((Output(1),))))
    found, _ = steps(table_of(*rules, groups=(group,)), FRAME)
    shown = [(step.level, getattr(step, "table", getattr(step, "port", None))) for step in found]
    assert shown == [(0, 0), (1, 3), (2, 4), (0, None), (1, 2), (1, 1), (1, 4), (0, 5)]
    assert found[3] == Grouped(0, 1, 2, 2)
    assert [step.way_back for step in found if isinstance(step, Sent)] == [False, True]


def test_a_dead_bucket_is_not_carried_out() -> None:
    group = Group(1, GroupType.FAST_FAILOVER, (Bucket((Output(2),), 2), Bucket((Output(3),), 3)))
    found, _ = steps(table_of(Rule(0, 5, (), 0, (OutputGroup(1),)), groups=(group,)), FRAME, {3})
    assert found[1:] == [Grouped(0, 1, 1, 2), Sent(1, 3, False, found[0].fields)]


def test_meters_and_learning() -> None:
    table = table_of(Rule(0, 5, (), 0, (LEARN,), meter=6, goto=1))
    found, _ = steps(table, FRAME)
    assert found[1:3] == [MeterPassed(0, 6, False), Learned(0, LEARN, True)]
    full, _ = steps(table, {**FRAME, "eth_src": 9})
    assert full[2] == Learned(0, LEARN, False)


def test_an_error_of_the_switch_ends_the_steps() -> None:
    table = table_of(Rule(0, 5, (), 0, (Output(2), OutputGroup(9))))
    found, error = steps(table, FRAME)
    assert error == "no group 0x9"
    assert len(found) == 2


def test_what_is_sent_is_what_the_switch_emits() -> None:
    table = table_of(Rule(0, 5, (), 0, (Output(2), Output(1), Output(3))))
    sent = [step.port for step in steps(table, FRAME).steps if isinstance(step, Sent) and not step.way_back]
    assert sent == [port for port, _ in forward(table, FRAME)]
