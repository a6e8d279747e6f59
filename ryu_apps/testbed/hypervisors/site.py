"""Two switches, the controller, a hypervisor at each switch, and a client: where guests of libvirt live and move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import StationKind
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.testbed.harness.controller import Controller
from ryu_apps.testbed.harness.datapath import configured_datapath
from ryu_apps.testbed.harness.ovs import PrivateOvs
from ryu_apps.testbed.harness.running import Running, end_all
from ryu_apps.testbed.harness.shell import run
from ryu_apps.testbed.harness.vm import NamespaceVm, no_checksum_offload
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import GuestImage
from ryu_apps.testbed.hypervisors.guest_site import GuestSite
from ryu_apps.testbed.hypervisors.host import LLDPAD, HostKind, LibvirtHost
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd

NATIVE_VLAN = 100
HYPERVISOR_PORT, CLIENT_PORT, TRUNK_PORT = 1, 50, 61
CLIENT_MAC, CLIENT_IP = 0x525400006402, "10.0.100.2"
#: A station waits a minute for an answer: on a busy machine a controller takes half of that to start.
TIMERS = Timers(rwd=22, rka=22)
ROOM = 6000


def fabric(station: StationKind = StationKind.LIBVIRT) -> Fabric:
    """Describe the two switches: a hypervisor at each with a station of a kind, the client at the second, a trunk.

    The second switch has room for one guest behind a firewall that knows 2000 connections.
    """
    return Fabric({1: _switch(1, 2, station), 2: _switch(2, 1, station)})


def _switch(dpid: int, other: int, station: StationKind) -> Switch:
    interfaces = [
        Interface(HYPERVISOR_PORT, f"hv{dpid}", Role.STATION, NATIVE_VLAN, timers=TIMERS, station=station),
        Interface(TRUNK_PORT, f"s{other}", Role.TRUNK, peer=PortId(other, TRUNK_PORT)),
    ]
    if dpid == 2:
        interfaces.append(Interface(CLIENT_PORT, "client", Role.HOST, NATIVE_VLAN, macs=(CLIENT_MAC,)))
    return Switch(
        dpid, f"s{dpid}", {interface.port_no: interface for interface in interfaces}, ROOM if dpid == 2 else None
    )


class HypervisorSite(GuestSite, Running):
    """The cluster; a context manager.

    Attributes:
        controller, ovs, client: its parts.
        hosts: the hypervisors ``hv1`` and ``hv2``, by name.
    """

    def __init__(
        self, folder: Path, policies: Sequence[Path], image: GuestImage, fabric: Fabric, kind: HostKind = LLDPAD
    ) -> None:
        """
        Args:
            folder: an existing, empty folder for configuration and logs.
            policies: folders with VSI types.
            image: of the guests.
            kind: how libvirt is connected to the stations.
        """
        super().__init__(folder)
        self._host_kind = kind
        self._image = image
        self._fabric = fabric
        config = folder / "evbridge.yaml"
        settings = BridgeConfig(fabric, tuple(map(str, policies)), str(folder / "state"))
        config.write_text(dump_config(settings), encoding="utf-8")
        (folder / "ovs").mkdir()
        self.ovs = PrivateOvs(folder / "ovs")
        self.controller = Controller(config, folder)
        self.hosts: dict[str, LibvirtHost] = {}
        self.client = NamespaceVm("client", CLIENT_MAC.to_bytes(6).hex(":"), CLIENT_IP)

    def stop(self) -> None:
        """Take everything down."""
        hosts = (host.stop for host in self.hosts.values())
        end_all(*hosts, self.client.halt, self.controller.stop, self.ovs.stop)

    # --- guests ---
    @property
    def libvirtds(self) -> Mapping[str, Libvirtd]:
        """The hypervisors."""
        return self.hosts

    def domain_xml(self, guest: Guest, host: str, console: str) -> str:
        """Return the XML of a guest; the uplink of a host has its name."""
        return self._host_kind.domain_xml(guest, self._image, host, console)

    def restart_controller(self) -> None:
        """Start the controller after :meth:`Controller.kill`, and wait until it has agreed with all stations."""
        self.controller.start()
        self.controller.wait_connected(len(self._fabric.switches))
        self.controller.wait_agreed(len(self.hosts))

    # --- building ---
    def start(self) -> None:
        """Start everything and wait until every station has agreed on EVB with its bridge."""
        self.ovs.start()
        self.controller.start()
        self._connect_client()
        for switch in self._fabric.switches.values():
            self._build_switch(switch)
        for dpid in self._fabric.switches:
            # Far enough apart for the macvtap devices of one run.
            host = LibvirtHost(f"hv{dpid}", f"10.9.0.{dpid}", 200 * (dpid - 1), self._folder, self._host_kind)
            self.hosts[host.name] = host
            host.connect_uplink()
        self._connect_hosts()
        for host in self.hosts.values():
            host.start()
        self.controller.wait_connected(len(self._fabric.switches))
        for host in self.hosts.values():
            host.wait_ready()
        self.controller.wait_agreed(len(self.hosts))

    def _build_switch(self, switch: Switch) -> None:
        words = ["ovs-vsctl", "--timeout=30", "add-br", switch.name, "--", "set", "bridge", switch.name]
        words += [f"datapath_type={configured_datapath()}", "protocols=OpenFlow13", "fail_mode=secure"]
        words += [f"other-config:datapath-id={switch.dpid:016x}"]
        for port in switch.interfaces.values():
            name = port.name if port.role is Role.STATION else f"{switch.name}-{port.name}"
            words += ["--", "add-port", switch.name, name, "--", "set", "interface", name]
            words += [f"ofport_request={port.port_no}", *self._kind(switch, port)]
        words += ["--", "set-controller", switch.name, f"tcp:127.0.0.1:{self.controller.port}"]
        run(words)

    def _kind(self, switch: Switch, port: Interface) -> list[str]:
        match port.role:
            case Role.STATION:
                return ["type=internal"]
            case Role.TRUNK:
                return ["type=patch", f"options:peer={port.name}-{switch.name}"]
            case Role.HOST | Role.MIRROR | Role.VSI:
                return []

    def _connect_hosts(self) -> None:
        first, second = (host.namespace.pid for host in self.hosts.values())
        run(["ip", "link", "add", "mgmt", "netns", str(first), "type", "veth", "peer", "mgmt", "netns", str(second)])
        for host in self.hosts.values():
            host.namespace.ip(f"address add {host.address}/24 dev mgmt", "link set mgmt up")

    def _connect_client(self) -> None:
        namespace = self.client.namespace
        namespace.quiet()
        near = f"client address {self.client.mac} netns {namespace.pid}"
        run(["ip", "link", "add", *near.split(), "type", "veth", "peer", "name", "s2-client"])
        run(["ip", "link", "set", "s2-client", "up"])
        namespace.ip(f"address add {CLIENT_IP}/24 dev client", "link set client up")
        no_checksum_offload(namespace, "client")
