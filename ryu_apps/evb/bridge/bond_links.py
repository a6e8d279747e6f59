"""Links of bonds: the port that stands for each, and the bonds of which links are down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ryu_apps.evb.event_catalogue.ports import BondDegraded, BondWhole
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import BondMode
from ryu_apps.evb.topology.port_id import PortId


class BondLinks:
    """The links of all bonds of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._bonds: dict[PortId, list[PortId]] = {}
        self._negotiated: set[PortId] = set()
        for port, interface in fabric.bonds():
            self._bonds[port] = [PortId(port.dpid, link) for link in interface.links]
            if interface.bond_mode is BondMode.LACP:
                self._negotiated.update(self._bonds[port])
        self._of = {link: port for port, links in self._bonds.items() for link in links}
        self._down: dict[PortId, tuple[PortId, ...]] = {}

    def port_of(self, link: PortId) -> PortId:
        """Return the port that stands for a link; any other port stands for itself."""
        return self._of.get(link, link)

    def is_up(self, link: PortId, up: bool, live: bool) -> bool:
        """Return True for a link that is up, and with LACP has an agreement with the station (``live``)."""
        return up and (live or link not in self._negotiated)

    def changed(self, dpid: int, ports: Mapping[int, bool]) -> Iterator[BondDegraded | BondWhole]:
        """Yield the bonds of a switch that have other links down than before; ``ports``: all links that are known."""
        for port, links in self._bonds.items():
            if port.dpid != dpid:
                continue
            down = tuple(link for link in links if not ports.get(link.port_no))
            if down != self._down.get(port, ()):
                self._down[port] = down
                yield BondDegraded(port, down) if down else BondWhole(port)
