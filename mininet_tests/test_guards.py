"""Messages of routers and servers from a VM, and their effect on a kernel beside it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.conversations import FirewallVm, guest, stack_of
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch
from tests.interop.octets import ICMPV6, UDP, Ends, ipv6, part, udp

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

WALLED, ROUTER, OPEN, UNCHECKED = (93, 1), (94, 1), (95, 1), (96, 1)
#: A firewall that lets nothing begin; the same for a VM that is a router; and one that may send anything else.
POLICIES = {
    WALLED: "firewall: {from_vm: {default: deny}, to_vm: {default: deny}}\n",
    ROUTER: "firewall: {from_vm: {default: deny}, to_vm: {default: deny}}\nroles: [router]\n",
    OPEN: "from_vm: {default: allow}\nto_vm: {default: allow}\n",
    UNCHECKED: (
        "from_vm: {default: allow}\nto_vm: {default: allow}\nanti_spoofing: {mac: false, ip: false, arp: false}\n"
    ),
}
#: Addresses of the client, which is the gateway here.
GATEWAY = ("10.0.100.2", "fd00:10::2")
#: Of the VM that speaks; nobody has told it.
LINK_LOCAL = "fe80::f0:1234:5678:9abc"
ALL_NODES, ALL_NODES_MAC = "ff02::1", 0x333300000001
#: Of a prefix that nobody has.
PREFIX = IPv6Address("2001:db8:bad::")
CONTROL = b"EVB control"


def fabric() -> Fabric:
    described = two_switch.fabric()
    switch = described.switches[2]
    port = replace(switch.interfaces[two_switch.HOST_PORT], addresses=tuple(map(ip_address, GATEWAY)))
    switch = replace(switch, interfaces={**switch.interfaces, port.port_no: port})
    return replace(described, switches={**described.switches, 2: switch})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    policies: Path = tmp_path_factory.mktemp("policies")
    for key, body in POLICIES.items():
        head = f"version: 1\nvsi_type: {{type_id: {key[0]}, version: {key[1]}, name: test}}\n"
        (policies / f"{key[0]}.yaml").write_text(head + body)
    with emulated_cluster(tmp_path_factory.mktemp("guarded"), policies=policies, fabric=fabric()) as cluster:
        yield cluster


@pytest.fixture
def cluster(guarded: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(guarded)
    yield guarded
    wait_as_found(partial(tables, guarded), before)


def frame(vm: FirewallVm, target: int, eth_type: int, packet: bytes) -> bytes:
    return target.to_bytes(6) + mac_from_text(vm.stack.mac).to_bytes(6) + eth_type.to_bytes(2) + packet


def discovery(vm: FirewallVm, source: str, message: bytes) -> bytes:
    """A message of neighbour discovery to all nodes; the checksum is filled in."""
    ends = Ends.of(source, ALL_NODES)
    pseudo = ends.source.packed + ends.target.packed + struct.pack("!IxxxB", len(message), ICMPV6) + message
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + (~total & 0xFFFF).to_bytes(2) + message[4:]
    packet = bytearray(ipv6(ends, ICMPV6, message))
    packet[7] = 255
    return frame(vm, ALL_NODES_MAC, 0x86DD, bytes(packet))


def router_advertisement() -> bytes:
    head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    return head + struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1800, 1800, 0) + PREFIX.packed


def neighbour_advertisement(target: str, mac: str, times: int = 1, router: bool = False) -> bytes:
    """With the link-layer address so many times."""
    link = (struct.pack("!BB", 2, 1) + mac_from_text(mac).to_bytes(6)) * times
    # Overrides what was known; a kernel forgets the route by who says that it is no router.
    return struct.pack("!BBHI", 136, 0, 0, 0xA0000000 if router else 0x20000000) + IPv6Address(target).packed + link


@contextmanager
def listening(vm: FirewallVm) -> Iterator[None]:
    """The VM's kernel speaks IPv6, and believes router advertisements."""
    namespace, interface = vm.stack.namespace, vm.stack.interface
    namespace.set(f"net.ipv6.conf.{interface}.accept_ra=2")
    namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=0")
    yield
    namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=1")


def routes(vm: FirewallVm) -> str:
    return vm.stack.namespace.run("ip", "-6", "route", "show", "proto", "ra")


@pytest.mark.parametrize("kind", [WALLED, ROUTER], ids=["walled", "router"])
def test_a_victim_gets_a_route_from_a_router_and_from_nobody_else(cluster: Cluster, kind: tuple[int, int]) -> None:
    with (
        guest(cluster, 1, "hv1", kind) as attacker,
        guest(cluster, 2, "hv2", WALLED) as victim,
        listening(victim),
        RawSocket(attacker.stack.namespace, attacker.stack.interface) as mouth,
        RawSocket(victim.stack.namespace, victim.stack.interface) as ear,
    ):
        advertised = discovery(attacker, LINK_LOCAL, router_advertisement())
        # Allowed, and behind it on the way: when it has arrived, the other one has or never will.
        is_router = neighbour_advertisement(LINK_LOCAL, attacker.stack.mac, router=True)
        plain = neighbour_advertisement(LINK_LOCAL, attacker.stack.mac, router=kind == ROUTER)
        control = discovery(attacker, LINK_LOCAL, plain)

        def heard() -> list[bytes]:
            """Frames of a round of both that arrive, up to the second one; none if that one does not."""
            mouth.send(advertised)
            if kind == WALLED:
                mouth.send(discovery(attacker, LINK_LOCAL, is_router))
            mouth.send(control)
            found = []
            while (one := ear.hears(IPv6Address(LINK_LOCAL).packed, 0.2)) is not None:
                found.append(one.data[54:])
                if found[-1] == control[54:]:
                    return found
            return []

        if kind == ROUTER:
            # A kernel whose interface has just come up does not believe the first one.
            wait_until(lambda: heard() and LINK_LOCAL in routes(victim), "the route", PATIENCE)
        else:
            assert wait_until(heard, "what is allowed", PATIENCE) == [control[54:]]
            assert routes(victim) == ""


