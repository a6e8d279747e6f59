"""Minimum rates of VSIs, reserved at the ports on the way between a VM and the other switches.

A port sends and receives at its speed at the same time, so each direction has a budget of its own.  A VSI sends from
one place at a time: the reservations that it has for two places, or for an old and a new filter at one port, are
counted as the larger of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.model import Minimum
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph, TrunkLink
from ryu_apps.evb.topology.planes import Plane
from ryu_apps.evb.topology.port_id import PortId


class Way(NamedTuple):
    """One direction of a port; ``sent``: what the switch sends by it, else what it receives."""

    port: PortId
    sent: bool


#: Reserved kbit/s by direction of a port.
Rates = Mapping[Way, int]


class PortBandwidth(NamedTuple):
    """Reserved kbit/s of a port.

    Attributes:
        speed: None: not known.
    """

    port_no: int
    speed: int | None
    sent: int
    received: int


def ways_of(wiring: TrunkGraph, port: PortId, minimum: Minimum, vids: Iterable[int]) -> Rates:
    """Return the rates that a VSI needs: at its port, and on all trunks of shortest paths of its VLANs."""
    rates: Counter[Way] = Counter()
    rates[Way(port, sent=False)] += minimum.from_vm
    rates[Way(port, sent=True)] += minimum.to_vm
    others, plane = wiring.others(port.dpid), wiring.plane_of(vids)
    for way in {way for other in others for way in _path(wiring, port.dpid, other, plane)}:
        rates[way] += minimum.from_vm
    for way in {way for other in others for way in _path(wiring, other, port.dpid, plane)}:
        rates[way] += minimum.to_vm
    return +rates


def _path(wiring: TrunkGraph, dpid: int, target: int, plane: Plane | None) -> Iterator[Way]:
    """All ports that send on shortest paths from one switch to another while all links are up."""
    seen, left = {dpid}, [dpid]
    while left:
        here = left.pop()
        for trunk in wiring.usually(here, target, plane):
            yield Way(_preferred(here, trunk), sent=True)
            if trunk.neighbour not in seen:
                seen.add(trunk.neighbour)
                left.append(trunk.neighbour)


def _preferred(dpid: int, trunk: TrunkLink) -> PortId:
    """The one of several parallel links that is in use while it is up."""
    return PortId(dpid, trunk.ports[0])


class BandwidthReservations:
    """Reserved rates of all ports against their speeds."""

    def __init__(self, fabric: Fabric, wiring: TrunkGraph) -> None:
        self._fabric = fabric
        self._wiring = wiring
        self._speeds: dict[PortId, int] = {}
        self._at: dict[Way, dict[str, dict[int, int]]] = {}
        self._of: dict[int, tuple[str, Rates]] = {}

    def measure(self, dpid: int, speeds: Mapping[int, int]) -> None:
        """Note the speeds that a switch shows, kbit/s by port number; a configured speed has precedence."""
        for port_no, interface in self._fabric.switches[dpid].interfaces.items():
            # Of a bond, the speed of one link: as much is left while others are down.
            slowest = min(speeds.get(link, 0) for link in interface.links)
            self._speeds[PortId(dpid, port_no)] = interface.speed or slowest

    def rates(self, port: PortId, minimum: Minimum, vids: Iterable[int]) -> Rates:
        """Return the rates that a VSI at a port needs in its VLANs."""
        if not any(minimum):
            return {}
        rates = ways_of(self._wiring, port, minimum, vids)
        interface = self._fabric.interface(port)
        if interface is None or not interface.is_local:
            return rates
        # Its VMs are at VSI ports, which have no speed of their own.
        return {way: rate for way, rate in rates.items() if way.port != port}

    def shortage(self, vsi: str, rates: Rates) -> str | None:
        """Return the first direction of a port that has too little left for a VSI; None: all have enough."""
        return next((reason for way, rate in rates.items() if (reason := self._short(vsi, way, rate))), None)

    def reserve(self, index: int, vsi: str, rates: Rates) -> None:
        """Reserve rates for the program of a VSI that has this index, in place of earlier ones."""
        self.release(index)
        self._of[index] = vsi, rates
        for way, rate in rates.items():
            self._at.setdefault(way, {}).setdefault(vsi, {})[index] = rate

    def release(self, index: int) -> None:
        """Release the rates of a program; one that has none is left alone."""
        vsi, rates = self._of.pop(index, ("", {}))
        for way in rates:
            holders = self._at[way]
            del holders[vsi][index]
            if not holders[vsi]:
                del holders[vsi]

    def used(self, way: Way, without: str | None = None) -> int:
        """Return the reserved kbit/s of one direction of a port; ``without``: a VSI that does not count."""
        holders = self._at.get(way, {})
        return sum(max(rates.values()) for vsi, rates in holders.items() if vsi != without)

    def ports(self, dpid: int) -> list[PortBandwidth]:
        """Return the ports of a switch with their reservations."""
        return [self._port(PortId(dpid, port_no)) for port_no in sorted(self._fabric.switches[dpid].interfaces)]

    def of(self, dpid: int, index: int) -> dict[int, tuple[int, int]]:
        """Return what is reserved for a program on one switch: port number -> kbit/s sent and received."""
        _, rates = self._of.get(index, ("", {}))
        found: dict[int, tuple[int, int]] = {}
        for way, rate in rates.items():
            if way.port.dpid == dpid:
                sent, received = found.get(way.port.port_no, (0, 0))
                found[way.port.port_no] = (sent + rate, received) if way.sent else (sent, received + rate)
        return found

    def _port(self, port: PortId) -> PortBandwidth:
        sent, received = self.used(Way(port, sent=True)), self.used(Way(port, sent=False))
        return PortBandwidth(port.port_no, self._speeds.get(port) or None, sent, received)

    def _short(self, vsi: str, way: Way, rate: int) -> str | None:
        speed = self._speeds.get(way.port)
        if speed is None:
            # The switch has not connected yet.
            return None
        if not speed:
            return f"the speed of port {way.port} is not known"
        own = max(self._at.get(way, {}).get(vsi, {}).values(), default=0)
        left = speed - self.used(way, without=vsi)
        if max(own, rate) <= left:
            return None
        verb = "sends" if way.sent else "receives"
        return f"port {way.port} {verb} {left} kbit/s at most besides what is reserved, {rate} are wanted"
