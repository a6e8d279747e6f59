"""The port of a VM at the Open vSwitch of its server, by ``external_ids:iface-id``: which name it has, if any."""

from __future__ import annotations

from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.station.hosted import HostedVsi
from ryu_apps.station.ports_by_id import PortsById


class PortFinder:
    """Ports that Open vSwitch has shown last."""

    def __init__(self) -> None:
        self._ports: PortsById | None = None

    def show(self, ports: PortsById) -> None:
        """Take all ports that have an ``iface-id``."""
        self._ports = ports

    def locate(self, vsi: HostedVsi) -> bool:
        """Write the port of a VSI; True if it has another name than before.

        A port that is gone keeps its VSI: it may return.  Of several ports with one ``iface-id`` none is taken, unless
        the VSI has one of them already.
        """
        names = self._names(vsi.description.iface_id)
        if len(names) != 1 or (vsi.port is not None and vsi.port.name in names):
            return False
        try:
            vsi.port = PortName(names[0])
        except ValueError:  # of a patch port, for example
            return False
        return True

    def ambiguity(self, iface_id: str | None, vsi: HostedVsi | None) -> str | None:
        """The reason why an ``iface-id`` tells no port, though several have it; None: it does not do that."""
        names = self._names(iface_id)
        if len(names) < 2 or (vsi is not None and vsi.port is not None):
            return None
        return f"several ports have the iface-id {iface_id}: {', '.join(names)}"

    def lack(self, vsi: HostedVsi) -> str:
        """The reason why a VSI has no port yet."""
        iface_id = vsi.description.iface_id
        if self._ports is None:
            return "OVSDB cannot be read"
        return self.ambiguity(iface_id, vsi) or f"no port has the iface-id {iface_id}"

    def _names(self, iface_id: str | None) -> tuple[str, ...]:
        return () if iface_id is None or self._ports is None else self._ports.get(iface_id, ())
