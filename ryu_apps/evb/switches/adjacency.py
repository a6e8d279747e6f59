"""Cabling of trunk ports: LLDP between switches shows the port at the other end, compared with the configuration.

A trunk port that receives LLDPDUs of another port than the configuration says is miswired.  It carries no traffic
until that is corrected, since paths over it may be loops.  A port that receives none is only reported: an older
bridge at the other end may send no LLDP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.switches import NeighbourFound, NeighbourMiswired, NeighbourSilent
from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, switch_lldpdu, switch_port

#: Seconds between two LLDPDUs of a port, and seconds for which one is valid.
INTERVAL, HOLD = 5.0, 20
#: The nearest bridge: no bridge in between forwards it (802.1Q 8.6.3).
_NEAREST_BRIDGE = 0x0180C200000E


@dataclass(frozen=True, slots=True)
class Adjacency:
    """The LLDPDU that a port has received last.

    Attributes:
        peer: the port at the other end; None: it is no switch of this fabric's controller.
        at: time of reception, monotonic seconds.
    """

    peer: PortId | None
    at: float


class Adjacencies:
    """Trunk ports of a fabric, and the ports at their other ends.

    Attributes:
        heard: the newest LLDPDU by port, while it is valid.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.heard: dict[PortId, Adjacency] = {}
        self._expected: dict[PortId, PortId] = {}
        for port in fabric.ports(Role.TRUNK):
            interface = fabric.interface(port)
            if interface is not None and interface.peer is not None:
                self._expected[port] = interface.peer

    @property
    def miswired(self) -> frozenset[PortId]:
        """Ports that are connected to another port than the configuration says."""
        return frozenset(port for port, adjacency in self.heard.items() if adjacency.peer != self._expected[port])

    def is_trunk(self, port: PortId) -> bool:
        """True for a port towards another switch."""
        return port in self._expected

    def hello(self, dpid: int) -> Iterator[SendFrame]:
        """Yield an LLDPDU for each trunk port of a switch."""
        for port in self._expected:
            if port.dpid == dpid:
                lldpdu = switch_lldpdu(port.dpid, port.port_no, HOLD)
                source = 0x020000000000 | port.dpid << 16 & 0xFFFFFFFF0000 | port.port_no & 0xFFFF
                yield SendFrame(port, Frame(_NEAREST_BRIDGE, source, ETHERTYPE_LLDP, lldpdu.encode()).encode())

    def frame(self, port: PortId, data: bytes, now: float) -> Iterator[LogEvent]:
        """Process an LLDPDU from a trunk port; one that cannot be decoded counts as that of a foreign bridge."""
        try:
            peer = switch_port(Lldpdu.decode(Frame.decode(data).payload))
        except WireError:
            peer = None
        found = PortId(*peer) if peer is not None else None
        known = self.heard.get(port)
        self.heard[port] = Adjacency(found, now)
        if known is None or known.peer != found:
            yield self._changed(port, found)

    def forget(self, now: float) -> Iterator[LogEvent]:
        """Remove the LLDPDUs that have expired."""
        for port, adjacency in list(self.heard.items()):
            if now - adjacency.at > HOLD:
                del self.heard[port]
                yield NeighbourSilent(port, self._expected[port])

    def postpone(self, seconds: float) -> None:
        """Extend the validity of all LLDPDUs by a time in which none could be sent or received."""
        self.heard = {port: replace(adjacency, at=adjacency.at + seconds) for port, adjacency in self.heard.items()}

    def _changed(self, port: PortId, found: PortId | None) -> LogEvent:
        expected = self._expected[port]
        made = NeighbourFound if found == expected else NeighbourMiswired
        return made(port, expected, found)
