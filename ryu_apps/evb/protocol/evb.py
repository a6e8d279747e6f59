"""EVB agreement, bridge side (802.1Q clause 40 and D.2.12): what one port and its station settle on.

Says when an LLDPDU is due and what its EVB TLV holds, and tells when a station came, changed its
mind or went.  Knows nothing of LLDP beyond that: feed it only LLDPDUs sent to the Nearest Customer
Bridge address, for stations send others without an EVB TLV to other addresses.

The bridge advertises its own proposal, not the maximum: were both ends to repeat the maximum, no
value could ever come down again.  And it never sends *because* a station sent, except to a new or
changed one: lldpad answers every LLDPDU, and the two would chatter for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Table, Tick, earliest
from ryu_apps.evb.protocol.timers import Operational, agree
from ryu_apps.evb.topology.fabric import Timers
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus

__all__ = [
    "Advertise",
    "Agreed",
    "EvbBridge",
    "LinkDown",
    "LinkUp",
    "Lost",
    "NeighbourHeard",
    "Shutdown",
    "Tick",
    "documented_rows",
]

FAST_START = 4
"""LLDPDUs sent in a row to a new neighbour."""

FAST_INTERVAL = 1.0
"""Seconds between those, and between any two that a station's changes cause."""

INTERVAL = 30.0
"""Seconds between LLDPDUs otherwise."""


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LinkUp:
    """The port can send."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The port cannot send."""


@dataclass(frozen=True, slots=True)
class NeighbourHeard:
    """An LLDPDU came in.

    Attributes:
        evb: its EVB TLV, None if it has none.
        source: source MAC address, 48 bits.
        ttl: seconds for which it is good; 0: the neighbour shuts down.
    """

    evb: EvbTlv | None
    source: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The neighbour's LLDP says good-bye; the same as an LLDPDU of TTL 0 from the station."""


Event = LinkUp | LinkDown | NeighbourHeard | Shutdown | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Advertise:
    """Send an LLDPDU with this EVB TLV now."""

    evb: EvbTlv


@dataclass(frozen=True, slots=True)
class Agreed:
    """A station is new or what it agreed on has changed.

    Attributes:
        operational: timers in force.
        station: MAC address of the station's port, 48 bits.
        reflective_relay: the bridge sends frames back to the port they came from.
        groups: filter info may hold GroupIDs.
    """

    operational: Operational
    station: int
    reflective_relay: bool
    groups: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no EVB station at the port any more; ``reason`` is for operators."""

    reason: str


Output = Advertise | Agreed | Lost


# --- the machine --------------------------------------------------------------------------------
class EvbState(Enum):
    """What the port knows; the names are the rendered table's."""

    DOWN = "link down"
    ALONE = "no station"
    AGREED = "agreed"


