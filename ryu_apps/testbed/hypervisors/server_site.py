"""A rack of two servers: libvirt's guests have taps at their server's own Open vSwitch, beside ``evbridge station``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vsi_ports import name_of_port
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.harness.cluster import Cluster, StationMaker
from ryu_apps.testbed.harness.shell import Namespace, end
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.hypervisors.domain import Guest, domain_at_switch
from ryu_apps.testbed.hypervisors.guest_image import GuestImage
from ryu_apps.testbed.hypervisors.guest_site import GuestSite
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd
from ryu_apps.testbed.hypervisors.station_hook import hook_text, start_listener
from ryu_apps.topologies import servers

#: TCP port of a server's libvirtd: all of them, as their switches, are in one network.
_FIRST_PORT = 16509


class ServerSite(GuestSite):
    """The rack; a context manager.

    Attributes:
        cluster: switches, controller, stations and end systems.
    """

    def __init__(
        self,
        folder: Path,
        policies: Sequence[Path],
        image: GuestImage,
        fabric: Fabric | None = None,
        station: StationMaker = DaemonStation,
    ) -> None:
        """
        Args:
            folder: an existing, empty folder for configuration and logs.
            policies: folders with VSI types.
            image: of the guests.
            fabric: of two servers; by default their ports have names by a rule.
            station: makes the station of each.
        """
        super().__init__(folder)
        self._image = image
        fabric = fabric or servers.fabric(2, 0)
        config = dump_config(BridgeConfig(fabric, tuple(map(str, policies))))
        self.cluster = Cluster(fabric, servers.END_SYSTEMS, folder, config, station=station)
        self.controller = self.cluster.controller
        self._libvirtds: dict[str, Libvirtd] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # libvirt makes taps, and the kernel would send IPv6 of its own to their guests.
            Namespace("switches", os.getpid()).quiet()
            stack.enter_context(self.cluster)
            self._divide(stack)
            for number, name in enumerate(self.cluster.hypervisors):
                libvirtd = Libvirtd(name, "127.0.0.1", self._folder, _FIRST_PORT + number, own_network=False)
                stack.callback(libvirtd.stop)
                self._libvirtds[name] = libvirtd
                libvirtd.configure(hook_text(self.station(name)))
                with self._tools_of(name):
                    libvirtd.start_libvirtd()
                stack.callback(end, start_listener(libvirtd, self.station(name), self._folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _divide(self, stack: ExitStack) -> None:
        """Give servers what the cluster has in common; nothing here."""

    def _tools_of(self, host: str) -> AbstractContextManager[None]:
        """The time in which the tools of Open vSwitch find the one of a server."""
        return nullcontext()

    @property
    def libvirtds(self) -> Mapping[str, Libvirtd]:
        """The servers."""
        return self._libvirtds

    def station(self, host: str) -> DaemonStation:
        """Return the station of a server."""
        station = self.cluster.hypervisors[host].station
        assert isinstance(station, DaemonStation)
        return station

    def port(self, guest: Guest, host: str) -> str:
        """Return the name of a guest's port at a server's switch."""
        interface = self.cluster.fabric.interface(self.cluster.hypervisors[host].port)
        assert interface is not None and interface.port_names is not None
        name = name_of_port(interface.port_names, guest.uuid, mac_from_text(guest.mac))
        assert name is not None
        return name

    def tables(self) -> dict[str, list[str]]:
        """Return the rules of all switches."""
        hosts = {self.bridge(host): host for host in self.cluster.hypervisors}
        rules = {}
        for switch in self.cluster.fabric.switches.values():
            with self._tools_of(hosts.get(switch.name, "")):
                rules[switch.name] = dump_rules(switch.name)
        return rules

    def bridge(self, host: str) -> str:
        """Return the name of a server's switch."""
        return self.cluster.fabric.switches[self.cluster.hypervisors[host].port.dpid].name

    def domain_xml(self, guest: Guest, host: str, console: str) -> str:
        """Return the XML of a guest at the switch of a server."""
        return domain_at_switch(guest, self._image, self.bridge(host), console, self.port(guest, host))
