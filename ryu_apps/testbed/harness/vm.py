"""A virtual machine: a namespace with one interface, whose other end moves from hypervisor to hypervisor.

Its sockets live in its own namespace and therefore outlive every move; pausing it stops its processes and
takes its port away, as a suspended guest neither runs nor receives.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class GuestInterface:
    """A network interface of a guest.

    Attributes:
        name: of the guest, for the first interface; unique in the cluster.
        inner: its name in the guest.
        mac: text form.
        ip: IPv4 address without prefix length (the network is a /24); None: it has none.
    """

    name: str
    inner: str
    mac: str
    ip: str | None

    @property
    def port(self) -> str:
        """Name of the hypervisor's end."""
        return f"{self.name}-p"


class NamespaceVm:
    """A guest.

    Attributes:
        name: unique in the cluster.
        mac: of its first interface, text form.
        ip: IPv4 address without prefix length (the network is a /24).
        ip6: IPv6 address likewise (the network is a /64); None: the guest does not speak IPv6.
        interfaces: ``eth0``, which these are of, and more.
        namespace: where its interfaces are.
        prober: the process that runs in it, None if none does.
    """

    def __init__(
        self, name: str, mac: str, ip: str, ip6: str | None = None, others: Sequence[tuple[str, str | None]] = ()
    ) -> None:
        """
        Args:
            others: MAC and IPv4 addresses of more interfaces, ``eth1`` and so on.
        """
        self.name = name
        # No name of a VM has a plus: "web1" with a second interface is not taken for "web11".
        more = (GuestInterface(f"{name}+{n}", f"eth{n}", other, at) for n, (other, at) in enumerate(others, 1))
        self.interfaces = (GuestInterface(name, INTERFACE, mac, ip), *more)
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
        """Name of the hypervisor's end of the VM's first interface."""
        return self.interfaces[0].port

    def boot(self, hypervisor: Namespace) -> None:
        """Create the interfaces, their other ends in the hypervisor's namespace, not connected yet, and use them."""
        self.create(hypervisor)
        self.power_on()

    def create(self, hypervisor: Namespace) -> None:
        """Create the interfaces, their other ends in the hypervisor's namespace, not connected; nothing uses them."""
        self.namespace.quiet()
        for face in self.interfaces:
            ends = f"{face.inner} address {face.mac} netns {self._keeper.pid} type veth peer name {face.port}"
            run(["ip", "link", "add", *ends.split(), "netns", str(hypervisor.pid)])
            no_checksum_offload(self.namespace, face.inner)
            # A guest does not notice its migration: no carrier lost, no neighbour forgotten.
            self.namespace.set(f"net.ipv4.conf.{face.inner}.arp_evict_nocarrier=0")
        if self.ip6 is not None:
            self.namespace.set(f"net.ipv6.conf.{INTERFACE}.ndisc_evict_nocarrier=0")
            self.namespace.speak_ipv6(INTERFACE, f"{self.ip6}/64")

    def power_on(self) -> None:
        """The guest's kernel takes its interfaces up; from now on it answers, and asks for its neighbours."""
        addresses = (f"address add {face.ip}/24 dev {face.inner}" for face in self.interfaces if face.ip is not None)
        self.namespace.ip("link set lo up", *addresses, *(f"link set {face.inner} up" for face in self.interfaces))

    def pause(self) -> None:
        """Stop the guest's processes."""
        if self.prober is not None:
            self.prober.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the guest's processes go on, once its interfaces have noticed that their ports are up."""
        wait_until(self._running, f"{self.name}: carrier", pause=0.0)
        if self.prober is not None:
            self.prober.signal(signal.SIGCONT)

    def _running(self) -> bool:
        return all(interface_flags(self._control, face.inner) & IFF_RUNNING for face in self.interfaces)

    def carry(self, source: Namespace, destination: Namespace) -> None:
        """Move the far ends of the interfaces to another hypervisor."""
        source.ip(*(f"link set dev {face.port} netns {destination.pid}" for face in self.interfaces))

    def again(self) -> NamespaceVm:
        """The same guest made anew."""
        return NamespaceVm(
            self.name, self.mac, self.ip, self.ip6, [(face.mac, face.ip) for face in self.interfaces[1:]]
        )

    def halt(self) -> None:
        """End the guest; its namespace and interface go with the last process in it."""
        self._control.close()
        self._keeper.kill()
        self._keeper.wait()
