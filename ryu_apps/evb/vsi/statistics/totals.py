"""Totals of what a VSI has sent and received, summed over switches: the arithmetic and the record.

A reading of a counter adds the difference to the last one.  A counter that was reset meanwhile (its switch has
restarted) is younger than it was or shows less; then its whole value is added.  So a total never falls, and no frame
is added twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import msgpack

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import GUARDED, Direction
from ryu_apps.evb.record_kinds import STATISTICS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import RecordError


class CounterValue(NamedTuple):
    """Frames, and their octets from the destination address on."""

    packets: int = 0
    octets: int = 0

    def plus(self, other: CounterValue) -> CounterValue:
        """Return the sum."""
        return CounterValue(self.packets + other.packets, self.octets + other.octets)


class CounterReading(NamedTuple):
    """Value of a counter, and its age in seconds at that time."""

    shown: CounterValue
    age: float


def since(last: CounterReading | None, now: CounterReading) -> CounterValue:
    """Difference of two readings of a counter."""
    if last is None or now.age < last.age or now.shown.packets < last.shown.packets:
        return now.shown
    return CounterValue(now.shown.packets - last.shown.packets, max(0, now.shown.octets - last.shown.octets))


class AccountKey(NamedTuple):
    """Key of a separate count.

    Attributes:
        type: type whose rules are numbered; None: types that the VSI had before.
        number: as in ``services.statistics.entries``.
        passed: the frames passed; otherwise they were denied.
    """

    type: VsiTypeKey | None
    direction: Direction
    number: int
    passed: bool

    @property
    def verdict(self) -> Verdict:
        """Fate of its frames."""
        if self.number == GUARDED:
            return Verdict.GUARDED
        return Verdict.PASSED if self.passed else Verdict.REFUSED


class Verdict(Enum):
    """Fate of counted frames; the value is that of records."""

    PASSED = 0
    REFUSED = 1
    GUARDED = 2


class GroupCount(NamedTuple):
    """Key of what a VSI has sent or received in a group of ports, such as a vSwitch."""

    group: str
    direction: Direction
    verdict: Verdict


@dataclass(eq=False, slots=True)
class Tally:
    """Counters of one program in one switch.

    Attributes:
        keys: slot -> key of its counter.
        last: slot -> its newest reading.
        rules: number of rules that refer to its counters, as reported by the switch.
        retired: number of readings since its body was removed (None: it stays).
        read: it was read since the controller started, or did not exist before.
        group: of the port, in whose sum its frames are; empty: none.
    """

    dpid: int
    vsi_index: int
    generation: int
    keys: dict[int, AccountKey]
    last: dict[int, CounterReading] = field(default_factory=dict)
    rules: int = 0
    retired: int | None = None
    read: bool = True
    group: str = ""


@dataclass(eq=False, slots=True)
class Account:
    """Counts of one VSI.

    Attributes:
        vsi: canonical text.
        port: its port, if the NMS carries the totals from port to port; None: all ports.
        type: the newest type of the VSI.
        counts: the separate counts.
        base: earlier counts, as set by the NMS.
        tallies: the programs that count for it.
        read: time of the newest reading, monotonic seconds.
        changed: it differs from its record.
        groups: the parts of the counts that were counted in each group, without ``base``.
    """

    vsi: str
    port: PortId | None
    type: VsiTypeKey
    counts: dict[AccountKey, CounterValue] = field(default_factory=dict)
    base: dict[Direction, CounterValue] = field(default_factory=dict)
    tallies: list[Tally] = field(default_factory=list)
    read: float | None = None
    changed: bool = False
    groups: dict[GroupCount, CounterValue] = field(default_factory=dict)

    def take(self, tally: Tally, slot: int, reading: CounterReading) -> None:
        """Add a reading of one of its counters."""
        key = tally.keys.get(slot)
        if key is None:
            return
        tally.read = True
        fresh = since(tally.last.get(slot), reading)
        tally.last[slot] = reading
        if fresh != CounterValue():
            self.counts[key] = self.counts.get(key, CounterValue()).plus(fresh)
            self.changed = True
            if tally.group:
                counted = GroupCount(tally.group, key.direction, key.verdict)
                self.groups[counted] = self.groups.get(counted, CounterValue()).plus(fresh)

    @property
    def complete(self) -> bool:
        """True if no earlier total can exceed this one: before a restart, more may have been shown than was written.

        Readings of retired counters are written at once.
        """
        return all(tally.read or tally.retired is not None for tally in self.tallies)

    def total(self, direction: Direction) -> CounterValue:
        """Return the frames that passed, base included."""
        return self._sum(direction, True).plus(self.base.get(direction, CounterValue()))

    def refused(self, direction: Direction) -> CounterValue:
        """Return the frames that the ACL denied."""
        return self._sum(direction, False)

    def guarded(self, direction: Direction) -> CounterValue:
        """Return the frames that guards dropped."""
        return _sum(count for key, count in self.counts.items() if _is_guarded(key) and key.direction is direction)

    def earlier(self, direction: Direction, passed: bool = True) -> CounterValue:
        """Return the part that rules of earlier types have counted."""
        return _sum(
            count for key, count in self.counts.items() if _is(key, direction, passed) and key.type != self.type
        )

    def become(self, new: VsiTypeKey) -> None:
        """Change the type; counts of types without a program are folded into one."""
        self.type = new
        needed = {new, *(key.type for tally in self.tallies for key in tally.keys.values())}
        for key in [key for key in self.counts if key.type is not None and key.type not in needed]:
            folded = AccountKey(None, key.direction, GUARDED if _is_guarded(key) else 0, key.passed)
            self.counts[folded] = self.counts.get(folded, CounterValue()).plus(self.counts.pop(key))

    def _sum(self, direction: Direction, passed: bool) -> CounterValue:
        return _sum(count for key, count in self.counts.items() if _is(key, direction, passed))


def _is(key: AccountKey, direction: Direction, passed: bool) -> bool:
    return key.direction is direction and key.passed is passed and not _is_guarded(key)


def _is_guarded(key: AccountKey) -> bool:
    return key.verdict is Verdict.GUARDED


def _sum(counts: Iterable[CounterValue]) -> CounterValue:
    total = CounterValue()
    for count in counts:
        total = total.plus(count)
    return total


# --- the record -----------------------------------------------------------------------------------
def encode(account: Account) -> bytes:
    """Encode an account as msgpack: totals together with the readings they come from."""
    groups = [[key.group, int(key.direction), key.verdict.value, *count] for key, count in account.groups.items()]
    encoded = msgpack.packb(
        [
            STATISTICS.schema,
            account.vsi,
            None if account.port is None else list(account.port),
            list(account.type),
            [[_pack(key), *count] for key, count in account.counts.items()],
            _packed_base(account.base),
            [_pack_tally(tally) for tally in account.tallies],
            # Earlier versions read records without groups.
            *([groups] if groups else []),
        ]
    )
    assert isinstance(encoded, bytes)
    return encoded


def decode(data: bytes) -> Account:
    """Decode a record.  Its programs count as retired until they are staged again.

    Raises:
        RecordError: damaged, or of another schema.
    """
    try:
        schema, *fields = msgpack.unpackb(data)
        if schema != STATISTICS.schema:
            raise RecordError(f"schema {schema}, not {STATISTICS.schema}")
        return _account(*fields)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise RecordError(str(error)) from error


def pack_base(base: Mapping[Direction, CounterValue]) -> bytes:
    """Encode counts that were brought for a VSI as msgpack."""
    packed = msgpack.packb(_packed_base(base))
    assert isinstance(packed, bytes)
    return packed


def unpack_base(octets: bytes) -> dict[Direction, CounterValue]:
    """Decode counts that were brought for a VSI.

    Raises:
        RecordError: damaged.
    """
    try:
        return _base(msgpack.unpackb(octets))
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise RecordError(str(error)) from error


def _packed_base(base: Mapping[Direction, CounterValue]) -> list[list[int]]:
    return [[int(direction), *count] for direction, count in base.items()]


def _base(packed: list[Any]) -> dict[Direction, CounterValue]:
    return {Direction(direction): CounterValue(packets, octets) for direction, packets, octets in packed}


def _account(
    vsi: str,
    port: list[int] | None,
    key: list[int],
    counts: list[Any],
    base: list[Any],
    tallies: list[Any],
    groups: Iterable[Any] = (),
) -> Account:
    return Account(
        vsi,
        None if port is None else PortId(*port),
        VsiTypeKey(*key),
        {_unpack(packed): CounterValue(packets, octets) for packed, packets, octets in counts},
        _base(base),
        [_unpack_tally(*tally) for tally in tallies],
        groups={
            GroupCount(group, Direction(direction), Verdict(verdict)): CounterValue(packets, octets)
            for group, direction, verdict, packets, octets in groups
        },
    )


def _pack(key: AccountKey) -> list[object]:
    return [None if key.type is None else list(key.type), int(key.direction), key.number, key.passed]


def _unpack(fields: list[Any]) -> AccountKey:
    of, direction, number, passed = fields
    return AccountKey(None if of is None else VsiTypeKey(*of), Direction(direction), number, passed)


def _pack_tally(tally: Tally) -> list[object]:
    keys = [[slot, _pack(key)] for slot, key in tally.keys.items()]
    last = [[slot, *reading.shown, reading.age] for slot, reading in tally.last.items()]
    group = [tally.group] if tally.group else []
    return [tally.dpid, tally.vsi_index, tally.generation, keys, last, *group]


def _unpack_tally(
    dpid: int, vsi_index: int, generation: int, keys: list[Any], last: list[Any], group: str = ""
) -> Tally:
    return Tally(
        dpid,
        vsi_index,
        generation,
        {slot: _unpack(key) for slot, key in keys},
        {slot: CounterReading(CounterValue(packets, octets), age) for slot, packets, octets, age in last},
        retired=0,
        read=False,
        group=group,
    )
