"""The port that waits for a VM at its destination, and the proof that nothing passes it.

As with a macvtap that libvirt creates before the copy begins, the second attachment exists while the VM still runs
elsewhere.  We send with the VM's own MAC address from it, and listen whether anything for the VM comes.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

from ryu_apps.testbed.harness.capture import Sighting, Tap, TapReader, all_but_ethertypes
from ryu_apps.testbed.harness.prober import LEAK_MAGIC, PROBE
from ryu_apps.testbed.harness.shell import Namespace, run
from ryu_apps.testbed.harness.vepa import VepaEdge
from ryu_apps.testbed.harness.vm import GuestInterface

ETHERTYPE_LLDP, ETHERTYPE_ECP, ETHERTYPE_IPV4, ETHERTYPE_RARP = 0x88CC, 0x8940, 0x0800, 0x8035
_INTERVAL = 0.002
_BROADCAST = b"\xff" * 6


@dataclass(frozen=True, slots=True)
class StagedTarget:
    """Destination of injected datagrams: an end system and a port that policy allows; from port ``source``."""

    mac: str
    ip: str
    port: int
    source: int | None = None


class StagedPort:
    """A VM's port at a hypervisor before the VM is there."""

    def __init__(self, namespace: Namespace, edge: VepaEdge, vm: GuestInterface, watcher: TapReader) -> None:
        self.injected = 0
        self._edge = edge
        self._outer, self._inner = f"{vm.name}-s", f"{vm.name}-i"
        self._namespace = namespace
        self._vm = vm
        self._watcher = watcher
        self._stopping = threading.Event()
        self._injector: threading.Thread | None = None
        ends = f"{self._outer} netns {namespace.pid} type veth peer name {self._inner} netns {namespace.pid}"
        run(["ip", "link", "add", *ends.split()])
        namespace.ip(f"link set dev {self._inner} up")
        edge.attach(self._outer, vm.mac, used=False)
        edge.raise_port(self._outer)
        self._tap = watcher.watch(Tap(namespace, self._inner, all_but_ethertypes(ETHERTYPE_LLDP, ETHERTYPE_ECP)))

    def inject(self, target: StagedTarget) -> None:
        """Start sending as if we were the VM: datagrams, and the RARP with which hypervisors announce a guest."""
        assert self._vm.ip is not None, "an address to send from"
        frames = [datagram(self._vm.mac, self._vm.ip, target), announcement(self._vm.mac, LEAK_MAGIC)]
        self._injector = threading.Thread(target=self._send, args=(frames,), name="injector", daemon=True)
        self._injector.start()

    def cease(self) -> None:
        """Stop sending; at the latest just before Associate, after which these frames would be welcome."""
        self._stopping.set()
        if self._injector is not None:
            self._injector.join()

    def sightings(self) -> list[Sighting]:
        """Return the frames that have arrived here; from Associate on they are allowed."""
        self._watcher.settle()
        return self._tap.matching(lambda sighting: not sighting.outgoing)

    def disconnect(self) -> None:
        """Stop sending and leave the edge, so that the VM's real port may take the place: the quick part."""
        self.cease()
        if self._outer in self._edge.ports:
            self._edge.detach(self._outer)

    def remove(self) -> list[Sighting]:
        """Delete the disconnected port and return what had arrived at it."""
        seen = self.sightings()
        self._watcher.dismiss(self._tap)
        self._namespace.ip(f"link del dev {self._outer}")
        return seen

    def _send(self, frames: list[bytes]) -> None:
        with self._namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((self._inner, 0))
            while not self._stopping.wait(_INTERVAL):
                for frame in frames:
                    sock.send(frame)
                    self.injected += 1


def announcement(mac: str, mark: bytes = b"") -> bytes:
    """QEMU's RARP: broadcast, "who am I"; its padding begins with ``mark``."""
    octets = _octets(mac)
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 3, octets, b"\0" * 4, octets, b"\0" * 4)
    return (_BROADCAST + octets + struct.pack("!H", ETHERTYPE_RARP) + body + mark).ljust(60, b"\0")


def datagram(mac: str, ip: str, target: StagedTarget, payload: bytes | None = None) -> bytes:
    """A datagram; without a payload it is a probe that is recognisable as injected."""
    payload = PROBE.pack(LEAK_MAGIC, 0, time.monotonic()) if payload is None else payload
    udp = struct.pack("!HHHH", target.source or target.port, target.port, 8 + len(payload), 0) + payload
    addresses = IPv4Address(ip).packed + IPv4Address(target.ip).packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return _octets(target.mac) + _octets(mac) + struct.pack("!H", ETHERTYPE_IPV4) + header + udp


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
