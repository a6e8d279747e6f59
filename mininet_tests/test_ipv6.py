"""IPv6 with real stacks at both ends: neighbour discovery, the ACL and anti-spoofing, before and after a move."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from ipaddress import IPv6Address

import pytest

from mininet_tests.conftest import tables, wait_as_found
from ryu_apps.evb.wire.announcement import neighbour_advertisement
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HTTPS, DENIED = 443, 5002
CLIENT, STRANGER = "fd00:10::2", "fd00:10::99"
#: How long to wait for what must not come.
SILENCE = 0.4


@pytest.fixture
def cluster(emulated: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(emulated)
    yield emulated
    wait_as_found(partial(tables, emulated), before)


class End:
    """A stack that speaks IPv6."""

    def __init__(self, namespace: Namespace, interface: str, mac: str, ip6: str) -> None:
        self.namespace, self.interface, self.mac, self.ip6 = namespace, interface, mac, ip6
        namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=0", f"net.ipv6.conf.{interface}.ndisc_evict_nocarrier=0")
        namespace.ip(f"address add {ip6}/64 dev {interface} nodad")

    def socket(self, kind: socket.SocketKind, port: int, source: str = "") -> socket.socket:
        """A socket of this end, bound."""
        made = self.namespace.socket(socket.AF_INET6, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((source or self.ip6, port))
        made.settimeout(0.05)
        return made

    def knows(self, other: End) -> bool:
        """Does its neighbour cache have the right MAC address of another end?"""
        neighbours = self.namespace.run("ip", "-6", "neighbour", "show", other.ip6)
        return f"lladdr {other.mac}" in neighbours


class Guest(End):
    """A VM that speaks IPv6 and whose station has told the address."""

    def __init__(self, cluster: Cluster, number: int, hypervisor: str) -> None:
        ip, ip6, mac = f"10.0.100.{70 + number}", f"fd00:10::7{number}", f"52:54:00:c6:00:{number:02x}"
        self.vsi = VdptoolVsi(f"00000000-0000-4000-e000-{number:012d}", 1, 1, (f"100-{mac}",), ip, ip6=ip6)
        self.vm = NamespaceVm(f"v{number}", mac, ip)
        self.at = hypervisor
        self._cluster = cluster
        cluster.boot(self.vm, hypervisor)
        super().__init__(self.vm.namespace, INTERFACE, mac, ip6)

    def moves(self, there: str) -> None:
        """Migrate it."""
        move = SingleMove(self._cluster, self.vsi, self.vm.name, self.at, there, Ladder.MINIMIZE_LATENCY, 0.02)
        assert move.run().evidence.outcome is MoveOutcome.COMPLETED
        self.at = there


@contextmanager
def guest(cluster: Cluster, number: int, hypervisor: str) -> Iterator[Guest]:
    made = Guest(cluster, number, hypervisor)
    try:
        admit(cluster.hypervisors[hypervisor], made.vsi)
        yield made
    finally:
        dismiss(cluster.hypervisors[made.at], made.vsi)
        cluster.shut_down(made.vm.name, made.at)


@contextmanager
def client_of(cluster: Cluster) -> Iterator[End]:
    """The client, for this once with IPv6."""
    host = cluster.hosts["client"]
    try:
        yield End(host.namespace, host.interface, host.mac, CLIENT)
    finally:
        host.namespace.set(f"net.ipv6.conf.{host.interface}.disable_ipv6=1")


def datagram_arrives(sender: End, receiver: End, port: int, patience: float = PATIENCE, source: str = "") -> bool:
    """Does a datagram get through from and to ``port``?  Again every 50 ms: the first ones wait for an answer."""
    with (
        closing(receiver.socket(socket.SOCK_DGRAM, port)) as listening,
        closing(sender.socket(socket.SOCK_DGRAM, port, source)) as sending,
    ):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            sending.sendto(b"here", (receiver.ip6, port))
            with suppress(TimeoutError):
                return listening.recv(16) == b"here"
    return False


def connection(
    client: End, server: End, port: int, patience: float = PATIENCE
) -> tuple[socket.socket, socket.socket] | None:
    """Both ends of a connection to ``port``, None if there is none in time."""
    with closing(server.socket(socket.SOCK_STREAM, port)) as listening:
        listening.listen(1)
        calling = client.socket(socket.SOCK_STREAM, 0)
        calling.settimeout(patience)
        try:
            calling.connect((server.ip6, port))
            return calling, listening.accept()[0]
        except TimeoutError:
            calling.close()
            return None


def talks(one: socket.socket, other: socket.socket) -> bool:
    """Both ways over a connection that may have to send again."""
    for sending, receiving in ((one, other), (other, one)):
        sending.sendall(b"beat")
        receiving.settimeout(PATIENCE)
        if receiving.recv(16) != b"beat":
            return False
    return True


def check_acl(vm: End, client: End) -> None:
    assert datagram_arrives(client, vm, HTTPS)
    assert datagram_arrives(vm, client, HTTPS)
    assert vm.knows(client)
    assert client.knows(vm)
    assert not datagram_arrives(client, vm, DENIED, SILENCE)
    assert not datagram_arrives(vm, client, DENIED, SILENCE)
    assert connection(client, vm, DENIED, SILENCE) is None
    assert connection(vm, client, HTTPS, SILENCE) is None  # a server of web pages asks for none


def check_sources(vm: End, client: End) -> None:
    vm.namespace.ip(f"address add {STRANGER}/128 dev {vm.interface} nodad")
    try:
        assert not datagram_arrives(vm, client, HTTPS, SILENCE, source=STRANGER)
    finally:
        vm.namespace.ip(f"address del {STRANGER}/128 dev {vm.interface}")
    assert datagram_arrives(vm, client, HTTPS)


def check_advertisements(vm: End, client: End, victim: End) -> None:
    """Advertisements of its own addresses arrive; those of the victim's do not, and the client's cache stays right."""
    assert datagram_arrives(client, victim, HTTPS)
    mac = mac_from_text(vm.mac)
    with RawSocket(vm.namespace, vm.interface) as wire, RawSocket(client.namespace, client.interface) as ear:
        for about, welcome in ((vm.ip6, True), (victim.ip6, False)):
            mark = b"EVBm" + about.encode()
            forged = neighbour_advertisement(mac, IPv6Address(about)).encode() + mark
            # From its own address, about another's: only the target gives that away.
            honest_source = IPv6Address(vm.ip6).packed
            disguised = forged[:22] + honest_source + forged[38:]
            wire.send(forged)
            wire.send(disguised)
            assert (ear.hears(mark, PATIENCE if welcome else SILENCE) is not None) is welcome
    assert client.knows(victim)
    assert datagram_arrives(client, victim, HTTPS)


def test_policy_and_anti_spoofing_hold_for_ipv6_before_and_after_a_move(cluster: Cluster) -> None:
    with (
        client_of(cluster) as client,
        guest(cluster, 1, "hv1") as vm,
        guest(cluster, 2, "hv6") as victim,
        ExitStack() as open_sockets,
    ):
        made = connection(client, vm, HTTPS)
        assert made is not None
        for end in made:
            open_sockets.callback(end.close)
        for there in ("hv1", "hv5"):
            if there != vm.at:
                vm.moves(there)
            assert talks(*made)
            check_acl(vm, client)
            check_sources(vm, client)
            check_advertisements(vm, client, victim)
        second = connection(client, vm, HTTPS)
        assert second is not None
        for end in second:
            open_sockets.callback(end.close)
        assert talks(*second)
