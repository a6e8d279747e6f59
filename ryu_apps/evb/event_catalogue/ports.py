"""Events about the ports of stations: their links, EVB agreements, ECP and frames."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.event_catalogue.base import LogLevel, PortEvent, event
from ryu_apps.evb.event_catalogue.values import MacAddress
from ryu_apps.evb.topology.port_id import PortId


@event("port.up", idle=True)
class PortUp(PortEvent):
    """The link of a port is up."""


@event("port.down", idle=True)
class PortDown(PortEvent):
    """The link of a port is down, or the port was removed."""


@event("bond.degraded")
class BondDegraded(PortEvent):
    """Links of a bond are down, perhaps all of them.

    Attributes:
        down: the ports of these links.
    """

    down: tuple[PortId, ...]


@event("bond.whole")
class BondWhole(PortEvent):
    """All links of a bond are up again."""


@event("port.over_budget")
class PortOverBudget(PortEvent):
    """A port exceeds its request rate, and frames were dropped unread.

    Attributes:
        counter: counter of the port that counts them.
        frames: their number.
    """

    counter: str
    frames: int


@event("evb.agreed", idle=True)
class EvbAgreed(PortEvent):
    """Station and bridge agree on EVB.

    Attributes:
        station: MAC address of the station.
        rte, rwd, rka: exponents of the timers, 10 us * 2^n.
        reflective_relay: the port does reflective relay.
    """

    station: MacAddress
    rte: int
    rwd: int
    rka: int
    reflective_relay: bool


@event("evb.lost", idle=True)
class EvbLost(PortEvent):
    """The EVB agreement with a station has ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class FramesCounted(PortEvent):
    """An event about frames that have no effect, once in a while.

    Attributes:
        counter: counter of the port that counts them.
        reason: fault of the last one.
        frames: their number since the last event.
    """

    counter: str
    reason: str
    frames: int


@event("evb.impostor")
class ForeignEvbFrames(FramesCounted):
    """Another sender than the station of the port sends EVB frames."""


@event("frame.dropped", level=LogLevel.DEBUG, idle=True)
class FramesIgnored(FramesCounted):
    """Frames of a station are malformed, of a draft, or from elsewhere."""


@event("ecp.failed", idle=True)
class EcpduFailed(PortEvent):
    """A station has acknowledged none of the transmissions of an ECPDU."""


@event("ecp.unacknowledged", idle=True)
class EcpUnacknowledged(PortEvent):
    """A station has acknowledged no ECPDU for a reinit keep-alive or longer.

    Attributes:
        seconds: time since the first that failed.
    """

    seconds: float
