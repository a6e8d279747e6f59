"""Tags and headers before IP that switches and kernels read differently (CVE-2021-27853 to 27862): real kernels."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from mininet_tests.test_fragments import SYN_ACK, checked
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.testbed.conversations import HTTP, STATEFUL, FirewallVm, Stack, guest, stack_of
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import forget_cached_flows
from ryu_apps.testbed.harness.shell import PATIENCE, run
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch
from tests.interop.octets import TCP, Ends, part, tcp

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

CLOSED = 3306
#: A tag of VLAN 0 with a priority of 5, for either kind of tag.
CUSTOMER, SERVICE = struct.pack("!HH", 0x8100, 0xA000), struct.pack("!HH", 0x88A8, 0xA000)
IPV4 = bytes((0x08, 0x00))
#: LLC and SNAP before an Ethernet type, without their length.
SNAP = bytes((0xAA, 0xAA, 3, 0, 0, 0))
#: Of another organisation, and LLC alone.
FOREIGN_SNAP, LLC = bytes((0xAA, 0xAA, 3, 0, 0, 0x0C)), bytes((0x42, 0x42, 3))


#: The client's port knows its VLAN as tagged: what is behind the tag may hide from a switch.
IN_VLAN = struct.pack("!HH", 0x8100, two_switch.NATIVE_VLAN)


def fabric() -> Fabric:
    described = two_switch.fabric()
    switch = described.switches[2]
    port = next(interface for interface in switch.interfaces.values() if interface.name == "client")
    tagged = replace(port, native_vlan=None, tagged_vlans=(two_switch.NATIVE_VLAN,))
    interfaces = {**switch.interfaces, port.port_no: tagged}
    return replace(described, switches={**described.switches, 2: replace(switch, interfaces=interfaces)})


@pytest.fixture(scope="module")
def tagging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with emulated_cluster(tmp_path_factory.mktemp("tagging"), fabric=fabric()) as cluster:
        yield cluster


@pytest.fixture(params=[1, 2, 0], ids=["one tag", "two tags", "all tags"])
def cluster(tagging: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them, however many tags Open vSwitch looks for."""
    before = tables(tagging)
    look_for_tags(request.param)
    yield tagging
    look_for_tags(1)
    wait_as_found(partial(tables, tagging), before)


def look_for_tags(limit: int) -> None:
    run(["ovs-vsctl", "--timeout=10", "set", "Open_vSwitch", ".", f"other_config:vlan-limit={limit}"])
    forget_cached_flows()


@contextmanager
def web_server(cluster: Cluster) -> Iterator[FirewallVm]:
    """A VM that listens at a port that its firewall opens, and at one that it does not."""
    with (
        guest(cluster, kind=STATEFUL) as vm,
        closing(vm.stack.socket(socket.SOCK_STREAM, CLOSED)) as closed,
        closing(vm.stack.socket(socket.SOCK_STREAM, HTTP)) as http,
    ):
        closed.listen()
        http.listen()
        yield vm


def probe(prober: Stack, target: Stack, ports: tuple[int, int], header: bytes) -> bytes:
    """A SYN behind an Ethernet header without addresses; where it says a length, that is filled in."""
    ends = Ends.of(prober.ip, target.ip)
    packet = part(ends, TCP, checked(ends, tcp(*ports)))
    return bytes.fromhex(f"{target.mac}{prober.mac}".replace(":", "")) + header + packet


def with_length(header: bytes) -> bytes:
    """IEEE 802.3: a length instead of an Ethernet type."""
    return struct.pack("!H", len(header) + 40) + header


#: Behind a tag, or behind none where untagged frames are wanted.
HEADERS = {
    "a second tag": CUSTOMER + IPV4,
    "a service tag": SERVICE + IPV4,
    "three tags": CUSTOMER + SERVICE + IPV4,
    "SNAP": with_length(SNAP + IPV4),
    "SNAP behind a tag": CUSTOMER + with_length(SNAP + IPV4),
    "a tag behind SNAP": with_length(SNAP + CUSTOMER + IPV4),
    "SNAP of another organisation": with_length(FOREIGN_SNAP + IPV4),
    "LLC": with_length(LLC),
}


