"""EVB agreement of a bridge port and its station (802.1Q clause 40 and D.2.12).

Outputs LLDPDUs with their EVB TLV when due, and the agreement when it is made, changed or lost.  Feed it
only LLDPDUs to the Nearest Customer Bridge address: stations send others, without EVB TLV, to other
addresses.

Both roles share the table; :class:`EvbBridgePort` here and ``EvbStation`` in ``evb_station`` write the TLV
of each.  An LLDPDU is never sent in response to one, except to a new or changed neighbour: lldpad answers
every LLDPDU, so two such ends would send without pause.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Tick, TransitionTable, earliest
from ryu_apps.evb.protocol.timers import Operational, agree
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay, TimerLimits, Timers
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus

__all__ = [
    "Advertise",
    "Agreed",
    "AgreementLost",
    "EvbBridgePort",
    "EvbPort",
    "LinkDown",
    "LinkUp",
    "NeighbourHeard",
    "Shutdown",
    "Tick",
    "documented_rows",
]

FAST_START = 4
"""LLDPDUs sent in a row to a new neighbour."""

FAST_INTERVAL = 1.0
"""Seconds between LLDPDUs of a fast start, and least seconds between two caused by changes of the station."""

INTERVAL = 30.0
"""Seconds between LLDPDUs otherwise."""


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LinkUp:
    """The port can send frames."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The port cannot send frames.

    Attributes:
        reason: for the event that its station is lost.
    """

    reason: str = "link down"


@dataclass(frozen=True, slots=True)
class NeighbourHeard:
    """An LLDPDU came in.

    Attributes:
        evb: its EVB TLV, None if it has none.
        source: source MAC address, 48 bits.
        ttl: seconds for which it is valid; 0: shutdown of the neighbour.
    """

    evb: EvbTlv | None
    source: int
    ttl: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """LLDP shutdown of the neighbour: the same as an LLDPDU of TTL 0 from it."""


EvbEvent = LinkUp | LinkDown | NeighbourHeard | Shutdown | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Advertise:
    """Send an LLDPDU with this EVB TLV now."""

    evb: EvbTlv


@dataclass(frozen=True, slots=True)
class Agreed:
    """The agreement with a new neighbour, or a changed agreement.

    Attributes:
        operational: timers in force.
        station: MAC address of the neighbour's port, 48 bits; to a bridge that is the station.
        reflective_relay: the bridge may send frames out of their ingress port.
        groups: filter info may hold GroupIDs.
    """

    operational: Operational
    station: int
    reflective_relay: bool
    groups: bool


@dataclass(frozen=True, slots=True)
class AgreementLost:
    """The port has no EVB neighbour any more; ``reason`` is for operators."""

    reason: str


EvbOutput = Advertise | Agreed | AgreementLost


# --- the machine --------------------------------------------------------------------------------
class EvbState(Enum):
    """State of the port; the values appear in the rendered table."""

    DOWN = "link down"
    ALONE = "no neighbour"
    AGREED = "agreed"


class EvbInput(Enum):
    """Input of the table, selected by the guards; the values appear in the rendered table."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    NEW = "EVB TLV of a new neighbour"
    SAME = "EVB TLV of the neighbour"
    EVB_OFF = "LLDPDU of the neighbour without EVB"
    BYSTANDER = "LLDPDU of another sender without EVB"
    SHUTDOWN = "LLDP shutdown"
    AGED = "TTL over"
    DUE = "LLDPDU due"


_DOWN, _ALONE, _AGREED = EvbState


