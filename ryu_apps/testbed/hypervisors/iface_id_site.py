"""A rack of two servers whose libvirt names the guests' ports itself: each is known by its ``iface-id``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.hypervisors.domain import Guest, domain_at_switch
from ryu_apps.testbed.hypervisors.guest_image import GuestImage
from ryu_apps.testbed.hypervisors.own_switch import OwnSwitch
from ryu_apps.testbed.hypervisors.server_site import ServerSite
from ryu_apps.topologies import servers

#: Names that libvirt gives to taps: numbers follow.
LIBVIRTS_OWN = "vnet"
#: The server whose Open vSwitch is another one than that of the rack and of the first server.
_APART = "hv2"


class IfaceIdSite(ServerSite):
    """The rack; a context manager.  The stations read the databases of their servers."""

    def __init__(self, folder: Path, policies: Sequence[Path], image: GuestImage) -> None:
        """
        Args:
            folder, policies, image: as of :class:`ServerSite`.
        """
        self._databases = {host: folder / name / "db.sock" for host, name in (("hv1", "ovs"), (_APART, "ovs-apart"))}
        super().__init__(folder, policies, image, _named_by_libvirt(servers.fabric(2, 0)), self._station)
        self._apart: OwnSwitch | None = None

    def domain_xml(self, guest: Guest, host: str, console: str) -> str:
        """Return the XML of a guest at the switch of a server, without a name for its port."""
        return domain_at_switch(guest, self._image, self.bridge(host), console)

    def _station(self, namespace: Namespace, uplink: str, folder: Path) -> DaemonStation:
        return DaemonStation(namespace, uplink, folder, "--ovsdb", str(self._databases[namespace.name]))

    def _divide(self, stack: ExitStack) -> None:
        apart = self._apart = OwnSwitch(self.bridge(_APART), self._databases[_APART].parent)
        stack.enter_context(apart)
        self.controller.wait_connected(len(self.cluster.fabric.switches))
        self.controller.wait_agreed(len(self.cluster.hypervisors))

    def _tools_of(self, host: str) -> AbstractContextManager[None]:
        return self._apart.chosen() if host == _APART and self._apart is not None else nullcontext()


def _named_by_libvirt(fabric: Fabric) -> Fabric:
    """Return a fabric of servers whose VSI ports have libvirt's names."""
    switches = {
        dpid: replace(switch, vsi_ports=(VsiPortPattern(f"{LIBVIRTS_OWN}*", servers.NATIVE_VLAN),))
        if switch.vsi_ports
        else switch
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)
