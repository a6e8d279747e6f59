"""Tables of rules by state, and what has changed between two of them.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.testbed.flow_dumps import DumpedRule, read_dump

#: Dumps of ``ovs-ofctl`` by name of the switch.
Snapshot = Mapping[str, tuple[str, ...]]


class RuleState(Enum):
    """States of a rule; the values are the lab's words."""

    STAGED = "staged"
    """Of a body to which no gate of this switch leads."""
    ACTIVE = "active"
    """A gate, a body behind a gate, the way to a VM elsewhere, copies of broadcasts."""
    LEARNT = "learnt"
    """Of a connection, or another thing that the switch has learnt by itself."""
    INFRASTRUCTURE = "infrastructure"
    """Of the fabric alone."""


class StatedRule(NamedTuple):
    """A rule with its state."""

    state: RuleState
    rule: DumpedRule

    @property
    def is_gate(self) -> bool:
        """True if it is a rule of the gate of a VSI, at the VSI's own switch."""
        cookie = self.rule.cookie
        return cookie is not None and cookie.kind is CookieKind.GATE and self.rule.epoch > 0

    def __str__(self) -> str:
        table = _table_name(self.rule.table)
        return f"{table:<13} {self.rule.match or 'any'} -> {self.rule.actions}"


def _table_name(number: int) -> str:
    try:
        return Table(number).name
    except ValueError:
        return str(number)


def stated(lines: Iterable[str]) -> list[StatedRule]:
    """The rules of a switch with their states, in the order in which a frame meets them."""
    rules = sorted(read_dump(lines), key=lambda rule: (rule.table, rule.line))
    of_gates = [rule for rule in rules if rule.cookie is not None and rule.cookie.kind is CookieKind.GATE]
    owners = {rule.cookie for rule in of_gates if rule.epoch}
    open_vsis = {(cookie.owner, cookie.generation) for cookie in owners if cookie is not None}
    epochs = {rule.epoch for rule in of_gates}
    return [StatedRule(_state(rule, open_vsis, epochs), rule) for rule in rules]


def _state(rule: DumpedRule, open_vsis: set[tuple[int, int]], epochs: set[int]) -> RuleState:
    cookie = rule.cookie
    if cookie is None or cookie.kind is CookieKind.INFRASTRUCTURE:
        return RuleState.INFRASTRUCTURE
    match cookie.kind:
        case CookieKind.TYPE_BODY:
            return RuleState.ACTIVE if cookie.owner in epochs else RuleState.STAGED
        case CookieKind.VSI_BODY:
            return RuleState.ACTIVE if (cookie.owner, cookie.generation) in open_vsis else RuleState.STAGED
        case CookieKind.STATE | CookieKind.BOND_LINK:
            return RuleState.LEARNT
    return RuleState.ACTIVE


class Change(NamedTuple):
    """The difference between two dumps of a switch.

    Attributes:
        removed, added: rules; learnt ones are not among them.
        activated, deactivated: numbers of rules that have stayed, and are active now, or staged.
    """

    removed: tuple[StatedRule, ...]
    added: tuple[StatedRule, ...]
    activated: int
    deactivated: int

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.activated or self.deactivated)


def change(before: Iterable[str], after: Iterable[str]) -> Change:
    """Compare two dumps of a switch."""
    return _compare(stated(before), stated(after))


def _compare(before: Iterable[StatedRule], after: Iterable[StatedRule]) -> Change:
    old, new = ({rule.rule.line: rule for rule in rules} for rules in (before, after))
    turned = Counter(new[line].state for line in old.keys() & new.keys() if old[line].state is not new[line].state)
    removed = tuple(rule for line, rule in old.items() if line not in new and rule.state is not RuleState.LEARNT)
    added = tuple(rule for line, rule in new.items() if line not in old and rule.state is not RuleState.LEARNT)
    return Change(removed, added, turned[RuleState.ACTIVE], turned[RuleState.STAGED])


def change_lines(before: Snapshot, after: Snapshot, shown: int) -> Iterator[str]:
    """Lines of a difference: ``-`` and ``+`` before rules, at most ``shown`` of each state."""
    tables = {switch: (stated(before.get(switch, ())), stated(after[switch])) for switch in after}
    found = {switch: _compare(*pair) for switch, pair in tables.items()}
    if not any(found.values()):
        yield "no rule has changed"
    for switch, difference in found.items():
        if difference:
            yield f"{switch}: {_summary(*tables[switch])}"
            yield from _marked("-", difference.removed, shown)
            yield from _marked("+", difference.added, shown)
            if difference.activated:
                yield f"  = {difference.activated} rules, staged before, are active now"
            if difference.deactivated:
                yield f"  = {difference.deactivated} rules, active before, are staged now"


def _summary(before: Iterable[StatedRule], after: Iterable[StatedRule]) -> str:
    old, new = (Counter(rule.state for rule in rules) for rules in (before, after))
    states = (RuleState.STAGED, RuleState.ACTIVE)
    return ", ".join(f"{state.value} {old[state]} -> {new[state]}" for state in states)


def _marked(mark: str, rules: Iterable[StatedRule], shown: int) -> Iterator[str]:
    by_state: dict[RuleState, list[StatedRule]] = {}
    for rule in rules:
        by_state.setdefault(rule.state, []).append(rule)
    for state, members in by_state.items():
        for rule in members[:shown]:
            yield f"  {mark} {state.value}: {rule}"
        if len(members) > shown:
            yield f"  {mark} {state.value}: and {len(members) - shown} more"


def dump_lines(snapshot: Snapshot, state: str) -> Iterator[str]:
    """Lines of the rules in a state, or in all of them; without one, all but the infrastructure's."""
    for switch, lines in snapshot.items():
        rules = stated(lines)
        numbers = Counter(rule.state for rule in rules)
        yield f"{switch}: " + ", ".join(f"{numbers[each]} {each.value}" for each in RuleState)
        for rule in rules:
            hidden = rule.state is RuleState.INFRASTRUCTURE if not state else state not in ("all", rule.state.value)
            if not hidden:
                yield f"  {rule.state.value}: {rule}"