def arp(vm: FirewallVm, hardware: int, sender: str, target: str) -> bytes:
    """An answer to everybody, of this type of hardware."""
    ends = mac_from_text(vm.stack.mac).to_bytes(6), socket.inet_aton(sender), bytes(6), socket.inet_aton(target)
    return frame(vm, 0xFFFFFFFFFFFF, 0x0806, struct.pack("!HHBBH", hardware, 0x0800, 6, 4, 2) + b"".join(ends))


def test_a_victim_does_not_take_a_vm_for_its_gateway(cluster: Cluster) -> None:
    """Linux reads ARP of hardware type 6, and an option that comes twice; Open vSwitch reads neither."""
    with (
        guest(cluster, 1, "hv1", UNCHECKED) as attacker,
        guest(cluster, 2, "hv2", OPEN) as victim,
        listening(victim),
        RawSocket(attacker.stack.namespace, attacker.stack.interface) as mouth,
        RawSocket(victim.stack.namespace, victim.stack.interface) as ear,
    ):
        namespace, mac = victim.stack.namespace, attacker.stack.mac
        gateway = cluster.hosts["client"].mac
        for address in GATEWAY:
            namespace.ip(f"neighbour replace {address} lladdr {gateway} dev {victim.stack.interface} nud stale")
        for times in (1, 2):
            mouth.send(discovery(attacker, LINK_LOCAL, neighbour_advertisement(GATEWAY[1], mac, times)))
        for hardware in (1, 6):
            mouth.send(arp(attacker, hardware, GATEWAY[0], victim.stack.ip))
        # Allowed, and behind them on the way.
        mouth.send(arp(attacker, 1, attacker.stack.ip, victim.stack.ip))
        control = socket.inet_aton(attacker.stack.ip) + bytes(6) + socket.inet_aton(victim.stack.ip)
        assert ear.hears(control, PATIENCE) is not None
        assert namespace.run("ip", "neighbour", "show").count(f"lladdr {gateway}") == len(GATEWAY)


def test_nothing_of_a_server_or_of_a_low_address_leaves_a_vm(cluster: Cluster) -> None:
    client = stack_of(cluster.hosts["client"])
    target = mac_from_text(client.mac)
    with (
        guest(cluster, 1, "hv1", OPEN) as vm,
        RawSocket(vm.stack.namespace, vm.stack.interface) as mouth,
        RawSocket(client.namespace, client.interface) as ear,
    ):
        ends, six = Ends.of(vm.stack.ip, client.ip), Ends.of(LINK_LOCAL, "fe80::2:2:2:2")
        for packet in (
            part(ends, UDP, udp(67, 68, 300)),
            part(ends, 2, struct.pack("!BBHI", 0x11, 100, 0, 0)),
            part(ends, 2, struct.pack("!BBHI", 0x11, 100, 0, 0))[:16] + socket.inet_aton("224.0.0.1") + bytes(8),
            part(ends, 112, bytes(20)),
            part(ends, 89, bytes(44)),
        ):
            mouth.send(frame(vm, target, 0x0800, packet))
        mouth.send(frame(vm, target, 0x86DD, ipv6(six, UDP, udp(547, 546, 40))))
        mouth.send(discovery(vm, "fe80::1", neighbour_advertisement("fe80::1", vm.stack.mac)))
        mouth.send(discovery(vm, LINK_LOCAL, neighbour_advertisement("fe80::1", vm.stack.mac)))
        # To addresses that no bridge forwards, tagged as a priority and not; and LLDP to one that every bridge would.
        for address in (0x0180C2000000, 0x0180C200000E, 0x0180C2000003, target):
            for header in (b"", bytes.fromhex("8100a000")):
                lldp = frame(vm, address, 0x88CC, bytes(46))
                mouth.send(lldp[:12] + header + lldp[12:])
        mouth.send(
            frame(vm, target, 0x0800, part(ends, UDP, udp(443, 443, 0)[:4] + struct.pack("!HH", 19, 0) + CONTROL))
        )
        source = mac_from_text(vm.stack.mac).to_bytes(6)
        heard = ear.hears(source, PATIENCE)
        # ARP and RARP are announcements of the VM's place, which the bridge sends.
        while heard is not None and heard.data[12:14] in (b"\x08\x06", b"\x80\x35"):
            heard = ear.hears(source, PATIENCE)
        assert heard is not None and CONTROL in heard.data
