"""Events and outputs of the station service."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.station.calls import Answer, Call
from ryu_apps.station.ports_by_id import PortsById
from ryu_apps.station.station import Advertise, LinkDown, LinkUp, NeighbourHeard, Received, Shutdown, Tick, Transmit


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Called:
    """A call; its answer has the same token."""

    token: int
    call: Call


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller does not wait for the answer any more."""

    token: int


@dataclass(frozen=True, slots=True)
class AtUplink:
    """An event of an uplink's station."""

    uplink: str
    event: LinkUp | LinkDown | NeighbourHeard | Received | Shutdown


@dataclass(frozen=True, slots=True)
class PortsShown:
    """The ports of the server's Open vSwitch that have an ``iface-id``."""

    ports: PortsById


ServiceEvent = Called | HungUp | AtUplink | PortsShown | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Emit:
    """Send a frame at an uplink."""

    uplink: str
    frame: Advertise | Transmit


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a call."""

    token: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Save:
    """Keep what :attr:`StationService.saved` is now."""


ServiceOutput = Emit | Reply | Save
