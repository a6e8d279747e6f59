"""The rule that a learn action makes from a frame in Open vSwitch 3.1.

Learning is a strict modification there: a present rule of the same key gets the new actions and the new
cookie, but keeps its timeouts.  A field that the frame does not have counts as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    FinTimeout,
    Learn,
    LearnSpec,
    RegLoad,
    whole,
)
from ryu_apps.evb.flow.match import Match, match
from ryu_apps.evb.flow.rule import Rule, RuleKey

#: Bits that Open vSwitch writes in one load.
_MOST_LOADED = 64
#: Fields that Open vSwitch shows with a mask although all of their bits are matched.
_SHOWN_MASKED = ("vlan_vid", "tcp_flags")


class LearnResult(NamedTuple):
    """Fields of the frame that a learn action changes, and whether its limit allows the rule."""

    fields: dict[str, int]
    allowed: bool


def learn(action: Learn, rules: dict[RuleKey, Rule], frame: Mapping[str, int]) -> LearnResult:
    """Add the rule to ``rules``, unless the limit forbids it.

    The limit counts every rule of the cookie in the table, also the one that would be overwritten.  Only a
    rule that is present already and would not change is always allowed.
    """
    made = learnt(action, frame)
    present = rules.get(made.key)
    held = sum(rule.table == action.table and rule.cookie == action.cookie for rule in rules.values())
    allowed = present == made or not action.limit or held < action.limit
    if allowed:
        rules[made.key] = _with_timeouts_of(present, made) if present else made
    if action.result_dst is None:
        return LearnResult({}, allowed)
    name = action.result_dst.name
    return LearnResult({name: overwrite(frame.get(name, 0), action.result_dst, int(allowed))}, allowed)


def learnt(action: Learn, frame: Mapping[str, int]) -> Rule:
    """The rule that the action makes from the frame."""
    apply: list[Action] = [FinTimeout(action.fin_idle_timeout)] if action.fin_idle_timeout else []
    for write in action.writes:
        apply += _loads(write.target, _value(write, frame))
    return Rule(
        action.table,
        action.priority,
        _match(action, frame),
        action.cookie,
        tuple(apply),
        idle_timeout=action.idle_timeout,
        hard_timeout=action.hard_timeout,
    )


def _with_timeouts_of(present: Rule, made: Rule) -> Rule:
    return replace(made, idle_timeout=present.idle_timeout, hard_timeout=present.hard_timeout)


def overwrite(old: int, bits: Bits, value: int) -> int:
    """The value of a field after some of its bits are written."""
    return old & ~_mask(bits) | value << bits.offset & _mask(bits)


def _mask(bits: Bits) -> int:
    return (1 << bits.width) - 1 << bits.offset


def _value(spec: LearnSpec, frame: Mapping[str, int]) -> int:
    source = spec.source
    value = frame.get(source.name, 0) >> source.offset if isinstance(source, Bits) else source
    return value & (1 << spec.target.width) - 1


def _match(action: Learn, frame: Mapping[str, int]) -> Match:
    masked: dict[str, tuple[int, int]] = {}
    for spec in action.match:
        target = spec.target
        value, mask = masked.get(target.name, (0, 0))
        masked[target.name] = overwrite(value, target, _value(spec, frame)), mask | _mask(target)
    return match(**dict(_shown(masked)))


def _shown(masked: dict[str, tuple[int, int]]) -> Iterator[tuple[str, int | tuple[int, int]]]:
    for name, (value, mask) in masked.items():
        exact = mask == _mask(whole(name)) and name not in _SHOWN_MASKED
        yield name, value if exact else (value, mask)


def _loads(target: Bits, value: int) -> Iterator[RegLoad]:
    """Loads of at most 64 bits each, from the lowest bit on."""
    for done in range(0, target.width, _MOST_LOADED):
        width = min(target.width - done, _MOST_LOADED)
        yield RegLoad(Bits(target.name, target.offset + done, width), value >> done & (1 << width) - 1)
