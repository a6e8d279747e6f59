"""A whole cluster: Mininet with Open vSwitch, the controller, a hypervisor with its own lldpad at every station port.

with Cluster(fabric, hosts, folder, policies) as cluster:
    cluster.hypervisors["hv1"].station.request(Mode.ASSOCIATE, vsi)
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import BondMode, Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.station.filter_text import filter_from_text
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness import mininet_api
from ryu_apps.testbed.harness.capture import Tap, TapReader, only_ethertypes
from ryu_apps.testbed.harness.controller import APPS, OPENFLOW_PORT, REST_PORT, Controller
from ryu_apps.testbed.harness.datapath import Datapath, configured_datapath
from ryu_apps.testbed.harness.definitions import VmDefinitions
from ryu_apps.testbed.harness.ovs import PrivateOvs, look_for
from ryu_apps.testbed.harness.running import Running, end_all
from ryu_apps.testbed.harness.shell import Namespace, run
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation, VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vepa import VepaEdge
from ryu_apps.testbed.harness.vm import NamespaceVm, no_checksum_offload
from ryu_apps.testbed.harness.vswitch import VswitchEdge
from ryu_apps.topologies.mininet_topo import EndSystem, bond_options, mac_text, topo_of

#: What Mininet calls the datapaths.
_MININET_DATAPATHS = {Datapath.USER_SPACE: "user", Datapath.KERNEL: "kernel"}


class NameClashError(TestbedError):
    """A cluster cannot be built beside what is in this network namespace; a private one would do."""


#: Makes the edge of a hypervisor: (namespace, uplink).
EdgeMaker = Callable[[Namespace, str], VepaEdge]
#: Makes the station of an uplink: (namespace, interface, folder for its files).
StationMaker = Callable[[Namespace, str, Path], HypervisorStation]


class Hypervisor:
    """A host at a station port.

    Attributes:
        name: as in the fabric.
        port: the switch port it hangs on.
        gate_port: number of the port at which its VMs have their gates; None: each has its own at this switch.
        namespace, uplink: where it is, and its interface to the switch.
        edge: its ports.
        station: its lldpad, or what the cluster uses in its place.
        tap: VDP on its uplink.
        definitions: the descriptors (OVF) that the cluster manager has pushed to it.
    """

    def __init__(
        self,
        port: PortId,
        namespace: Namespace,
        folder: Path,
        watcher: TapReader,
        station: StationMaker,
        edge: EdgeMaker = VepaEdge,
        native_vlan: int | None = None,
    ) -> None:
        self.name = name = namespace.name
        self.port = port
        self._native_vlan = native_vlan
        self.namespace = namespace
        self.uplink = f"{name}-eth0"
        self.definitions = VmDefinitions(name)
        namespace.quiet()
        self.edge = edge(namespace, self.uplink)
        self.gate_port = None if isinstance(self.edge, VswitchEdge) else port.port_no
        self.station = station(namespace, self.uplink, folder)
        self.tap = watcher.watch(Tap(namespace, self.uplink, only_ethertypes(ETHERTYPE_ECP)))

    def request(self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> VdptoolAnswer:
        """Ask the bridge through the station.

        A VM for which a null VID is requested gets the VLAN and the priority of the answer at its port.
        """
        answer = self.station.request(mode, vsi, migrating)
        if answer.filters:
            acquired = {entry.mac for entry in filter_from_text(vsi.filters).entries if not entry.vid}
            for entry in filter_from_text(answer.filters).entries:
                if entry.mac is not None and entry.mac in acquired:
                    tci = None if entry.vid in (0, self._native_vlan) else entry.pcp << 13 | entry.vid
                    self.edge.assign(mac_to_text(entry.mac), tci)
        return answer


class EndHost:
    """A configured end system: the client, the NMS host."""

    def __init__(self, system: EndSystem, namespace: Namespace) -> None:
        self.name = system.name
        self.mac = mac_text(system.mac)
        self.ip = system.ip.partition("/")[0]
        self.namespace = namespace
        self.ip6: str | None = None
        self.interface = f"{system.name}-eth0"
        namespace.quiet()
        no_checksum_offload(namespace, self.interface)


class Cluster(Running):
    """Built by :meth:`start`, taken down by :meth:`stop`; also a context manager.

    Attributes:
        fabric: what it was built from.
        folder: configuration, logs and captures.
        controller, ovs, watcher: its parts.
        hypervisors, hosts, vms: by name.
        analysers: namespaces at the ports of mirrors, by name.
    """

    def __init__(
        self,
        fabric: Fabric,
        hosts: Iterable[EndSystem],
        folder: Path,
        config: str,
        apps: Sequence[str] = APPS,
        ports: tuple[int, int] = (OPENFLOW_PORT, REST_PORT),
        station: StationMaker = LldpadStation,
        edge: EdgeMaker = VepaEdge,
    ) -> None:
        """
        Args:
            fabric, hosts: the topology.
            folder: an existing, empty folder.
            config: text of evbridge.yaml.
            apps: what ryu-manager loads.
            ports: OpenFlow and REST port of the controller, on the loopback.
            station, edge: make the EVB station and the edge of each hypervisor.
        """
        self.fabric = fabric
        self.folder = folder
        self._systems = tuple(hosts)
        self._apps = tuple(apps)
        self._station, self._edge = station, edge
        self._config = folder / "evbridge.yaml"
        self._config.write_text(config, encoding="utf-8")
        (folder / "ovs").mkdir()
        self.ovs = PrivateOvs(folder / "ovs")
        self.controller = Controller(self._config, folder, *ports)
        self.watcher = TapReader()
        self.hypervisors: dict[str, Hypervisor] = {}
        self.hosts: dict[str, EndHost] = {}
        self.analysers: dict[str, Namespace] = {}
        self.vms: dict[str, NamespaceVm] = {}
        self._net: Any = None

    def start(self) -> None:
        """Start everything and wait until every station has agreed on EVB with its bridge.

        Raises:
            NameClashError: something of that name is here already.
            TimeoutError, StationError: a part did not come up.
        """
        self._check_names()
        self.ovs.start()
        self.controller.start(self._apps)
        self._net = self._build()
        self._net.start()
        self._aggregate()
        self._populate()
        for hypervisor in self.hypervisors.values():
            hypervisor.station.start()
        self._connect()
        self._await()
        self.ovs.enlarge_buffers()

    def _connect(self) -> None:
        """Make the switches look for their controllers, once these listen."""
        served = self._served()
        for controller in dict.fromkeys(served.values()):
            controller.wait_serving()
        look_for({switch: f"tcp:127.0.0.1:{controller.port}" for switch, controller in served.items()})

    def _served(self) -> dict[str, Controller]:
        """The controller of each switch."""
        return dict.fromkeys((switch.name for switch in self.fabric.switches.values()), self.controller)

    def _await(self) -> None:
        """Wait until all switches are ready and every station has agreed on EVB."""
        self.controller.wait_connected(len(self.fabric.switches))
        for hypervisor in self.hypervisors.values():
            hypervisor.station.wait_ready()
        self.controller.wait_agreed(len(self.hypervisors))

    def stop(self) -> None:
        """Take everything down, in the opposite order; what was never started is left out."""
        end_all(
            *(vm.halt for vm in self.vms.values()),
            *(hypervisor.station.stop for hypervisor in self.hypervisors.values()),
            self.watcher.close,
            *([] if self._net is None else [self._net.stop]),
            self.controller.stop,
            self.ovs.stop,
        )

    def boot(self, vm: NamespaceVm, hypervisor: str) -> None:
        """Start a VM at a hypervisor, its port connected; the bridge has no request for it."""
        home = self.hypervisors[hypervisor]
        vm.boot(home.namespace)
        for face in vm.interfaces:
            home.edge.attach(face.port, face.mac)
            home.edge.raise_port(face.port)
        self.vms[vm.name] = vm

    def shut_down(self, vm: str, hypervisor: str) -> None:
        """End a VM and take its port away; the station has de-associated it."""
        home, gone = self.hypervisors[hypervisor], self.vms.pop(vm)
        for face in gone.interfaces:
            home.edge.detach(face.port)
            home.namespace.ip(f"link del dev {face.port}")
        gone.halt()

    def at(self, name: str) -> Namespace:
        """Return the namespace of a hypervisor, an end system or an analyser."""
        if name in self.analysers:
            return self.analysers[name]
        return self.hypervisors[name].namespace if name in self.hypervisors else self.hosts[name].namespace

    def keep_logs(self, target: Path) -> None:
        """Copy configuration and logs to where they outlive the cluster."""
        shutil.copytree(self.folder, target, dirs_exist_ok=True, ignore=_no_sockets)

    def _check_names(self) -> None:
        """Open vSwitch has one datapath of a kind a network namespace, and switches are interfaces too."""
        wanted = {configured_datapath().device, *(switch.name for switch in self.fabric.switches.values())}
        clashing = wanted & {name for _, name in socket.if_nameindex()}
        if clashing:
            raise NameClashError(f"in this network namespace there is already: {', '.join(sorted(clashing))}")

    def _build(self) -> Any:
        mininet = mininet_api.load()
        from mininet.log import setLogLevel
        from mininet.node import OVSSwitch

        setLogLevel("error")
        # In a batch: otherwise the commands for all ports of a switch exceed the 4096 characters of a terminal's line.
        datapath = _MININET_DATAPATHS[configured_datapath()]
        switch = partial(OVSSwitch, datapath=datapath, protocols="OpenFlow13", failMode="secure", batch=True)
        return mininet.Mininet(topo=topo_of(self.fabric, self._systems), switch=switch, controller=None)

    def _aggregate(self) -> None:
        """Make Open vSwitch run LACP at its end of each link of a bond that needs it."""
        for switch in self.fabric.switches.values():
            for interface in switch.interfaces.values():
                if interface.bond_mode is BondMode.LACP:
                    run(["ovs-vsctl", "--timeout=10", *_lacp(switch.name, interface)])

    def _populate(self) -> None:
        # The kernel at the switch's end of a link would send IPv6 of its own past the switch.
        ends = [intf.name for switch in self._net.switches for intf in switch.intfList() if intf.name != "lo"]
        run(["sysctl", "-qw", *(f"net.ipv6.conf.{end}.disable_ipv6=1" for end in ends)])
        systems = {system.name: system for system in self._systems}
        for port in self.fabric.ports(Role.STATION):
            name = self._name_at(port)
            parts = self.folder, self.watcher, self._station, self._edge_at(port)
            interface = self.fabric.interface(port)
            native = None if interface is None else interface.native_vlan
            self.hypervisors[name] = Hypervisor(port, self._namespace(name), *parts, native)
        for port in self.fabric.ports(Role.HOST):
            name = self._name_at(port)
            self.hosts[name] = EndHost(systems[name], self._namespace(name))
        for port in self.fabric.ports(Role.MIRROR):
            name = self._name_at(port)
            self.analysers[name] = self._namespace(name)
            self.analysers[name].quiet()

    def _edge_at(self, port: PortId) -> EdgeMaker:
        interface = self.fabric.interface(port)
        if interface is None or interface.port_names is None:
            return self._edge
        switch = self.fabric.switches[port.dpid].name
        return partial(VswitchEdge, switch=switch, port_names=interface.port_names)

    def _name_at(self, port: PortId) -> str:
        interface = self.fabric.interface(port)
        assert interface is not None
        return interface.name

    def _namespace(self, name: str) -> Namespace:
        return Namespace(name, self._net.get(name).pid)


def _lacp(switch: str, interface: Interface) -> Iterator[str]:
    """The commands that put the ports of a bond into one port record of Open vSwitch, with the same numbers."""
    ends = {link: f"{switch}-eth{link}" for link in interface.links}
    for end in ends.values():
        yield from ("--", "del-port", switch, end)
    yield from ("--", "add-bond", switch, f"{switch}-{interface.name}", *ends.values())
    yield from bond_options(interface).split()
    for link, end in ends.items():
        yield from ("--", "set", "interface", end, f"ofport_request={link}")


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (Path(folder) / name).is_file() and not (Path(folder) / name).is_dir()]