class EvbPort(ABC):
    """The table and the timing of LLDPDUs, common to both roles.

    Attributes:
        state: see :class:`EvbState`.
        agreed: agreement with the neighbour, None without one.
    """

    __slots__ = (
        "_ages_at",
        "_groups",
        "_heard",
        "_last_sent",
        "_limits",
        "_rush",
        "_send_at",
        "_timers",
        "agreed",
        "state",
    )

    def __init__(self, timers: Timers, groups: bool, limits: TimerLimits | None = None) -> None:
        self.state = EvbState.DOWN
        self.agreed: Agreed | None = None
        self._timers = timers
        self._limits = limits
        self._groups = groups
        self._heard: EvbTlv | None = None
        self._ages_at: float | None = None
        self._send_at: float | None = None
        self._last_sent = 0.0
        self._rush = 0

    # --- differences of the roles ---
    PEER: ClassVar[EvbMode]
    """The mode of a neighbour to agree with."""

    @abstractmethod
    def _tlv(self) -> EvbTlv:
        """The own EVB TLV."""

    @abstractmethod
    def _authored(self, evb: EvbTlv) -> tuple[object, ...]:
        """The fields of the neighbour's TLV that it sets itself; the others are copies of own fields."""

    @abstractmethod
    def _relays(self, evb: EvbTlv) -> bool:
        """True if reflective relay is on with this neighbour."""

    @abstractmethod
    def _groups_of(self, evb: EvbTlv) -> bool:
        """True if this neighbour supports GroupIDs."""

    @property
    def deadline(self) -> float | None:
        """Time to feed :class:`Tick`, None if no timer runs."""
        return earliest(self._send_at, self._ages_at)

    @property
    def operational(self) -> Operational:
        """Timers in force: those agreed on or, without neighbour, the own proposal."""
        return self.agreed.operational if self.agreed else agree(self._timers, self._timers)

    def postpone(self, seconds: float) -> None:
        """Extend the neighbour's TTL by a period in which no frame could be received."""
        if self._ages_at is not None:
            self._ages_at += seconds

    def feed(self, event: EvbEvent, now: float) -> list[EvbOutput]:
        """Process one event."""
        outputs: list[EvbOutput] = []
        for given in self._inputs(event, now):
            outputs += self.TABLE.step(self, given, event, now)
        return outputs

    # --- guards: from event to input ---
    def _inputs(self, event: EvbEvent, now: float) -> list[EvbInput]:
        match event:
            case LinkUp():
                return [EvbInput.LINK_UP]
            case LinkDown():
                return [EvbInput.LINK_DOWN]
            case Shutdown():
                return [EvbInput.SHUTDOWN]
            case NeighbourHeard():
                return [self._neighbour_input(event)]
            case Tick():
                aged = self._ages_at is not None and self._ages_at <= now
                due = self._send_at is not None and self._send_at <= now
                return [EvbInput.AGED] * aged + [EvbInput.DUE] * due

    def _neighbour_input(self, heard: NeighbourHeard) -> EvbInput:
        known = self.agreed is not None and self.agreed.station == heard.source
        if heard.ttl and heard.evb is not None and heard.evb.mode is self.PEER:
            return EvbInput.SAME if known else EvbInput.NEW
        if not known:
            return EvbInput.BYSTANDER
        return EvbInput.EVB_OFF if heard.ttl else EvbInput.SHUTDOWN

    # --- actions; the docstrings appear in the rendered table ---
    def _search(self, _: LinkUp, now: float) -> list[EvbOutput]:
        """Send an LLDPDU, begin a fast start."""
        return self._start_fast(now)

    def _welcome(self, heard: NeighbourHeard, now: float) -> list[EvbOutput]:
        """Agree, send an LLDPDU, begin a fast start."""
        self._note(heard, now)
        self.agreed = self._agreement(heard)
        return [self.agreed, *self._start_fast(now)]

    def _refresh(self, heard: NeighbourHeard, now: float) -> list[EvbOutput]:
        """Restart the neighbour's TTL; if its TLV changed, agree again and send an LLDPDU soon."""
        before = self._proposal()
        self._note(heard, now)
        if self._proposal() != before:
            self._send_soon(now)
        agreement = self._agreement(heard)
        if agreement == self.agreed:
            return []
        self.agreed = agreement
        return [agreement]

    def _advertise(self, _: Tick, now: float) -> list[EvbOutput]:
        """Send an LLDPDU."""
        return self._send(now)

    def _stop(self, _: LinkDown, __: float) -> list[EvbOutput]:
        """Stop sending."""
        self._send_at = None
        return []

    def _lose_link(self, down: LinkDown, now: float) -> list[EvbOutput]:
        """End the agreement, stop sending."""
        return [*self._stop(down, now), *self._lose(down.reason)]

    def _lose_shut_down(self, _: EvbEvent, __: float) -> list[EvbOutput]:
        """End the agreement."""
        return self._lose("LLDP shutdown")

    def _lose_aged(self, _: Tick, __: float) -> list[EvbOutput]:
        """End the agreement."""
        return self._lose("LLDP neighbour aged out")

    def _lose_evb(self, _: NeighbourHeard, __: float) -> list[EvbOutput]:
        """End the agreement."""
        return self._lose("EVB switched off")

    def _ignore(self, _: EvbEvent, __: float) -> list[EvbOutput]:
        """Nothing."""
        return []

    # --- shared by actions ---
    def _note(self, heard: NeighbourHeard, now: float) -> None:
        self._heard = heard.evb
        self._ages_at = now + heard.ttl

    def _lose(self, reason: str) -> list[EvbOutput]:
        self._heard = None
        self._ages_at = None
        self.agreed = None
        return [AgreementLost(reason)]

    def _start_fast(self, now: float) -> list[EvbOutput]:
        self._rush = FAST_START
        return self._send(now)

    def _send(self, now: float) -> list[EvbOutput]:
        self._rush = max(self._rush - 1, 0)
        self._last_sent = now
        self._send_at = now + (FAST_INTERVAL if self._rush else INTERVAL)
        return [Advertise(self._tlv())]

    def _send_soon(self, now: float) -> None:
        # Not at once: a neighbour whose TLV changes with every LLDPDU must not increase the own rate.
        self._send_at = earliest(self._send_at, max(now, self._last_sent + FAST_INTERVAL))

    def _proposal(self) -> tuple[object, ...] | None:
        return None if self._heard is None else self._authored(self._heard)

    def _agreement(self, heard: NeighbourHeard) -> Agreed:
        assert heard.evb is not None
        return Agreed(
            operational=agree(self._timers, heard.evb, self._limits),
            station=heard.source,
            reflective_relay=self._relays(heard.evb),
            groups=self._groups and self._groups_of(heard.evb),
        )

    # --- the table ---
    TABLE: ClassVar[TransitionTable[EvbPort, EvbState, EvbInput, EvbOutput]] = TransitionTable(
        "EVB",
        {
            (_DOWN, EvbInput.LINK_UP): (_search, _ALONE),
            (_DOWN, EvbInput.LINK_DOWN): (_ignore, _DOWN),
            # A frame that was in flight when the link went down.
            (_DOWN, EvbInput.NEW): (_ignore, _DOWN),
            (_DOWN, EvbInput.BYSTANDER): (_ignore, _DOWN),
            (_DOWN, EvbInput.SHUTDOWN): (_ignore, _DOWN),
            (_ALONE, EvbInput.LINK_UP): (_ignore, _ALONE),
            (_ALONE, EvbInput.LINK_DOWN): (_stop, _DOWN),
            (_ALONE, EvbInput.NEW): (_welcome, _AGREED),
            (_ALONE, EvbInput.BYSTANDER): (_ignore, _ALONE),
            (_ALONE, EvbInput.SHUTDOWN): (_ignore, _ALONE),
            (_ALONE, EvbInput.DUE): (_advertise, _ALONE),
            (_AGREED, EvbInput.LINK_UP): (_ignore, _AGREED),
            (_AGREED, EvbInput.LINK_DOWN): (_lose_link, _DOWN),
            (_AGREED, EvbInput.NEW): (_welcome, _AGREED),
            (_AGREED, EvbInput.SAME): (_refresh, _AGREED),
            (_AGREED, EvbInput.EVB_OFF): (_lose_evb, _ALONE),
            (_AGREED, EvbInput.BYSTANDER): (_ignore, _AGREED),
            (_AGREED, EvbInput.SHUTDOWN): (_lose_shut_down, _ALONE),
            (_AGREED, EvbInput.AGED): (_lose_aged, _ALONE),
            (_AGREED, EvbInput.DUE): (_advertise, _AGREED),
        },
    )


