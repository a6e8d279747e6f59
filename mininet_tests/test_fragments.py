"""IP fragments between real kernels through Open vSwitch, judged as what they are fragments of."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.testbed.conversations import DNS, STATEFUL, FirewallVm, Stack, guest, stack_of
from ryu_apps.testbed.guests import WEB
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, run, wait_until
from ryu_apps.testbed.raw_frames import RawSocket
from tests.interop.octets import TCP, UDP, Ends, part, tcp, udp

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

OPEN = (92, 1)
SSH, ELSEWHERE, SNMP = 22, 2222, 161
#: Denies two ports and lets the rest pass, the other way round than the shipped types.
POLICY = """\
version: 1
vsi_type: {type_id: 92, version: 1, name: open but for two ports}
from_vm: {default: allow, rules: [{rule: {udp_dst: snmp, actions: {allow: 0}}}]}
to_vm:
  default: allow
  rules:
    - rule: {tcp_dst: ssh, actions: {allow: 0}}
    - rule: {udp_dst: snmp, actions: {allow: 0}}
"""
#: More than fits into one frame.
LARGE = b"a large datagram" * 100
SYN_ACK = 0x12


@pytest.fixture(scope="module")
def fragments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies: Path = tmp_path_factory.mktemp("policies")
    (policies / "open.yaml").write_text(POLICY)
    with emulated_cluster(tmp_path_factory.mktemp("fragments"), policies=policies) as cluster:
        yield cluster


@pytest.fixture
def cluster(fragments: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(fragments)
    yield fragments
    wait_as_found(partial(tables, fragments), before)


def large_datagram_passes(sender: Stack, receiver: Stack, port: int, source: int = 0) -> bool:
    """Does a datagram of 1,600 octets arrive whole?  Again every 50 ms: neighbours may have to be found."""
    with (
        closing(receiver.socket(socket.SOCK_DGRAM, port)) as listening,
        closing(sender.socket(socket.SOCK_DGRAM, source)) as sending,
    ):
        listening.settimeout(0.05)
        for _ in range(int(PATIENCE / 0.05)):
            sending.sendto(LARGE, (receiver.ip, port))
            with suppress(TimeoutError):
                return listening.recv(4096) == LARGE
    return False


def answers(prober: Stack, target: Stack, ports: tuple[int, int], cut: int, payload: int) -> Iterator[bool]:
    """Probe a port by a SYN in two fragments, then one that is open in one piece: did the kernel answer each?"""
    ends = Ends.of(prober.ip, target.ip)
    head = bytes.fromhex(f"{target.mac}{prober.mac}0800".replace(":", ""))
    denied, control = ports
    whole = checked(ends, tcp(5001, denied, 20) + bytes(payload))
    with RawSocket(prober.namespace, prober.interface) as wire:
        wire.send(head + part(ends, TCP, whole[:cut], more=True))
        wire.send(head + part(ends, TCP, whole[cut:], cut))
        answered = set()
        until = time.monotonic() + PATIENCE
        while 5002 not in answered and time.monotonic() < until:
            wire.send(head + part(ends, TCP, checked(ends, tcp(5002, control))))
            while (heard := wire.hears(ends.target.packed + ends.source.packed, 0.2)) is not None:
                segment = heard.data[34:]
                if heard.data[23] == TCP and segment[13] == SYN_ACK:
                    answered.add(int.from_bytes(segment[2:4]))
    yield from (5001 in answered, 5002 in answered)


def checked(ends: Ends, segment: bytes) -> bytes:
    """A TCP segment with its checksum, over IPv4."""
    pseudo = ends.source.packed + ends.target.packed + struct.pack("!BBH", 0, TCP, len(segment)) + segment
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return segment[:16] + (~total & 0xFFFF).to_bytes(2) + segment[18:]


def test_every_switch_shows_the_ports_of_first_fragments(cluster: Cluster) -> None:
    for switch in cluster.fabric.switches.values():
        assert run(["ovs-ofctl", "-O", "OpenFlow13", "get-frags", switch.name]).strip() == "nx-match"


def test_a_denied_port_is_not_answered_in_fragments_either(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=OPEN) as vm:
        with (
            closing(vm.stack.socket(socket.SOCK_STREAM, SSH)) as ssh,
            closing(vm.stack.socket(socket.SOCK_STREAM, ELSEWHERE)) as elsewhere,
        ):
            ssh.listen()
            elsewhere.listen()
            # What is not denied is answered, by a kernel that puts fragments together.
            assert list(answers(client, vm.stack, (ELSEWHERE, ELSEWHERE), 40, 16)) == [True, True]
            for cut, payload in ((24, 0), (8, 0), (40, 16)):
                assert list(answers(client, vm.stack, (SSH, ELSEWHERE), cut, payload)) == [False, True]
        assert large_datagram_passes(client, vm.stack, ELSEWHERE)
        assert large_datagram_passes(vm.stack, client, ELSEWHERE)
        assert not quickly(client, vm.stack, SNMP) and not quickly(vm.stack, client, SNMP)


def quickly(sender: Stack, receiver: Stack, port: int) -> bool:
    """Does a large datagram arrive before one that is allowed?"""
    with (
        closing(receiver.socket(socket.SOCK_DGRAM, port)) as listening,
        closing(sender.socket(socket.SOCK_DGRAM)) as sending,
    ):
        sending.sendto(LARGE, (receiver.ip, port))
        assert large_datagram_passes(sender, receiver, ELSEWHERE)
        listening.setblocking(False)
        with suppress(BlockingIOError):
            return bool(listening.recv(4096))
    return False


@pytest.mark.parametrize("kind", [WEB, STATEFUL], ids=["acl", "firewall"])
def test_answers_of_1600_octets_reach_a_web_server(cluster: Cluster, kind: tuple[int, int]) -> None:
    client = stack_of(cluster.hosts["client"])
    with (
        guest(cluster, kind=kind) as vm,
        closing(vm.stack.socket(socket.SOCK_DGRAM, 40000)) as asking,
        closing(client.socket(socket.SOCK_DGRAM, DNS)) as server,
    ):
        server.settimeout(0.1)
        asking.settimeout(0.1)
        assert wait_until(lambda: _asked(asking, server, client.ip), "an answer", PATIENCE) == LARGE


def _asked(asking: socket.socket, server: socket.socket, ip: str) -> bytes | None:
    asking.sendto(b"what is it?", (ip, DNS))
    with suppress(TimeoutError):
        _, asker = server.recvfrom(64)
        server.sendto(LARGE, asker)
        return asking.recv(4096)
    return None


@pytest.mark.parametrize("version", [4, 6])
def test_a_large_ping_comes_back(cluster: Cluster, version: int) -> None:
    host = cluster.hosts["client"]
    with guest(cluster, kind=WEB) as vm:
        target = vm.stack.ip
        if version == 6:
            target = "fd00:10::61"
            for namespace, interface, ip in (
                (vm.stack.namespace, vm.stack.interface, target),
                (host.namespace, host.interface, "fd00:10::2"),
            ):
                namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=0")
                namespace.ip(f"address add {ip}/64 dev {interface} nodad")
        try:
            # The first ones may find the neighbour's address being looked for.
            host.namespace.run("ping", f"-{version}", "-s", "2000", "-c", "1", "-w", str(int(PATIENCE)), target)
        finally:
            host.namespace.set(f"net.ipv6.conf.{host.interface}.disable_ipv6=1")


def test_what_a_vm_sends_in_fragments_lets_nothing_in(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    with guest(cluster, kind=STATEFUL) as vm:
        assert large_datagram_passes(vm.stack, client, DNS)
        assert intruders(client, vm) == [b"known"]


def intruders(client: Stack, vm: FirewallVm) -> list[bytes]:
    """Payloads that arrive, of a later fragment without a first one and of an answer to a request."""
    ends = Ends.of(client.ip, vm.stack.ip)
    head = bytes.fromhex(f"{vm.stack.mac}{client.mac}0800".replace(":", ""))
    with (
        RawSocket(client.namespace, client.interface) as near,
        RawSocket(vm.stack.namespace, vm.stack.interface) as far,
        closing(vm.stack.socket(socket.SOCK_DGRAM, 40000)) as asking,
    ):
        found = []
        until = time.monotonic() + PATIENCE
        while b"known" not in found and time.monotonic() < until:
            asking.sendto(b"?", (client.ip, DNS))
            near.send(head + part(ends, UDP, b"stranger" * 4, 64))
            near.send(head + part(ends, UDP, udp(DNS, 40000, 0)[:4] + struct.pack("!HH", 13, 0) + b"known"))
            while (heard := far.hears(ends.source.packed + ends.target.packed, 0.1)) is not None:
                found += [mark for mark in (b"stranger", b"known") if mark in heard.data and mark not in found]
        return found
