"""Guests behind the firewall, what they and their peers say to each other, and what should not get in."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from ipaddress import ip_address
from typing import NamedTuple

from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.flow_dumps import read_dump
from ryu_apps.testbed.harness.cluster import Cluster, EndHost
from ryu_apps.testbed.harness.ovs import cached_flows, dump_flows
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepCallbacks
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.vcm.move_events import Ladder

#: What the shipped web server may be asked for, and may ask for.
HTTP, DNS, MYSQL = 80, 53, 3306
STATEFUL = (10, 1)
SYN, ACK = 0x02, 0x10
#: A port of clients.
HERE = 40000
#: How long to listen for what must not come.
SILENCE = 0.4


class Stack(NamedTuple):
    """A real network stack at one end of a conversation."""

    namespace: Namespace
    interface: str
    mac: str
    ip: str

    def socket(self, kind: socket.SocketKind, port: int = 0) -> socket.socket:
        """A socket of this end, bound to its address."""
        family = socket.AF_INET6 if ":" in self.ip else socket.AF_INET
        made = self.namespace.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.ip, port))
        made.settimeout(PATIENCE)
        return made


def stack_of(host: EndHost) -> Stack:
    return Stack(host.namespace, host.interface, host.mac, host.ip)


class FirewallVm:
    """A VM behind the firewall."""

    def __init__(self, cluster: Cluster, number: int, hypervisor: str, kind: tuple[int, int]) -> None:
        mac, ip = f"52:54:00:f1:00:{number:02x}", f"10.0.100.{60 + number}"
        self.vsi = VdptoolVsi(f"00000000-0000-4000-f000-{number:012d}", *kind, (f"100-{mac}",), ip)
        self.vm = NamespaceVm(f"f{number}", mac, ip)
        self.at = hypervisor
        self.stack = Stack(self.vm.namespace, INTERFACE, mac, ip)
        self._cluster = cluster
        cluster.boot(self.vm, hypervisor)

    @property
    def name(self) -> str:
        """Unique in the cluster."""
        return self.vm.name

    @property
    def mac(self) -> str:
        """Text form."""
        return self.vm.mac

    def lands(self, there: str) -> None:
        """Take it to a hypervisor whose station was granted it, as at the end of a migration."""
        source, target, port = self._cluster.hypervisors[self.at], self._cluster.hypervisors[there], self.vm.port
        source.edge.detach(port)
        self.vm.carry(source.namespace, target.namespace)
        target.edge.attach(port, self.vm.mac)
        target.edge.raise_port(port)
        self.at = there

    def moves(self, there: str, ladder: Ladder, while_copying: Callable[[], None] = lambda: None) -> None:
        """Migrate it."""
        callbacks = (StepCallbacks(on_copying=while_copying),)
        move = SingleMove(self._cluster, self.vsi, self.vm.name, self.at, there, ladder, 0.02, observers=callbacks)
        assert move.run().evidence.outcome is MoveOutcome.COMPLETED
        self.at = there


def is_cached(port: int) -> bool:
    """Return True if the datapath forwards TCP from or to a port by what it has cached."""
    return any(f"src={port}," in flow or f"dst={port})" in flow for flow in cached_flows() if "tcp(" in flow)


@contextmanager
def guest(
    cluster: Cluster, number: int = 1, hypervisor: str = "hv1", kind: tuple[int, int] = STATEFUL
) -> Iterator[FirewallVm]:
    with admitted(cluster, FirewallVm(cluster, number, hypervisor, kind)) as made:
        yield made


@contextmanager
def admitted(cluster: Cluster, made: FirewallVm) -> Iterator[FirewallVm]:
    """A VM that is associated where it is, and gone again afterwards, from wherever it is then."""
    try:
        admit(cluster.hypervisors[made.at], made.vsi)
        yield made
    finally:
        dismiss(cluster.hypervisors[made.at], made.vsi)
        cluster.shut_down(made.vm.name, made.at)


@contextmanager
def over_ipv6(ours: Stack, theirs: Stack) -> Iterator[tuple[Stack, Stack]]:
    """The same stacks over IPv6: that of a VM, and that of an end system, which usually does not speak it."""
    made = []
    for stack, ip in ((ours, "fd00:10::61"), (theirs, "fd00:10::2")):
        stack.namespace.set(f"net.ipv6.conf.{stack.interface}.disable_ipv6=0")
        stack.namespace.set(f"net.ipv6.conf.{stack.interface}.ndisc_evict_nocarrier=0")
        stack.namespace.ip(f"address add {ip}/64 dev {stack.interface} nodad")
        made.append(stack._replace(ip=ip))
    try:
        yield made[0], made[1]
    finally:
        theirs.namespace.set(f"net.ipv6.conf.{theirs.interface}.disable_ipv6=1")


# --- conversations ------------------------------------------------------------------------------------
SocketPair = tuple[socket.socket, socket.socket]


@contextmanager
def connected(client: Stack, server: Stack, port: int) -> Iterator[SocketPair]:
    """The client's and the server's end of a connection."""
    with closing(server.socket(socket.SOCK_STREAM, port)) as listening, ExitStack() as ends:
        listening.listen(1)
        calling = ends.enter_context(closing(client.socket(socket.SOCK_STREAM)))
        calling.connect((server.ip, port))
        yield calling, ends.enter_context(closing(listening.accept()[0]))


@contextmanager
def asked(client: Stack, server: Stack, port: int) -> Iterator[SocketPair]:
    """Two UDP sockets; the client has been heard once, and nothing has been answered."""
    with (
        closing(client.socket(socket.SOCK_DGRAM, HERE)) as asking,
        closing(server.socket(socket.SOCK_DGRAM, port)) as answering,
    ):
        asking.connect((server.ip, port))
        answering.connect((client.ip, HERE))
        assert datagram_passes(asking, answering)
        yield asking, answering


def datagram_passes(sending: socket.socket, receiving: socket.socket, patience: float = PATIENCE) -> bool:
    """Does one get through?  Again every 50 ms: a switch may still cache a drop."""
    deadline = time.monotonic() + patience
    receiving.settimeout(0.05)
    while time.monotonic() < deadline:
        with suppress(OSError):
            sending.send(b"here")
        with suppress(TimeoutError):
            return receiving.recv(16) == b"here"
    return False


def passes(sending: socket.socket, receiving: socket.socket) -> bool:
    """Over TCP, which repeats what was lost."""
    receiving.settimeout(PATIENCE)
    sending.sendall(b"beat")
    with suppress(TimeoutError):
        return receiving.recv(4, socket.MSG_WAITALL) == b"beat"
    return False


def segment(source: Stack, target: Stack, ports: tuple[int, int], flags: int, mark: bytes) -> bytes:
    """A TCP segment with a payload to know it by; no stack need like its checksum."""
    tcp = struct.pack("!HHIIBBHHH", *ports, 1, 1, 0x50, flags, 1000, 0, 0) + mark
    return _ipv4(source, target, 6, tcp)


def datagram(source: Stack, target: Stack, ports: tuple[int, int], mark: bytes) -> bytes:
    return _ipv4(source, target, 17, struct.pack("!HHHH", *ports, 8 + len(mark), 0) + mark)


def _ipv4(source: Stack, target: Stack, proto: int, payload: bytes) -> bytes:
    ends = ip_address(source.ip).packed + ip_address(target.ip).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0) + ends
    total = sum(struct.unpack("!10H", head))
    head = head[:10] + struct.pack("!H", ~(total % 0xFFFF) & 0xFFFF) + head[12:]
    macs = b"".join(mac_from_text(end.mac).to_bytes(6) for end in (target, source))
    return macs + b"\x08\x00" + head + payload


def trespasses(source: Stack, target: Stack, known: tuple[int, int], udp: bool = False) -> list[str]:
    """Of frames beside a connection (its ports from source to target), those that arrive; that connection's must."""
    ours, theirs = known
    beside = {
        "source port": (ours + 1, theirs),
        "target port": (ours, theirs + 1),
        "both": (ours + 1, theirs + 1),
        "turned": (theirs, ours),
    }
    with RawSocket(source.namespace, source.interface) as mouth, RawSocket(target.namespace, target.interface) as ear:
        for name, ports in beside.items():
            mark = f"EVB {name}".encode()
            mouth.send(datagram(source, target, ports, mark) if udp else segment(source, target, ports, ACK, mark))
            mouth.send(segment(source, target, ports, SYN | ACK, mark))
        mark = b"EVB known"
        mouth.send(datagram(source, target, known, mark) if udp else segment(source, target, known, ACK, mark))
        found: list[str] = []
        # That of the connection was sent last, and may be late.
        while (heard := ear.hears(b"EVB ", SILENCE if "known" in found else PATIENCE)) is not None:
            found.append(heard.data.split(b"EVB ")[1].rstrip(b"\0").decode())
    return found


def state(cluster: Cluster, switch: str) -> list[str]:
    """Return the rules that a switch has learnt or been given."""
    rules = read_dump(dump_flows(switch))
    return [rule.line for rule in rules if rule.cookie is not None and rule.cookie.kind is CookieKind.STATE]