class Input(Enum):
    """What an event amounts to, after the guards; the names are the rendered table's."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    NEW_STATION = "EVB TLV of a new station"
    SAME_STATION = "EVB TLV of the station"
    STATION_WITHOUT_EVB = "LLDPDU of the station without EVB"
    OTHER_NEIGHBOUR = "LLDPDU of another neighbour without EVB"
    SHUTDOWN = "LLDP shutdown"
    AGED = "TTL over"
    DUE = "LLDPDU due"


_DOWN, _ALONE, _AGREED = EvbState


class EvbBridge:
    """One port of the bridge.

    Attributes:
        state: what the port knows.
        agreed: what the station and we agreed on, None if there is none.
    """

    __slots__ = (
        "_ages_at",
        "_groups",
        "_heard",
        "_last_sent",
        "_relay",
        "_rush",
        "_send_at",
        "_timers",
        "agreed",
        "state",
    )

    def __init__(self, timers: Timers, reflective_relay_capable: bool = True, groups: bool = True) -> None:
        """
        Args:
            timers: our proposal.
            reflective_relay_capable: whether the port may do reflective relay if asked to.
            groups: whether VDP filter info with GroupIDs is understood.
        """
        self.state = EvbState.DOWN
        self.agreed: Agreed | None = None
        self._timers = timers
        self._relay = reflective_relay_capable
        self._groups = groups
        self._heard: EvbTlv | None = None
        self._ages_at: float | None = None
        self._send_at: float | None = None
        self._last_sent = 0.0
        self._rush = 0

    @property
    def deadline(self) -> float | None:
        """When to feed :class:`Tick`, None if nothing is awaited."""
        return earliest(self._send_at, self._ages_at)

    @property
    def operational(self) -> Operational:
        """Timers in force: those agreed on or, with no station, our own."""
        return self.agreed.operational if self.agreed else agree(self._timers, self._timers)

    def feed(self, event: Event, now: float) -> list[Output]:
        """Take one event."""
        outputs: list[Output] = []
        for given in self._inputs(event, now):
            outputs += self.TABLE.step(self, given, event, now)
        return outputs

    # --- guards: from event to input ---
    def _inputs(self, event: Event, now: float) -> list[Input]:
        match event:
            case LinkUp():
                return [Input.LINK_UP]
            case LinkDown():
                return [Input.LINK_DOWN]
            case Shutdown():
                return [Input.SHUTDOWN]
            case NeighbourHeard():
                return [self._neighbour_input(event)]
            case Tick():
                aged = self._ages_at is not None and self._ages_at <= now
                due = self._send_at is not None and self._send_at <= now
                return [Input.AGED] * aged + [Input.DUE] * due

    def _neighbour_input(self, heard: NeighbourHeard) -> Input:
        known = self.agreed is not None and self.agreed.station == heard.source
        if heard.ttl and heard.evb is not None and heard.evb.mode == EvbMode.STATION:
            return Input.SAME_STATION if known else Input.NEW_STATION
        if not known:
            return Input.OTHER_NEIGHBOUR
        return Input.STATION_WITHOUT_EVB if heard.ttl else Input.SHUTDOWN

    # --- actions: the table's verbs ---
    def _search(self, _: LinkUp, now: float) -> list[Output]:
        """Advertise, begin a fast start."""
        return self._start_fast(now)

    def _welcome(self, heard: NeighbourHeard, now: float) -> list[Output]:
        """Agree, advertise, begin a fast start."""
        self._note(heard, now)
        self.agreed = self._agreement(heard)
        return [self.agreed, *self._start_fast(now)]

    def _refresh(self, heard: NeighbourHeard, now: float) -> list[Output]:
        """Restart its TTL; if it changed, agree again and advertise soon."""
        before = self._proposal()
        self._note(heard, now)
        if self._proposal() != before:
            self._send_soon(now)
        agreement = self._agreement(heard)
        if agreement == self.agreed:
            return []
        self.agreed = agreement
        return [agreement]

    def _advertise(self, _: Tick, now: float) -> list[Output]:
        """Advertise."""
        return self._send(now)

    def _stop(self, _: LinkDown, __: float) -> list[Output]:
        """Fall silent."""
        self._send_at = None
        return []

    def _lose_link(self, down: LinkDown, now: float) -> list[Output]:
        """Lose the station, fall silent."""
        return [*self._stop(down, now), *self._lose("link down")]

    def _lose_shut_down(self, _: Event, __: float) -> list[Output]:
        """Lose the station."""
        return self._lose("LLDP shutdown")

    def _lose_aged(self, _: Tick, __: float) -> list[Output]:
        """Lose the station."""
        return self._lose("LLDP neighbour aged out")

    def _lose_evb(self, _: NeighbourHeard, __: float) -> list[Output]:
        """Lose the station."""
        return self._lose("EVB switched off")

    def _ignore(self, _: Event, __: float) -> list[Output]:
        """Nothing."""
        return []

    # --- what actions share ---
    def _note(self, heard: NeighbourHeard, now: float) -> None:
        self._heard = heard.evb
        self._ages_at = now + heard.ttl

    def _lose(self, reason: str) -> list[Output]:
        self._heard = None
        self._ages_at = None
        self.agreed = None
        return [Lost(reason)]

    def _start_fast(self, now: float) -> list[Output]:
        self._rush = FAST_START
        return self._send(now)

    def _send(self, now: float) -> list[Output]:
        self._rush = max(self._rush - 1, 0)
        self._last_sent = now
        self._send_at = now + (FAST_INTERVAL if self._rush else INTERVAL)
        return [Advertise(self._tlv())]

    def _send_soon(self, now: float) -> None:
        # Not at once: a station whose TLV changes all the time must not set our pace.
        self._send_at = earliest(self._send_at, max(now, self._last_sent + FAST_INTERVAL))

    def _proposal(self) -> tuple[object, ...] | None:
        """What the station authors in its TLV; the rest reflects ours."""
        evb = self._heard
        if evb is None:
            return None
        return (evb.sgid, evb.rrreq, evb.rrstat, evb.r, evb.rte, evb.rwd, evb.rka)

    def _agreement(self, heard: NeighbourHeard) -> Agreed:
        assert heard.evb is not None
        return Agreed(
            operational=agree(self._timers, heard.evb),
            station=heard.source,
            reflective_relay=self._relay and heard.evb.rrreq,
            groups=self._groups and heard.evb.sgid,
        )

    def _tlv(self) -> EvbTlv:
        station = self._heard
        return EvbTlv(
            bgid=self._groups,
            rrcap=self._relay,
            rrctr=self.agreed is not None and self.agreed.reflective_relay,
            sgid=station is not None and station.sgid,
            rrreq=station is not None and station.rrreq,
            rrstat=station.rrstat if station else RrStatus.INACTIVE,
            r=self._timers.r,
            rte=self._timers.rte,
            mode=EvbMode.BRIDGE,
            rol_rwd=station is not None and station.rwd >= self._timers.rwd,
            rwd=self._timers.rwd,
            rol_rka=station is not None and station.rka >= self._timers.rka,
            rka=self._timers.rka,
        )

    # --- the table ---
    TABLE: ClassVar[Table[EvbBridge, EvbState, Input, Output]] = Table(
        "EVB bridge",
        {
            (_DOWN, Input.LINK_UP): (_search, _ALONE),
            (_DOWN, Input.LINK_DOWN): (_ignore, _DOWN),
            # A frame that was under way when the link went down.
            (_DOWN, Input.NEW_STATION): (_ignore, _DOWN),
            (_DOWN, Input.OTHER_NEIGHBOUR): (_ignore, _DOWN),
            (_DOWN, Input.SHUTDOWN): (_ignore, _DOWN),
            (_ALONE, Input.LINK_UP): (_ignore, _ALONE),
            (_ALONE, Input.LINK_DOWN): (_stop, _DOWN),
            (_ALONE, Input.NEW_STATION): (_welcome, _AGREED),
            (_ALONE, Input.OTHER_NEIGHBOUR): (_ignore, _ALONE),
            (_ALONE, Input.SHUTDOWN): (_ignore, _ALONE),
            (_ALONE, Input.DUE): (_advertise, _ALONE),
            (_AGREED, Input.LINK_UP): (_ignore, _AGREED),
            (_AGREED, Input.LINK_DOWN): (_lose_link, _DOWN),
            (_AGREED, Input.NEW_STATION): (_welcome, _AGREED),
            (_AGREED, Input.SAME_STATION): (_refresh, _AGREED),
            (_AGREED, Input.STATION_WITHOUT_EVB): (_lose_evb, _ALONE),
            (_AGREED, Input.OTHER_NEIGHBOUR): (_ignore, _AGREED),
            (_AGREED, Input.SHUTDOWN): (_lose_shut_down, _ALONE),
            (_AGREED, Input.AGED): (_lose_aged, _ALONE),
            (_AGREED, Input.DUE): (_advertise, _AGREED),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """The machine's table in words, for the documentation."""
    return EvbBridge.TABLE.rows()
