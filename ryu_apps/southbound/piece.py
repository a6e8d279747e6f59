"""A change cut into pieces of about a hundred messages, serialised once however many switches get it.

Open vSwitch forwards and takes messages in one thread: a piece is what it may have to digest before
it looks at the neighbours' frames again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from weakref import WeakKeyDictionary

from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.rule import (
    CookieMask,
    Group,
    Meter,
    Rule,
)
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.southbound.encode import (
    flow_add,
    flow_remove,
    flow_sweep,
    group_add,
    group_delete,
    group_write,
    meter_delete,
    meter_write,
)
from ryu_apps.southbound.expectation import Expectation
from ryu_apps.southbound.messages import XID_OFFSET, MeterQuery, Query
from ryu_apps.southbound.slices import Slice, cut

PIECE = 100
#: Deletions by cookie in a piece: each may delete a page of a body, which takes the switch 0.1 ms, or more.
SWEEPS = 5

_XID = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of a message; ``added`` if the message adds ``what`` to the switch."""

    what: Rule | Group | Meter | CookieMask | int
    added: bool

    def __str__(self) -> str:
        match self.what:
            case Rule():
                return rule_text(self.what)
            case Group(group_id=group_id):
                return f"group {group_id:#x}"
            case Meter(meter_id=meter_id):
                return f"meter {meter_id}"
            case CookieMask(cookie, mask):
                return f"sweep of {cookie:#x}/{mask:#x}"
            case group_id:
                return f"group {group_id:#x}"


QueuedMessage = tuple[bytes, Subject]


@dataclass(slots=True)
class KnownObjects:
    """Meters and groups that a switch is known to have; kept up by those who send.

    Attributes:
        replaces: the switch adds or replaces a group by the same message.
        meters, groups: their ids.
    """

    replaces: bool = True
    meters: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def named(self, change: RuleChange) -> RuleChange:
        """Name what a change deletes: what others add while it is being sent is not among it."""
        if change.keep_meters is None and change.keep_groups is None:
            return change
        meters = tuple(change.meters_that_go(sorted(self.meters)))
        groups = tuple(change.groups_that_go(sorted(self.groups)))
        return replace(change, keep_meters=None, keep_groups=None, delete_meters=meters, delete_groups=groups)


@dataclass(frozen=True, eq=False)
class Batch:
    """Messages to be sent in one go.

    Attributes:
        messages: each with what it is about; their transaction ids are 0.
        octets: all of them, one behind the other.
        starts: where each begins in ``octets``.
    """

    messages: tuple[QueuedMessage, ...]
    octets: bytes
    starts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.messages)

    @cached_property
    def expectation(self) -> Expectation:
        """The rules and meters that the batch adds; made once, however often the batch is sent."""
        return Expectation((octets, subject.what) for octets, subject in self.messages if subject.added)

    def numbered(self, first: int) -> bytearray:
        """The octets with the transaction ids ``first``, ``first + 1`` and so on."""
        octets = bytearray(self.octets)
        for xid, start in enumerate(self.starts, first):
            _XID.pack_into(octets, start + XID_OFFSET, xid)
        return octets


def _piece(messages: tuple[QueuedMessage, ...]) -> Batch:
    starts = []
    at = 0
    for octets, _subject in messages:
        starts.append(at)
        at += len(octets)
    return Batch(messages, b"".join(octets for octets, _subject in messages), tuple(starts))


