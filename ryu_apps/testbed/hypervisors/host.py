"""One hypervisor: libvirtd and a station, as Debian has them, in network, mount and UTS namespaces of their own.

Its uplink is an internal port of Open vSwitch that is moved into its namespace: libvirt follows the other end of a
veth into a namespace where it does not find it, and waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ryu_apps.testbed.harness.cluster import StationMaker
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation
from ryu_apps.testbed.hypervisors.domain import Guest, domain_for_lldpad
from ryu_apps.testbed.hypervisors.guest_image import GuestImage
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd


@dataclass(frozen=True, slots=True)
class HostKind:
    """Connection of libvirt to the station of its host.

    Attributes:
        station: makes the station.
        domain_xml: writes the XML of a guest: the guest, its image, the uplink, the console.
        hook: text of ``/etc/libvirt/hooks/qemu`` for a station; empty without.
    """

    station: StationMaker
    domain_xml: Callable[[Guest, GuestImage, str, str], str] = domain_for_lldpad
    hook: Callable[[HypervisorStation], str] = lambda station: ""


#: libvirt and lldpad as Debian has them.
LLDPAD = HostKind(partial(LldpadStation, pid_file=True))


class LibvirtHost(Libvirtd):
    """A hypervisor.

    Attributes:
        station: its lldpad or station daemon.
        kind: as given.
    """

    def __init__(self, name: str, address: str, first_index: int, folder: Path, kind: HostKind) -> None:
        """
        Args:
            name: of the host and of its uplink.
            kind: how it is connected to its station.
            address: of its interface ``mgmt`` towards the other hypervisor, where libvirtd listens.
            first_index: least index of its further interfaces: macvtap devices of all namespaces share ``/dev``, where
                they are named by their index.
            folder: an existing folder for its files.
        """
        super().__init__(name, address, folder)
        self.kind = kind
        self.station = kind.station(self.namespace, name, folder)
        self.namespace.ip("link set lo up")
        self._skip_indexes(first_index)

    def connect_uplink(self) -> None:
        """Take the internal port of the switch that has the host's name as uplink."""
        run(["ip", "link", "set", self.name, "netns", str(self.namespace.pid)])
        self.namespace.ip(f"link set {self.name} up")

    def start(self) -> None:
        """Start station and libvirtd; see :meth:`wait_ready`."""
        self.station.start()
        self.configure(self.kind.hook(self.station))
        self.start_libvirtd()

    def restart_lldpad(self) -> None:
        """End lldpad, which forgets its VSIs, start it again and wait until it is usable."""
        self.station.stop()
        self.station.start()
        self.station.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the station has agreed on EVB with the bridge."""
        self.station.wait_ready()

    def stop(self) -> None:
        """End the guests and the daemons, then the namespaces."""
        end_all(self.end_libvirtd, self.station.stop, super().stop)

    def _skip_indexes(self, first_index: int) -> None:
        pairs = range(first_index // 2)
        self.namespace.ip(*(f"link add skip{pair} group 9 type veth peer name peer{pair}" for pair in pairs))
        if pairs:
            self.namespace.ip("link del group 9")
