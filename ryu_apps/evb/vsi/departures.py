"""Ports that VSIs have left without their stations having said so: what these still believe they have.

A station repeats what it holds as a keep-alive, and that looks like a request.  So the bridge has to know, for hours
and over restarts of its own, which requests are only repetitions: those of a VSI that was taken from the port.
Decides nothing about switches; ``associations`` asks it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import msgpack

from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.association import Association, VdpMode, decode_association
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import Identity, ManagerId, identity_of
from ryu_apps.evb.wire.vsi_id import VsiId

#: What the keys of these records begin with, one a VSI.
PREFIX = "departed/"
#: What is remembered of one VSI, of one port, and in all; the oldest goes first.
MAX_PER_VSI = 16
MAX_PER_PORT = 4096
MAX_IN_ALL = 16384

_SCHEMA = 1
_TLV_HEADER = 2


class Cause(Enum):
    """Why a VSI is not at a port any more."""

    EXPIRED = "its keep-alives stopped"
    DISPLACED = "it is associated at another port"
    RECALLED = "it was taken off"
    SUPERSEDED = "the station has asked for it in another way since"


@dataclass(slots=True)
class Departure:
    """One VSI, by one identity, that was at a port.

    Attributes:
        cause: why it is not any more.
        association: what the station was granted last, in that mode.
        told: when the station acknowledged that it is gone, monotonic seconds; None: it may not know.
        number: grows with every departure of the bridge.
    """

    cause: Cause
    association: Association
    told: float | None = None
    number: int = 0

    def is_repetition(self, asked: Association, owned: bool, now: float, under_way: float) -> bool:
        """Whether a request only repeats what the station had, or would not have been made had it known.

        Args:
            asked: the request, of the same identity; no De-Associate.
            owned: the VSI lives at another port.
            under_way: seconds for which what a station has said before it was told may still be coming in.
        """
        if self.association.MODE is VdpMode.ASSOCIATE and asked.MODE is not VdpMode.ASSOCIATE:
            # No station goes back to Pre-Associate with a VSI that it believes to be associated.
            return False
        if self.told is None:
            return self.cause is not Cause.EXPIRED
        if now < self.told + under_way:
            return True
        # lldpad repeats the M bit in keep-alives as well; of a station that has been told, it is an announcement.
        migrating = isinstance(asked.status, RequestStatus) and asked.status.migrating
        return self.cause is Cause.DISPLACED and owned and not migrating

    @property
    def counts(self) -> bool:
        """Whether it has to outlive the controller."""
        return self.told is None or self.cause is Cause.DISPLACED


DepartureKey = tuple[VsiId, PortId, Identity]


class Departures:
    """All departures of one bridge, oldest first, and what of them the store does not hold yet."""

    def __init__(self) -> None:
        self._all: dict[DepartureKey, Departure] = {}
        self._of: dict[VsiId, dict[DepartureKey, None]] = {}
        self._at_port: Counter[PortId] = Counter()
        self._number = 0
        self._changed: dict[VsiId, None] = {}
        self._stored: set[VsiId] = set()
        self._saving: dict[int, tuple[VsiId, ...]] = {}
        self._refused: set[VsiId] = set()

    def __len__(self) -> int:
        return len(self._all)

    def vsis(self) -> list[VsiId]:
        """The VSIs of which anything is known."""
        return list(self._of)

    def count_at(self, port: PortId) -> int:
        """How many a port has."""
        return self._at_port[port]

    def find(self, vsi_id: VsiId, port: PortId, identity: Identity) -> Departure | None:
        """What is known of a VSI by that identity at a port."""
        return self._all.get((vsi_id, port, identity))

    def untold(self, port: PortId, vsi_id: VsiId | None = None) -> Iterator[tuple[ManagerId, Association]]:
        """What the station at a port may not know yet, of one VSI or of all."""
        places = self._all if vsi_id is None else self._of.get(vsi_id, {})
        for place in list(places):
            one = self._all[place]
            if place[1] == port and one.told is None:
                yield place[2].manager_id, one.association

    def note(self, port: PortId, manager_id: ManagerId, association: Association, cause: Cause) -> None:
        """A VSI is not at a port any more, by that identity; the newest is remembered longest."""
        place = association.vsi_id, port, identity_of(manager_id, association)
        self._remove(place)
        self._make_room(place)
        self._add(place, Departure(cause, association, number=self._number + 1))
        self._changed[place[0]] = None

    def drop(self, vsi_id: VsiId, port: PortId, identity: Identity) -> None:
        """The station has asked anew, or has let go: what it had does not matter any more."""
        place = vsi_id, port, identity
        if place in self._all:
            self._remove(place)
            self._changed[vsi_id] = None

    def told(self, vsi_id: VsiId, port: PortId, identity: Identity, now: float) -> None:
        """The station has acknowledged that it has not got the VSI any more."""
        one = self._all.get((vsi_id, port, identity))
        if one is not None and one.told is None:
            one.told = now
            self._changed[vsi_id] = None

    def taken(self, vsi_id: VsiId, port: PortId) -> None:
        """A port has got the VSI: those where it had only expired have been displaced by that."""
        for place in self._of.get(vsi_id, ()):
            one = self._all[place]
            if place[1] != port and one.cause is Cause.EXPIRED:
                one.cause = Cause.DISPLACED
                self._changed[vsi_id] = None

    def ended(self, vsi_id: VsiId) -> None:
        """The VSI is nowhere: stations that know that it has left them may have it again."""
        for place in list(self._of.get(vsi_id, ())):
            if self._all[place].told is not None:
                self._remove(place)
                self._changed[vsi_id] = None

    # --- the store ---
    def changes(self, token: Callable[[], int]) -> tuple[int, dict[str, bytes | None]] | None:
        """What the store has to be told, and the token of the writing; None: nothing."""
        if not self._changed:
            return None
        written: dict[str, bytes | None] = {}
        vsis, self._changed = tuple(self._changed), {}
        for vsi_id in vsis:
            octets = self._encode(vsi_id)
            if octets is not None or vsi_id in self._stored:
                written[f"{PREFIX}{vsi_id}"] = octets
            (self._stored.discard if octets is None else self._stored.add)(vsi_id)
        if not written:
            return None
        number = token()
        self._saving[number] = vsis
        return number, written

    def saved(self, token: int, failure: str | None) -> None:
        """The store has written them, or cannot."""
        vsis = self._saving.pop(token, ())
        if failure is not None:
            self._refused.update(vsis)

    def again(self) -> None:
        """Write anew what the store has refused."""
        self._changed.update(dict.fromkeys(self._refused))
        self._stored |= self._refused
        self._refused.clear()

    def restore(self, records: Mapping[str, bytes], is_port: Callable[[PortId], bool]) -> dict[str, None]:
        """Take up what an earlier life has written; those that cannot be read, to be deleted."""
        found: list[tuple[DepartureKey, Departure]] = []
        unusable: dict[str, None] = {}
        for key, octets in records.items():
            try:
                found += _decode(octets)
            except (ValueError, TypeError, KeyError, WireError, msgpack.UnpackException):
                unusable[key] = None
        for place, one in sorted(found, key=lambda each: each[1].number):
            self._stored.add(place[0])
            if is_port(place[1]):
                self._add(place, one)
        return unusable

    def _encode(self, vsi_id: VsiId) -> bytes | None:
        rows = [_row(place, one) for place in self._of.get(vsi_id, ()) if (one := self._all[place]).counts]
        octets = msgpack.packb([_SCHEMA, rows]) if rows else None
        assert octets is None or isinstance(octets, bytes)
        return octets

    def _add(self, place: DepartureKey, one: Departure) -> None:
        self._all[place] = one
        self._of.setdefault(place[0], {})[place] = None
        self._at_port[place[1]] += 1
        self._number = max(self._number, one.number)

    # --- bounds ---
    def _make_room(self, place: DepartureKey) -> None:
        vsi_id, port, _ = place
        of_vsi = self._of.get(vsi_id, {})
        if len(of_vsi) >= MAX_PER_VSI:
            self._evict(next(iter(of_vsi)))
        if self._at_port[port] >= MAX_PER_PORT:
            self._evict(next(one for one in self._all if one[1] == port))
        if len(self._all) >= MAX_IN_ALL:
            self._evict(next(iter(self._all)))

    def _evict(self, place: DepartureKey) -> None:
        self._remove(place)
        self._changed[place[0]] = None

    def _remove(self, place: DepartureKey) -> None:
        if self._all.pop(place, None) is None:
            return
        self._at_port[place[1]] -= 1
        of_vsi = self._of[place[0]]
        del of_vsi[place]
        if not of_vsi:
            del self._of[place[0]]


def _row(place: DepartureKey, one: Departure) -> list[object]:
    _, port, identity = place
    asked = one.association
    return [
        one.number,
        list(port),
        one.cause.name,
        one.told is not None,
        identity.manager_id.octets,
        int(asked.MODE),
        asked.encode()[_TLV_HEADER:],
    ]


def _decode(octets: bytes) -> list[tuple[DepartureKey, Departure]]:
    schema, rows = msgpack.unpackb(octets)
    if schema != _SCHEMA:
        raise ValueError(f"schema {schema}, not {_SCHEMA}")
    found = []
    for number, port, cause, told, manager_id, mode, tlv in rows:
        asked = decode_association(VdpMode(mode), tlv)
        place = asked.vsi_id, PortId(*port), identity_of(ManagerId(manager_id), asked)
        when = float("-inf") if told else None
        found.append((place, Departure(Cause[cause], asked, when, number)))
    return found
