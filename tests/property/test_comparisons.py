"""A comparison by octets finds what a comparison of decoded rules finds, whatever a switch shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.flow.plan import difference, rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.shown import DecodedRules
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.switches.desired_state import DesiredState
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound import flow_stats
from tests.worlds.bridge import HV1, HV3, S1, Vm, World
from tests.worlds.replies import Entry, parts, shown_octets

#: A cookie under which a switch may hold rules of its own.
LEARNT = cookie(CookieKind.STATE, 5, 1)


def _wanted() -> DesiredState:
    world = World()
    world.connect()
    for number, port in enumerate((HV1, HV3), start=1):
        world.ask(port, Vm(number), VdpMode.ASSOCIATE)
    return replace(world.engine.wanted(S1), learns=frozenset({LEARNT}))


WANTED = _wanted()
RULES = tuple(WANTED.rules.values())


def _other_goto(rule: Rule) -> Rule:
    return replace(rule, goto=254 if rule.goto != 254 else 253)


#: Name -> what a switch shows in place of a rule.
ALTERED: dict[str, Callable[[Rule], list[Rule]]] = {
    "missing": lambda rule: [],
    "priority": lambda rule: [replace(rule, priority=rule.priority ^ 1)],
    "cookie": lambda rule: [replace(rule, cookie=rule.cookie ^ 1)],
    "idle timeout": lambda rule: [replace(rule, idle_timeout=rule.idle_timeout + 1)],
    "hard timeout": lambda rule: [replace(rule, hard_timeout=rule.hard_timeout + 1)],
    "goto": lambda rule: [_other_goto(rule)],
    "metadata": lambda rule: [replace(rule, metadata=(1, 3) if rule.metadata != (1, 3) else (2, 3))],
    "meter": lambda rule: [replace(rule, meter=(rule.meter or 0) + 1)],
    "no instructions": lambda rule: [Rule(rule.table, rule.priority, rule.match, rule.cookie, goto=252)],
    "table": lambda rule: [replace(rule, table=rule.table ^ 1)],
    "beside another": lambda rule: [rule, replace(rule, priority=rule.priority ^ 1)],
    "before another content": lambda rule: [rule, _other_goto(rule)],
    "behind another content": lambda rule: [_other_goto(rule), rule],
}
#: The same for what is no difference.
SAME: dict[str, Callable[[Rule], list[Rule]]] = {
    "as it is": lambda rule: [rule],
    "twice": lambda rule: [rule, rule],
    "with what is learnt": lambda rule: [rule, replace(rule, cookie=LEARNT, priority=rule.priority ^ 1)],
}


def found(entries: list[Entry]) -> tuple[set[Rule], set[Rule]]:
    """Rules to be added and removed, by octets; the same by decoded rules but for those that are shown twice."""
    replies = parts(entries)
    by_octets = difference(WANTED.judged(shown_octets(replies)), WANTED.rules)
    rules = [flow_stats.rule(entry) for reply in replies for entry in flow_stats.entries(reply)]
    decoded = difference(WANTED.judged(DecodedRules(rules)), WANTED.rules)
    if len(rule_set(rules)) == len(rules):
        assert (set(by_octets.add), set(by_octets.remove)) == (set(decoded.add), set(decoded.remove))
    assert set(by_octets.add) >= set(decoded.add) and set(by_octets.remove) == set(decoded.remove)
    return set(by_octets.add), set(by_octets.remove)


@pytest.mark.parametrize("name", ALTERED)
def test_each_rule_that_is_not_as_it_should_be_is_found(name: str) -> None:
    for rule in RULES[:: max(len(RULES) // 40, 1)]:
        others = [Entry(other) for other in RULES if other is not rule]
        shown = ALTERED[name](rule)
        add, remove = found([*others, *map(Entry, shown)])
        assert remove == {other for other in shown if other.key not in WANTED.rules}
        is_altered = any(other.key == rule.key and other != rule for other in shown)
        is_there = any(other.key == rule.key for other in shown)
        assert add == ({rule} if is_altered or not is_there else set())
        assert add or remove


@pytest.mark.parametrize("name", SAME)
def test_nothing_is_found_where_all_is_as_it_should_be(name: str) -> None:
    assert found([Entry(shown) for rule in RULES for shown in SAME[name](rule)]) == (set(), set())


@given(
    chosen=st.dictionaries(st.integers(0, len(RULES) - 1), st.sampled_from([*ALTERED, *SAME]), max_size=20),
    order=st.randoms(use_true_random=False),
    flags=st.integers(0, 1),
    age=st.integers(0, 0xFFFFFFFF),
)
def test_octets_and_decoded_rules_differ_alike(chosen: dict[int, str], order: Random, flags: int, age: int) -> None:
    """In any order of the rules, of any age, and however much they have counted."""
    alter = ALTERED | SAME
    shown = [rule for number, known in enumerate(RULES) for rule in alter[chosen.get(number, "as it is")](known)]
    order.shuffle(shown)
    add, remove = found([Entry(rule, flags, age, age) for rule in shown])
    keys = {rule.key for rule in shown}
    assert {rule for rule in RULES if rule.key not in keys} <= add
    assert all(rule.key not in WANTED.rules for rule in remove)


def test_match_in_another_order_is_decoded() -> None:
    """A switch that shows its rules otherwise costs time, and nothing is taken for what it is not."""
    rule = next(rule for rule in RULES if len(rule.match) > 1)
    turned = replace(rule, match=tuple(reversed(rule.match)))
    shown = shown_octets(parts(Entry(other if other is not rule else turned) for other in RULES))
    assert shown.take(RULES) == [rule]
    assert [flow_stats.in_order(other) for other in shown.left()] == [rule]
