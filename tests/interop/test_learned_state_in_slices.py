"""Learned state of a VSI, read from a real Open vSwitch: few rules at a time, and all of them."""

from __future__ import annotations

from collections import Counter

from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import RulesRead
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound import flow_stats
from ryu_apps.southbound.counted import SLICE
from tests.interop.controller import Controller
from tests.unit.southbound.test_counted import LANE, MASK, PARTS, client, connection, pin


def test_open_vswitch_shows_each_rule_once_and_few_at_a_time(controller: Controller) -> None:
    some = [connection(80, port) for port in range(40_000, 40_100)]
    datagrams = [pin(port, 53, kind=(0x86DD, 17)) for port in range(100, 130)]
    rules = [*client(range(10_000, 11_000)), *some, *datagrams]
    controller.apply(RuleChange(add=tuple(rules)))
    controller.replies.clear()
    controller.driver.read(ReadRules(controller.dpid, 1, MASK, lane=LANE, parts=PARTS))
    controller.driver.read_on()
    shown: list[Rule] = []
    while (portion := controller.until(RulesRead)).more:
        shown += portion.rules
    shown += portion.rules
    assert len(shown) == len(rules)
    assert set(shown) == set(rules)
    sizes: Counter[bytes] = Counter()
    for octets in controller.replies:
        if int.from_bytes(octets[8:10]) == 1:
            sizes[octets[4:8]] += sum(1 for _ in flow_stats.entries(octets))
    assert sum(sizes.values()) == len(rules)
    assert max(sizes.values()) <= SLICE


def test_open_vswitch_is_asked_for_no_rule_if_it_has_more_than_permitted(controller: Controller) -> None:
    controller.apply(RuleChange(add=tuple(client(range(10_000, 10_300)))))
    controller.driver.read(ReadRules(controller.dpid, 1, MASK, lane=LANE, parts=PARTS, most=500))
    controller.driver.read_on()
    assert controller.until(RulesRead) == RulesRead(controller.dpid, 1, (), omitted=True)
