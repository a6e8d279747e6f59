"""Check of messages that lets a bundle's commit leave together with them.

Open vSwitch checks a message in two steps.  On arrival it checks the prerequisites of every match field, the actions,
and the ranges of values.  A message that fails is left out of the bundle and the rest is committed, so the commit has
to wait for a barrier.  The existence of groups and meters, and the room in the table, are checked when the bundle is
committed; a failure there fails all of it.

The first step depends on nothing but the :class:`Shape` of a rule.  A switch that has accepted a shape once accepts it
again, and the round trip can be saved; one whose bundle was prepared has been asked before
(:class:`ryu_apps.southbound.bundles.RehearsalJob`).
"""

from __future__ import annotations

from typing import TypeAlias

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    RegLoad,
    SetField,
)
from ryu_apps.evb.flow.match import REGISTERS, VLAN_PRESENT
from ryu_apps.evb.flow.rule import Group, Rule
from ryu_apps.southbound.piece import QueuedMessage

#: Values to compare for equality: messages of equal shape pass or fail the first step alike.
Shape: TypeAlias = tuple[object, ...]

#: Fields of which every value is as good as any other.
_FREE = {"metadata", "eth_src", "eth_dst", *REGISTERS}
#: Port numbers below this are ordinary ones; above, each has a meaning of its own, or none.
_FIRST_SPECIAL_PORT = 0xFF00


def shape(message: QueuedMessage) -> Shape | None:
    """The shape of an added or removed rule, or of a group; None for a message that has none."""
    rule, added = message[1].what, message[1].added
    if isinstance(rule, Group):
        return Group, rule.type, tuple(tuple(map(_action, bucket.actions)) for bucket in rule.buckets)
    if not isinstance(rule, Rule):
        return None
    fields = tuple((name, _value(name, value), mask) for name, value, mask in rule.match)
    if not added:
        return rule.table, fields
    writes = rule.metadata is not None
    return rule.table, fields, tuple(map(_action, rule.apply)), writes, rule.goto, rule.meter


def _value(name: str, value: int) -> object:
    if name in _FREE:
        return None
    if name == "vlan_vid":
        return value & VLAN_PRESENT
    if name == "in_port":
        return _port(value)
    return value


def _port(number: int) -> object:
    return number if number >= _FIRST_SPECIAL_PORT else None


def _action(action: Action) -> object:
    match action:
        case Output(port, max_len):
            return Output, _port(port), max_len
        case OutputGroup():
            return OutputGroup
        case SetField(name, value):
            return SetField, name, _value(name, value)
        case RegLoad(target, value):
            return RegLoad, target, _value(target.name, value)
        case Learn():
            made = tuple(map(_learned, (*action.match, *action.writes)))
            return Learn, action.table, len(action.match), made, bool(action.limit), action.result_dst
        case _:
            return action


def _learned(one: LearnSpec) -> object:
    target, source = one
    return target, source if isinstance(source, Bits) else _value(target.name, source)
