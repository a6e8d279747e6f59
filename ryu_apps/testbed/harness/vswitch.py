"""A hypervisor's edge at the Open vSwitch of its own server: each VM has a port of the switch.

A port appears under a new number whenever a VM takes its place, and bears the VM's MAC address in its name.
"""

from __future__ import annotations

import os
import socket

from ryu_apps.evb.topology.vsi_ports import name_of_port
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.harness.shell import Namespace, interface_flags, run, set_interface_flags
from ryu_apps.testbed.harness.vepa import IFF_UP, VepaEdge


class VswitchEdge(VepaEdge):
    """The VMs' ports at a switch that is in the network namespace of this process."""

    ACCESS_PORTS = False

    def __init__(self, namespace: Namespace, uplink: str, switch: str, port_names: str) -> None:
        """
        Args:
            switch: name of its bridge.
            port_names: rule for the names of VSI ports, by the MAC address.
        """
        super().__init__(namespace, uplink)
        self._switch = switch
        self._port_names = port_names
        self._here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def tap(self, mac: str) -> str:
        """The name of the switch's port for a VM."""
        name = name_of_port(self._port_names, "", mac_from_text(mac))
        assert name is not None, "a rule by the MAC address"
        return name

    def attach(self, port: str, mac: str, used: bool = True) -> None:
        """Give a port, an interface that is in the hypervisor's namespace, to the switch."""
        tap = self.tap(mac)
        with self._turn:
            self.namespace.ip(f"link set dev {port} netns {os.getpid()} name {tap}")
            # The kernel at this end would send IPv6 of its own past the switch.
            run(["sysctl", "-qw", f"net.ipv6.conf.{tap}.disable_ipv6=1"])
            run(["ovs-vsctl", "--timeout=10", "add-port", self._switch, tap])
            self._ports[port] = mac

    def assign(self, mac: str, tci: int | None) -> None:
        """Nothing: at a port of its own a VM sends untagged frames, and the switch has its VLAN and priority."""

    def raise_port(self, port: str) -> None:
        """Bring a port up."""
        tap = self.tap(self._ports[port])
        set_interface_flags(self._here, tap, interface_flags(self._here, tap) | IFF_UP)

    def detach(self, port: str) -> None:
        """Take a port from the switch, back into the hypervisor's namespace."""
        with self._turn:
            tap = self.tap(self._ports.pop(port))
            run(["ovs-vsctl", "--timeout=10", "del-port", self._switch, tap])
            run(["ip", "link", "set", "dev", tap, "netns", str(self.namespace.pid), "name", port])
