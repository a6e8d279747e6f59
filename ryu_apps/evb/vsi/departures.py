"""Departures: VSIs that were taken from a port without a De-Associate of its station.

A station repeats its associations as keep-alives, and a keep-alive has the form of a request.  So the bridge must
distinguish, for hours and over its own restarts, new requests from repetitions for a VSI that was taken from the port.
The module decides nothing about switches; ``bridge.requests`` queries it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import msgpack

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.record_kinds import DEPARTED
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import NEVER
from ryu_apps.evb.wire.association import Association, VdpMode, decode_association
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import Identity, ManagerId, identity_of
from ryu_apps.evb.wire.vsi_id import VsiId

#: Most departures of one VSI, of one port, and in all; the oldest goes first.
MAX_PER_VSI = 16
MAX_PER_PORT = 4096
MAX_IN_ALL = 16384

_TLV_HEADER = 2


class Cause(Enum):
    """Reason why a VSI is not at a port any more."""

    EXPIRED = "its keep-alives stopped"
    DISPLACED = "it is associated at another port"
    RECALLED = "it was taken off"
    SUPERSEDED = "the station has asked for it in another way since"


@dataclass(slots=True)
class Departure:
    """A VSI, by one identity, that was at a port.

    Attributes:
        cause: why it was taken from there.
        association: the TLV that the station was granted last, in that mode.
        acknowledged: time at which the station acknowledged the De-Associate, monotonic seconds; None: it has not.
        notify_at: time at which the De-Associate is sent, unless the station ends its association before; None: it
            has been sent.
        number: grows with every departure of the bridge.
    """

    cause: Cause
    association: Association
    acknowledged: float | None = None
    number: int = 0
    notify_at: float | None = None

    def is_repetition(self, asked: Association, owned: bool, now: float, under_way: float) -> bool:
        """True for a request that is only a keep-alive of the old association, or was sent before the acknowledgement.

        Args:
            asked: the request, of the same identity; not a De-Associate.
            owned: the VSI is active at another port.
            under_way: seconds after the acknowledgement in which earlier frames of the station may still arrive.
        """
        if self.association.MODE is VdpMode.ASSOCIATE and asked.MODE is not VdpMode.ASSOCIATE:
            # A station that still holds the association never goes back to Pre-Associate, so this is a new request.
            return False
        if self.acknowledged is None:
            return self.cause is not Cause.EXPIRED
        if now < self.acknowledged + under_way:
            return True
        # lldpad repeats the M bit in keep-alives as well; after the acknowledgement it announces a migration.
        migrating = isinstance(asked.status, RequestStatus) and asked.status.migrating
        return self.cause is Cause.DISPLACED and owned and not migrating

    @property
    def is_stored(self) -> bool:
        """True if it has to survive a restart of the controller."""
        return self.acknowledged is None or self.cause is Cause.DISPLACED

    def is_withheld_from(self, asked: Association) -> bool:
        """True if a request is a keep-alive, and the station is not to be notified yet that the VSI has moved."""
        return self.notify_at is not None and asked.MODE is self.association.MODE


DepartureKey = tuple[VsiId, PortId, Identity]


class Departures:
    """Departures of one bridge, oldest first, and the changes that the store does not have yet."""

    def __init__(self) -> None:
        self._all: dict[DepartureKey, Departure] = {}
        self._of: dict[VsiId, dict[DepartureKey, None]] = {}
        self._at_port: Counter[PortId] = Counter()
        self._number = 0
        self._changed: dict[VsiId, None] = {}
        self._stored: set[VsiId] = set()
        self._saving: dict[int, tuple[VsiId, ...]] = {}
        self._refused: set[VsiId] = set()
        self._withheld: DeadlineQueue[DepartureKey] = DeadlineQueue()

    @property
    def deadline(self) -> float | None:
        """Time at which a De-Associate is due, monotonic seconds."""
        return self._withheld.deadline

    def __len__(self) -> int:
        return len(self._all)

    def vsis(self) -> list[VsiId]:
        """Return the VSIs that have departures."""
        return list(self._of)

    def count_at(self, port: PortId) -> int:
        """Return the number of departures of a port."""
        return self._at_port[port]

    def find(self, vsi_id: VsiId, port: PortId, identity: Identity) -> Departure | None:
        """Return the departure of a VSI by an identity at a port, None if there is none."""
        return self._all.get((vsi_id, port, identity))

    def unacknowledged(self, port: PortId, vsi_id: VsiId | None = None) -> Iterator[tuple[ManagerId, Association]]:
        """Yield the departures that a port's station has been notified of and not acknowledged, of one VSI or all."""
        places = self._all if vsi_id is None else self._of.get(vsi_id, {})
        for place in list(places):
            departure = self._all[place]
            if place[1] == port and departure.acknowledged is None and departure.notify_at is None:
                yield place[2].manager_id, departure.association

    def superseded(self, port: PortId, vsi_id: VsiId) -> Iterator[tuple[ManagerId, Association]]:
        """Yield what a port's station has replaced by a later request for a VSI, and not acknowledged the end of."""
        for place in list(self._of.get(vsi_id, ())):
            departure = self._all[place]
            if place[1] == port and departure.cause is Cause.SUPERSEDED and departure.acknowledged is None:
                yield place[2].manager_id, departure.association

    def note(
        self,
        port: PortId,
        manager_id: ManagerId,
        association: Association,
        cause: Cause,
        notify_at: float | None = None,
    ) -> None:
        """Record that a VSI was taken from a port; the newest record is evicted last."""
        place = association.vsi_id, port, identity_of(manager_id, association)
        self._remove(place)
        self._make_room(place)
        self._add(place, Departure(cause, association, number=self._number + 1))
        self._withhold(place, notify_at)
        self._changed[place[0]] = None

    def drop(self, vsi_id: VsiId, port: PortId, identity: Identity) -> None:
        """Remove a departure: the station has made a new request or has de-associated."""
        place = vsi_id, port, identity
        if place in self._all:
            self._remove(place)
            self._changed[vsi_id] = None

    def acknowledge(self, vsi_id: VsiId, port: PortId, identity: Identity, now: float, attached: bool) -> None:
        """Record that the station has acknowledged the De-Associate.

        Args:
            attached: the VSI is at a port.
        """
        departure = self._all.get((vsi_id, port, identity))
        if departure is not None and departure.acknowledged is None:
            departure.acknowledged = now
            if departure.cause is Cause.DISPLACED and not attached:
                # The VSI may have ended at the other port before the acknowledgement: no call of ``ended`` follows,
                # and the record would stay in the store.
                departure.cause = Cause.RECALLED
            self._changed[vsi_id] = None

    def due(self, now: float) -> Iterator[tuple[PortId, ManagerId, Association]]:
        """Yield the departures of which the station has to be notified now."""
        for place in self._withheld.due(now):
            departure = self._all[place]
            departure.notify_at = None
            yield place[1], place[2].manager_id, departure.association

    def postpone(self, seconds: float) -> None:
        """Extend the deadlines by a time in which no station could be heard."""
        for place, departure in self._all.items():
            if departure.notify_at is not None:
                self._withhold(place, departure.notify_at + seconds)

    def taken(self, vsi_id: VsiId, port: PortId) -> None:
        """Turn expired departures of a VSI at other ports into displaced ones: a port has the VSI now."""
        for place in self._of.get(vsi_id, ()):
            departure = self._all[place]
            if place[1] != port and departure.cause is Cause.EXPIRED:
                departure.cause = Cause.DISPLACED
                self._changed[vsi_id] = None

    def ended(self, vsi_id: VsiId) -> None:
        """Remove the acknowledged departures of a VSI that is at no port: its stations may associate it again."""
        for place in list(self._of.get(vsi_id, ())):
            if self._all[place].acknowledged is not None:
                self._remove(place)
                self._changed[vsi_id] = None

    # --- the store ---
    def changes(self, token: Callable[[], int]) -> tuple[int, dict[str, bytes | None]] | None:
        """Return the changes for the store and the token of their writing; None: there are none."""
        if not self._changed:
            return None
        written: dict[str, bytes | None] = {}
        vsis, self._changed = tuple(self._changed), {}
        for vsi_id in vsis:
            octets = self._encode(vsi_id)
            if octets is not None or vsi_id in self._stored:
                written[DEPARTED.key(vsi_id)] = octets
            (self._stored.discard if octets is None else self._stored.add)(vsi_id)
        if not written:
            return None
        number = token()
        self._saving[number] = vsis
        return number, written

    def saved(self, token: int, failure: str | None) -> None:
        """Process the confirmation or failure of a writing."""
        vsis = self._saving.pop(token, ())
        if failure is not None:
            self._refused.update(vsis)

    def again(self) -> None:
        """Write again what the store has failed to write."""
        self._changed.update(dict.fromkeys(self._refused))
        self._stored |= self._refused
        self._refused.clear()

    def restore(
        self,
        records: Mapping[str, bytes],
        is_port: Callable[[PortId], bool],
        notify_at: Callable[[PortId, ManagerId, Association], float | None],
    ) -> dict[str, None]:
        """Restore departures from their records; returns the keys of those that cannot be read, to be deleted.

        Args:
            notify_at: time at which the station at a port is notified of a VSI that has moved away; None: at once.
        """
        found: list[tuple[DepartureKey, Departure]] = []
        unusable: dict[str, None] = {}
        for key, octets in records.items():
            try:
                found += _decode(octets)
            except (ValueError, TypeError, KeyError, WireError, msgpack.UnpackException):
                unusable[key] = None
        for place, departure in sorted(found, key=lambda each: each[1].number):
            self._stored.add(place[0])
            if is_port(place[1]):
                self._add(place, departure)
                if departure.cause is Cause.DISPLACED and departure.acknowledged is None:
                    self._withhold(place, notify_at(place[1], place[2].manager_id, departure.association))
        return unusable

    def _encode(self, vsi_id: VsiId) -> bytes | None:
        rows = [
            _row(place, departure) for place in self._of.get(vsi_id, ()) if (departure := self._all[place]).is_stored
        ]
        octets = msgpack.packb([DEPARTED.schema, rows]) if rows else None
        assert octets is None or isinstance(octets, bytes)
        return octets

    def _add(self, place: DepartureKey, departure: Departure) -> None:
        self._all[place] = departure
        self._of.setdefault(place[0], {})[place] = None
        self._at_port[place[1]] += 1
        self._number = max(self._number, departure.number)

    def _withhold(self, place: DepartureKey, until: float | None) -> None:
        self._all[place].notify_at = until
        self._withheld.set(place, None if until == NEVER else until)

    # --- bounds ---
    def _make_room(self, place: DepartureKey) -> None:
        vsi_id, port, _ = place
        of_vsi = self._of.get(vsi_id, {})
        if len(of_vsi) >= MAX_PER_VSI:
            self._evict(next(iter(of_vsi)))
        if self._at_port[port] >= MAX_PER_PORT:
            self._evict(next(known for known in self._all if known[1] == port))
        if len(self._all) >= MAX_IN_ALL:
            self._evict(next(iter(self._all)))

    def _evict(self, place: DepartureKey) -> None:
        self._remove(place)
        self._changed[place[0]] = None

    def _remove(self, place: DepartureKey) -> None:
        if self._all.pop(place, None) is None:
            return
        self._withheld.set(place, None)
        self._at_port[place[1]] -= 1
        of_vsi = self._of[place[0]]
        del of_vsi[place]
        if not of_vsi:
            del self._of[place[0]]


def _row(place: DepartureKey, departure: Departure) -> list[object]:
    _, port, identity = place
    asked = departure.association
    return [
        departure.number,
        list(port),
        departure.cause.name,
        departure.acknowledged is not None,
        identity.manager_id.octets,
        int(asked.MODE),
        asked.encode()[_TLV_HEADER:],
    ]


def _decode(octets: bytes) -> list[tuple[DepartureKey, Departure]]:
    schema, rows = msgpack.unpackb(octets)
    if schema != DEPARTED.schema:
        raise ValueError(f"schema {schema}, not {DEPARTED.schema}")
    found = []
    for number, port, cause, acknowledged, manager_id, mode, tlv in rows:
        asked = decode_association(VdpMode(mode), tlv)
        place = asked.vsi_id, PortId(*port), identity_of(ManagerId(manager_id), asked)
        when = float("-inf") if acknowledged else None
        found.append((place, Departure(Cause[cause], asked, when, number)))
    return found
