"""What is plugged in where: switches hear of each other by LLDP, and the configuration is held against it.

A trunk port that hears another port than the configuration says leads somewhere else; it carries no traffic
until it is put right, since nobody knows whether the ways over it would go round.  One that hears nothing is only
told of: an older bridge at the other end may be silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ryu_apps.evb.events import LogEvent, SendFrame
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, switch_lldpdu, switch_port

#: Seconds between two LLDPDUs of a port, and for which one holds.
INTERVAL, HOLD = 5.0, 20
#: The nearest bridge: no bridge in between forwards it (802.1Q 8.6.3).
_NEAREST_BRIDGE = 0x0180C200000E


@dataclass(frozen=True, slots=True)
class Adjacency:
    """What a port has heard last.

    Attributes:
        peer: the port at the other end; None: it is no switch of this fabric's controller.
        at: when, monotonic seconds.
    """

    peer: PortId | None
    at: float


class Adjacencies:
    """The trunk ports of a fabric, and whom they hear.

    Attributes:
        heard: by port, as long as it holds.
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
        """Ports that lead somewhere else than they should."""
        return frozenset(port for port, one in self.heard.items() if one.peer != self._expected[port])

    def is_trunk(self, port: PortId) -> bool:
        """Whether it is a port towards another switch."""
        return port in self._expected

    def hello(self, dpid: int) -> Iterator[SendFrame]:
        """What the trunk ports of a switch say."""
        for port in self._expected:
            if port.dpid == dpid:
                lldpdu = switch_lldpdu(port.dpid, port.port_no, HOLD)
                source = 0x020000000000 | port.dpid << 16 & 0xFFFFFFFF0000 | port.port_no & 0xFFFF
                yield SendFrame(port, Frame(_NEAREST_BRIDGE, source, ETHERTYPE_LLDP, lldpdu.encode()).encode())

    def frame(self, port: PortId, data: bytes, now: float) -> Iterator[LogEvent]:
        """A trunk port has heard an LLDPDU; one that makes no sense is nobody's of ours."""
        try:
            peer = switch_port(Lldpdu.decode(Frame.decode(data).payload))
        except WireError:
            peer = None
        found = PortId(*peer) if peer is not None else None
        known = self.heard.get(port)
        self.heard[port] = Adjacency(found, now)
        if known is None or known.peer != found:
            yield self._told(port, found)

    def forget(self, now: float) -> Iterator[LogEvent]:
        """What has not been said again does not hold any more."""
        for port, one in list(self.heard.items()):
            if now - one.at > HOLD:
                del self.heard[port]
                yield LogEvent("link.silent", port, port.dpid, detail={"expected": str(self._expected[port])})

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard, and nothing was said, for so long: what has been heard holds longer by that."""
        self.heard = {port: replace(one, at=one.at + seconds) for port, one in self.heard.items()}

    def _told(self, port: PortId, found: PortId | None) -> LogEvent:
        expected = self._expected[port]
        kind = "link.found" if found == expected else "link.miswired"
        detail: dict[str, object] = {"expected": str(expected), "found": None if found is None else str(found)}
        return LogEvent(kind, port, port.dpid, detail=detail)
