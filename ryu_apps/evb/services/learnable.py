"""Rules that a switch could have learned for a VSI by itself: all that its state, brought from outside, may consist of.

A rule of state passes frames that the policy would refuse to a new connection.  So what a client brings has to have the
form of a rule that some learn action of the VSI's body makes: all of its fields, its constants, its priority.  Then it
is about one connection of the VSI, and ends as such a rule ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Bits,
    FinTimeout,
    Learn,
    LearnSpec,
    RegLoad,
)
from ryu_apps.evb.flow.match import FIELD_SIZES
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import body_of_vsi, carried_tables


class _Field(NamedTuple):
    """Bits of a field that a rule matches or writes, and those of them that are constant, with their value."""

    mask: int
    fixed: int
    value: int


_Pattern = dict[str, _Field]
_Masked = dict[str, tuple[int, int]]
_Key = tuple[int, int, frozenset[str], frozenset[str]]


class LearnableState:
    """The state that may follow one VSI, as a container of rules."""

    def __init__(self, vsi_type: VsiType, binding: VsiBinding) -> None:
        self._actions: dict[_Key, list[tuple[Learn, _Pattern, _Pattern]]] = defaultdict(list)
        tables = carried_tables(vsi_type)
        for rule in body_of_vsi(vsi_type, binding):
            for action in rule.apply:
                if isinstance(action, Learn) and action.table in tables:
                    match, writes = _pattern(action.match), _pattern(action.writes)
                    key = action.table, action.priority, frozenset(match), frozenset(writes)
                    self._actions[key].append((action, match, writes))

    def __contains__(self, rule: Rule) -> bool:
        """True if some learn action makes such a rule from some frame."""
        match = {field.name: (field.value, _mask(field.name, field.mask)) for field in rule.match}
        writes = _written(action for action in rule.apply if isinstance(action, RegLoad))
        fin = any(isinstance(action, FinTimeout) for action in rule.apply)
        candidates = self._actions.get((rule.table, rule.priority, frozenset(match), frozenset(writes)), ())
        return any(
            fin == bool(learn.fin_idle_timeout)
            and (rule.idle_timeout or not learn.idle_timeout)
            and (rule.hard_timeout or not learn.hard_timeout)
            and _fits(match, matched)
            and _fits(writes, written)
            and all(writes[name][1] == field.mask for name, field in written.items())
            for learn, matched, written in candidates
        )


def _pattern(specs: Iterable[LearnSpec]) -> _Pattern:
    pattern: _Pattern = {}
    for target, source in specs:
        had = pattern.get(target.name, _Field(0, 0, 0))
        bits = _bits(target)
        fixed = 0 if isinstance(source, Bits) else bits
        value = 0 if isinstance(source, Bits) else source << target.offset & bits
        pattern[target.name] = _Field(had.mask | bits, had.fixed | fixed, had.value | value)
    return pattern


def _written(loads: Iterable[RegLoad]) -> _Masked:
    written: _Masked = {}
    for load in loads:
        target, value = load.target, load.value
        had, mask = written.get(target.name, (0, 0))
        bits = _bits(target)
        written[target.name] = had & ~bits | value << target.offset & bits, mask | bits
    return written


def _fits(found: _Masked, pattern: _Pattern) -> bool:
    """True if fields have at least the bits of a pattern, and its constants."""
    return all(
        found[name][1] & field.mask == field.mask and found[name][0] & field.fixed == field.value
        for name, field in pattern.items()
    )


def _bits(run: Bits) -> int:
    return (1 << run.width) - 1 << run.offset


def _mask(name: str, mask: int | None) -> int:
    return (1 << 8 * FIELD_SIZES[name]) - 1 if mask is None else mask
