"""A virtual machine: a namespace with one interface, whose other end moves from hypervisor to hypervisor.

Its sockets live in its own namespace and therefore outlive every move; pausing it stops its processes and
takes its port away, as a suspended guest neither runs nor receives.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from typing import Protocol

from ryu_apps.testbed.harness.shell import Namespace, interface_flags, run, wait_until

INTERFACE = "eth0"
IFF_RUNNING = 0x40


def no_checksum_offload(namespace: Namespace, interface: str) -> None:
    """Make an interface compute its checksums: the user-space datapath forwards what it is given."""
    namespace.run("ethtool", "-K", interface, "tx", "off")


class Process(Protocol):
    """Process that runs in a guest."""

    def signal(self, number: int) -> None: ...


class NamespaceVm:
    """A guest.

    Attributes:
        name: unique in the cluster.
        mac: text form.
        ip: IPv4 address without prefix length (the network is a /24).
        ip6: IPv6 address likewise (the network is a /64); None: the guest does not speak IPv6.
        namespace: where its interface ``eth0`` is.
        prober: the process that runs in it, None if none does.
    """

    def __init__(self, name: str, mac: str, ip: str, ip6: str | None = None) -> None:
        self.name = name
        self.mac = mac
        self.ip = ip
        self.ip6 = ip6
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
        )
        assert self._keeper.stdout is not None
        self._keeper.stdout.read(1)  # the namespace exists once its process has written
        self.namespace = Namespace(name, self._keeper.pid)
        self._control = self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.prober: Process | None = None

    @property
    def port(self) -> str:
        """Name of the hypervisor's end of the VM's interface."""
        return f"{self.name}-p"

    def boot(self, hypervisor: Namespace) -> None:
        """Create the interface, its other end in the hypervisor's namespace, not connected yet, and use it."""
        self.create(hypervisor)
        self.power_on()

    def create(self, hypervisor: Namespace) -> None:
        """Create the interface, its other end in the hypervisor's namespace, not connected yet; nothing uses it."""
        self.namespace.quiet()
        ends = f"{INTERFACE} address {self.mac} netns {self._keeper.pid} type veth peer name {self.port}"
        run(["ip", "link", "add", *ends.split(), "netns", str(hypervisor.pid)])
        no_checksum_offload(self.namespace, INTERFACE)
        # A guest does not notice its migration: no carrier lost, no neighbour forgotten.
        self.namespace.set(f"net.ipv4.conf.{INTERFACE}.arp_evict_nocarrier=0")
        if self.ip6 is not None:
            self.namespace.set(f"net.ipv6.conf.{INTERFACE}.ndisc_evict_nocarrier=0")
            self.namespace.speak_ipv6(INTERFACE, f"{self.ip6}/64")

    def power_on(self) -> None:
        """The guest's kernel takes its interface up; from now on it answers, and asks for its neighbours."""
        self.namespace.ip("link set lo up", f"address add {self.ip}/24 dev {INTERFACE}", f"link set {INTERFACE} up")

    def pause(self) -> None:
        """Stop the guest's processes."""
        if self.prober is not None:
            self.prober.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the guest's processes go on, once its interface has noticed that its port is up."""
        wait_until(self._running, f"{self.name}: carrier", pause=0.0)
        if self.prober is not None:
            self.prober.signal(signal.SIGCONT)

    def _running(self) -> bool:
        return bool(interface_flags(self._control, INTERFACE) & IFF_RUNNING)

    def carry(self, source: Namespace, destination: Namespace) -> None:
        """Move the far end of the interface to another hypervisor."""
        source.ip(f"link set dev {self.port} netns {destination.pid}")

    def halt(self) -> None:
        """End the guest; its namespace and interface go with the last process in it."""
        self._control.close()
        self._keeper.kill()
        self._keeper.wait()