def answered(
    prober: Stack, vm: FirewallVm, header: bytes, port: int, control: bytes = IPV4, hopeful: bool = False
) -> set[int]:
    """Ports of the prober that the VM's kernel has answered: 5001 in a frame with this header, 5002 in an open one.

    Both are asked for until the second is answered, or, if the first is hoped for, both are.
    """
    found: set[int] = set()
    wanted = {5001, 5002} if hopeful else {5002}
    until = time.monotonic() + PATIENCE
    with RawSocket(prober.namespace, prober.interface) as wire:
        while not wanted <= found and time.monotonic() < until:
            wire.send(probe(prober, vm.stack, (5001, port), header))
            wire.send(probe(prober, vm.stack, (5002, HTTP), control))
            for segment in _heard(wire, vm.stack.ip):
                ports = struct.unpack("!HH", segment[:4])
                if segment[13] == SYN_ACK and ports in ((port, 5001), (HTTP, 5002)):
                    found.add(ports[1])
    return found


def _heard(wire: RawSocket, ip: str) -> Iterator[bytes]:
    # The kernel has taken the tag away.
    while (heard := wire.hears(socket.inet_aton(ip), 0.2)) is not None:
        if heard.data[12:14] == IPV4 and heard.data[23] == TCP:
            yield heard.data[34:]


def test_a_hidden_syn_does_not_reach_a_closed_port(cluster: Cluster) -> None:
    """The firewall of the shipped type opens HTTP; what comes for another port of the VM is not heard."""
    client = stack_of(cluster.hosts["client"])
    with web_server(cluster) as vm:
        vm.stack.namespace.ip(f"neighbour add {client.ip} lladdr {client.mac} dev {vm.stack.interface} nud permanent")
        found = {
            name: answered(client, vm, IN_VLAN + header, CLOSED, IN_VLAN + IPV4) for name, header in HEADERS.items()
        }
        assert found == {name: {5002} for name in HEADERS}
        # What it answers is refused by the firewall: only its kernel tells whether it has heard something.
        assert vm.stack.namespace.run("ss", "-Htn", "state", "syn-recv", f"sport = :{CLOSED}") == ""


@pytest.mark.parametrize("tag", [CUSTOMER, SERVICE], ids=["customer", "service"])
def test_a_syn_with_a_priority_alone_is_judged_and_answered(cluster: Cluster, tag: bytes) -> None:
    nms = stack_of(cluster.hosts["nms"])
    with web_server(cluster) as vm:
        assert answered(nms, vm, tag + IPV4, HTTP, hopeful=True) == {5001, 5002}
        assert answered(nms, vm, tag + IPV4, CLOSED) == {5002}


def test_what_a_vm_hides_reaches_no_host(cluster: Cluster) -> None:
    """The address inside, 10.0.100.99, is not the VM's."""
    client = stack_of(cluster.hosts["nms"])
    with guest(cluster, kind=(1, 1)) as vm, RawSocket(vm.stack.namespace, vm.stack.interface) as near:
        liar = vm.stack._replace(ip="10.0.100.99")
        with RawSocket(client.namespace, client.interface) as far:
            for header in HEADERS.values():
                near.send(probe(liar, client, (HTTP, 5001), CUSTOMER + header))
            near.send(probe(liar, client, (HTTP, 5001), CUSTOMER + IPV4))
            near.send(probe(vm.stack, client, (HTTP, 5002), CUSTOMER + IPV4))
            # With the source port behind it, so that no ARP of the host's own is taken for one of these.
            heard = far.hears(socket.inet_aton(client.ip) + struct.pack("!H", HTTP), PATIENCE)
            assert heard is not None and heard.vid is None
            assert heard.data[34:38] == struct.pack("!HH", HTTP, 5002)