class PieceCache:
    """The serialised pieces of rule blocks, for as long as a block is in use anywhere."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[RuleBlock, list[_Prepared]] = WeakKeyDictionary()

    def slices(self, block: RuleBlock) -> list[_Prepared]:
        """A block cut for reading back."""
        if block not in self._known:
            self._known[block] = list(map(_Prepared, cut(block.rules)))
        return self._known[block]


class _Prepared:
    """A slice and the pieces it makes."""

    def __init__(self, slice_: Slice) -> None:
        self._rules = slice_.rules
        self._pieces: dict[int, Batch] = {}
        self.query = slice_.query

    def pieces(self) -> Iterator[Batch]:
        """Serialise each message when it is taken, so that other work runs in between."""
        for start in range(0, len(self._rules), PIECE):
            if start not in self._pieces:
                self._pieces[start] = _piece(tuple(map(addition, self._rules[start : start + PIECE])))
            yield self._pieces[start]


def addition(rule: Rule) -> QueuedMessage:
    """The message that adds a rule."""
    return flow_add(rule), Subject(rule, added=True)


def removal(rule: Rule) -> QueuedMessage:
    """The message that removes a rule."""
    return flow_remove(rule), Subject(rule, added=False)


def meter_messages(change: RuleChange, known: set[int]) -> Iterator[QueuedMessage]:
    """The meters that a change writes; ``known`` are the ids of those that the switch has, and is kept up."""
    for meter in change.meters:
        yield meter_write(meter, known=meter.meter_id in known), Subject(meter, added=True)
        known.add(meter.meter_id)
    for meter in change.counters:
        if meter.meter_id not in known:
            yield meter_write(meter, known=False), Subject(meter, added=True)
            known.add(meter.meter_id)


def openings(change: RuleChange, known: set[int]) -> Iterator[QueuedMessage]:
    """The meters that a change opens at its end; ``known`` is as above."""
    return meter_messages(RuleChange(meters=change.opened), known)


def meter_deletions(change: RuleChange, known: set[int]) -> Iterator[QueuedMessage]:
    """The meters that a change deletes; ``known`` is as above."""
    for meter_id in sorted(change.meters_that_go(known)):
        yield meter_delete(meter_id), Subject(Meter(meter_id, 0, 0), added=False)
        known.discard(meter_id)


def other_messages(change: RuleChange, known: KnownObjects) -> Iterator[QueuedMessage]:
    """Everything but the meters, in the order a change prescribes."""
    yield from group_messages(change, known)
    for block in change.blocks:
        yield from map(addition, block)
    yield from _rule_messages(change)
    yield from sweeps(change, known)


def group_messages(change: RuleChange, known: KnownObjects) -> Iterator[QueuedMessage]:
    """The groups that a change writes."""
    for group in change.groups:
        octets = group_write(group) if known.replaces else group_add(group, known=group.group_id in known.groups)
        known.groups.add(group.group_id)
        yield octets, Subject(group, added=True)


def _rule_messages(change: RuleChange) -> Iterator[QueuedMessage]:
    yield from map(addition, change.add)
    yield from map(removal, change.remove)


def sweeps(change: RuleChange, known: KnownObjects) -> Iterator[QueuedMessage]:
    """Messages that delete rules by cookie, and groups."""
    for mask in change.delete_by_cookie:
        yield flow_sweep(mask), Subject(mask, added=False)
    for group_id in change.groups_that_go(sorted(known.groups)):
        known.groups.discard(group_id)
        yield group_delete(group_id), Subject(group_id, added=False)


def pieces(change: RuleChange, cache: PieceCache, known: KnownObjects) -> Iterator[Batch]:
    """A change in pieces, in the order it prescribes."""
    yield from (step for step in steps(change, cache, known) if isinstance(step, Batch))


def steps(change: RuleChange, cache: PieceCache, known: KnownObjects) -> Iterator[Batch | Query | MeterQuery]:
    """A change in pieces, and behind each part of it the requests that show whether it has arrived."""
    yield from _cut([*meter_messages(change, known.meters), *group_messages(change, known)])
    yield from (MeterQuery(meter.meter_id) for meter in change.meters)
    for block in change.blocks:
        for prepared in cache.slices(block):
            yield from prepared.pieces()
            yield prepared.query
    yield from _cut(_rule_messages(change))
    yield from _cut(sweeps(change, known), SWEEPS)
    yield from _cut([*meter_deletions(change, known.meters), *openings(change, known.meters)])
    yield from dict.fromkeys(part.query for part in cut(change.add))


def _cut(messages: Iterable[QueuedMessage], size: int = PIECE) -> Iterator[Batch]:
    left = iter(messages)
    while some := tuple(islice(left, size)):
        yield _piece(some)


NOTHING = _piece(())
"""What is sent for a change that asks for nothing: only the barrier behind it."""