class EvbBridgePort(EvbPort):
    """One port of the bridge.

    It advertises its own proposal, not the maximum of both: if both ends repeated the maximum, no value could
    decrease again.
    """

    __slots__ = ("_relay",)
    PEER = EvbMode.STATION

    def __init__(
        self,
        timers: Timers,
        relay: ReflectiveRelay = ReflectiveRelay.AGREED,
        groups: bool = True,
        limits: TimerLimits | None = None,
    ) -> None:
        """
        Args:
            timers: own proposal.
            limits: upper limits of the station's proposal, None for no limits.
            relay: reflective relay at the port.
            groups: VDP filter info with GroupIDs is supported.
        """
        super().__init__(timers, groups, limits)
        self._relay = relay

    def _tlv(self) -> EvbTlv:
        ours, station = self._timers, self._heard
        return EvbTlv(
            mode=EvbMode.BRIDGE,
            bgid=self._groups,
            rrcap=self._relay is not ReflectiveRelay.NEVER,
            rrctr=station is not None and self._relays(station),
            sgid=station is not None and station.sgid,
            rrreq=station is not None and station.rrreq,
            rrstat=station.rrstat if station else RrStatus.INACTIVE,
            r=ours.r,
            rte=ours.rte,
            rwd=ours.rwd,
            rka=ours.rka,
            rol_rwd=station is not None and station.rwd >= ours.rwd,
            rol_rka=station is not None and station.rka >= ours.rka,
        )

    def _authored(self, evb: EvbTlv) -> tuple[object, ...]:
        return (evb.sgid, evb.rrreq, evb.rrstat, evb.r, evb.rte, evb.rwd, evb.rka)

    def _relays(self, evb: EvbTlv) -> bool:
        return self._relay is ReflectiveRelay.ALWAYS or (self._relay is ReflectiveRelay.AGREED and evb.rrreq)

    def _groups_of(self, evb: EvbTlv) -> bool:
        return evb.sgid


def documented_rows() -> Iterator[DocumentedRow]:
    """Rows of the machine's table, for the documentation."""
    return EvbPort.TABLE.rows()
