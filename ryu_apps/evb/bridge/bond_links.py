"""Links of bonds: the port that stands for each, and the bonds of which links are down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ryu_apps.evb.event_catalogue.ports import BondDegraded, BondWhole
from ryu_apps.evb.topology.fabric import Fabric, PortId


class BondLinks:
    """The links of all bonds of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._bonds: dict[PortId, list[PortId]] = {}
        for port, interface in fabric.bonds():
            self._bonds[port] = [PortId(port.dpid, link) for link in interface.links]
        self._of = {link: port for port, links in self._bonds.items() for link in links}
        self._down: dict[PortId, tuple[PortId, ...]] = {}

    def port_of(self, link: PortId) -> PortId:
        """Return the port that stands for a link; any other port stands for itself."""
        return self._of.get(link, link)

    def changed(self, dpid: int, ports: Mapping[int, bool]) -> Iterator[BondDegraded | BondWhole]:
        """Yield the bonds of a switch that have other links down than before; ``ports``: all links that are known."""
        for port, links in self._bonds.items():
            if port.dpid != dpid:
                continue
            down = tuple(link for link in links if not ports.get(link.port_no))
            if down != self._down.get(port, ()):
                self._down[port] = down
                yield BondDegraded(port, down) if down else BondWhole(port)
