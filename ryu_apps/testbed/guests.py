"""Web servers that come to a cluster and go again, and whether what is sent to them arrives."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss

ETHERTYPE_ARP = 0x0806
#: The VSI type of the shipped web server; QUIC (UDP) passes to and from HTTPS, and nothing to 5002.
WEB = (1, 1)
HTTPS = 443


def vsi(number: int) -> VdptoolVsi:
    """The VSI of a guest."""
    return VdptoolVsi(
        f"00000000-0000-4000-8000-{number:012d}",
        *WEB,
        (f"100-52:54:00:bb:00:{number:02x}",),
        f"10.0.100.{100 + number}",
    )


@contextmanager
def running(cluster: Cluster, number: int, hypervisor: str) -> Iterator[NamespaceVm]:
    """A VM, associated, and gone again afterwards."""
    vm = NamespaceVm(f"t{number}", f"52:54:00:bb:00:{number:02x}", f"10.0.100.{100 + number}")
    cluster.boot(vm, hypervisor)
    admit(cluster.hypervisors[hypervisor], vsi(number))
    try:
        yield vm
    finally:
        dismiss(cluster.hypervisors[hypervisor], vsi(number))
        cluster.shut_down(vm.name, hypervisor)


def places(cluster: Cluster, vsi: str) -> dict[str, str]:
    """Phase of a VSI by the station at whose port it is, as the bridge has it."""
    known = [found for found in cluster.controller.get("/evb/vsis") if found["vsi"] == vsi]
    return {at["name"]: at["phase"] for found in known for at in found["attachments"]}


def _datagrams(end: Namespace, ip: str, port: int) -> socket.socket:
    """A socket at a port, of the version of an address."""
    made = end.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", port))
    return made


def arrives(sender: Namespace, receiver: Namespace, ip: str, port: int, patience: float = PATIENCE) -> bool:
    """Does a datagram get through?  Sent again every 50 ms, because the first ones wait for ARP."""
    with ExitStack() as stack:
        listening, sending = (stack.enter_context(_datagrams(end, ip, port)) for end in (receiver, sender))
        listening.settimeout(0.05)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            sending.sendto(b"here", (ip, port))
            try:
                return listening.recv(16) == b"here"
            except TimeoutError:
                continue
    return False


def is_dropped(sender: Namespace, receiver: Namespace, ip: str, port: int, passes: int) -> bool:
    """Does a datagram not get through?  What is sent behind it to a port that is open has arrived, and it has not."""
    with ExitStack() as stack:
        listening, sending = (stack.enter_context(_datagrams(end, ip, port)) for end in (receiver, sender))
        for _ in range(3):
            sending.sendto(b"here", (ip, port))
        if not arrives(sender, receiver, ip, passes):
            raise DeadlineError(f"{ip}: nothing has arrived at port {passes} either")
        listening.setblocking(False)
        try:
            listening.recv(16)
        except BlockingIOError:
            return True
    return False


def who_has(ip: str, mac: str, source: str) -> bytes:
    """An ARP request, broadcast."""
    octets = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!HHHBBH", ETHERTYPE_ARP, 1, 0x0800, 6, 4, 1)
    return b"\xff" * 6 + octets + head + octets + IPv4Address(source).packed + bytes(6) + IPv4Address(ip).packed


@contextmanager
def copies_of_request(
    cluster: Cluster, vms: Iterable[NamespaceVm], request: bytes
) -> Iterator[Callable[[], dict[str, int]]]:
    """Count the copies of an ARP request that arrive at VMs and end systems, by their names."""
    ends = {vm.name: (vm.namespace, "eth0") for vm in vms}
    ends |= {host.name: (host.namespace, host.interface) for host in cluster.hosts.values()}
    taps = {name: cluster.watcher.watch(Tap(*end, only_ethertypes(ETHERTYPE_ARP))) for name, end in ends.items()}

    def copies() -> dict[str, int]:
        cluster.watcher.settle()
        return {
            name: len(tap.matching(lambda sighting: not sighting.outgoing and sighting.data[12:42] == request[12:42]))
            for name, tap in taps.items()
        }

    with ExitStack() as watching:
        for tap in taps.values():
            watching.callback(cluster.watcher.dismiss, tap)
        yield copies
