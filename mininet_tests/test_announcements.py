"""A VM is found: what a VM that may say nothing may say, a VM that says nothing, and what is said for it."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from mininet_tests.conftest import emulated_cluster, tables, wait_as_found
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.announcement import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    ETHERTYPE_RARP,
    gratuitous_arp,
    neighbour_advertisement,
)
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.staged import StagedTarget, announcement, datagram
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

WEB, DEFAULT_DENY = (1, 1), (3, 1)
NATIVE, TAGGED = 100, 200
HTTPS = 443
#: How long to listen for what must not come.
SILENCE = 0.3
#: Seconds: no table that learns and no ARP cache forgets as fast, and a datapath's own cache is slower than a frame.
AT_ONCE = 2.0


@pytest.fixture
def cluster(emulated: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(emulated)
    yield emulated
    wait_as_found(partial(tables, emulated), before)


class Guest:
    """A VM without an address: its kernel never sends, and what it sends is made by hand."""

    def __init__(
        self, cluster: Cluster, number: int, hypervisor: str, kind: tuple[int, int], vid: int = NATIVE
    ) -> None:
        self.mac, self.ip, self.ip6 = f"52:54:00:cc:00:{number:02x}", f"10.0.100.{60 + number}", f"fd00:10::{number:x}"
        uuid = f"00000000-0000-4000-c000-{number:012d}"
        self.vsi = VdptoolVsi(uuid, *kind, (f"{vid}-{self.mac}",), self.ip, ip6=self.ip6)
        self.vm = NamespaceVm(f"a{number}", self.mac, self.ip)
        self.at = hypervisor
        self._cluster = cluster
        cluster.boot(self.vm, hypervisor)
        self.vm.namespace.ip(f"address flush dev {INTERFACE}")
        self.wire = RawSocket(self.vm.namespace, INTERFACE)

    def asks(self, mode: VdptoolMode) -> None:
        """Its station asks for it where it is."""
        assert self._cluster.hypervisors[self.at].station.request(mode, self.vsi).granted

    def moves(self, there: str) -> None:
        """Migrate it; the Associate has just been answered when this returns."""
        source, destination = self._cluster.hypervisors[self.at], self._cluster.hypervisors[there]
        self.at = there
        self.asks(VdptoolMode.PREASSOCIATE_RR)
        source.edge.detach(self.vm.port)
        self.vm.carry(source.namespace, destination.namespace)
        destination.edge.attach(self.vm.port, self.mac)
        destination.edge.raise_port(self.vm.port)
        self.asks(VdptoolMode.ASSOCIATE)

    def leaves(self) -> None:
        """Shut it down."""
        dismiss(self._cluster.hypervisors[self.at], self.vsi)
        self.wire.socket.close()
        self._cluster.shut_down(self.vm.name, self.at)


@contextmanager
def guest(
    cluster: Cluster, number: int, hypervisor: str, kind: tuple[int, int] = WEB, vid: int = NATIVE, active: bool = True
) -> Iterator[Guest]:
    made = Guest(cluster, number, hypervisor, kind, vid)
    try:
        if active:
            admit(cluster.hypervisors[hypervisor], made.vsi)
        yield made
    finally:
        made.leaves()


def host_wire(cluster: Cluster, name: str) -> RawSocket:
    host = cluster.hosts[name]
    return RawSocket(host.namespace, host.interface)


# --- what a VM that may say nothing may say -----------------------------------------------------------
def marked(number: int) -> bytes:
    """Marks at the beginning of the padding, by which a frame is recognised."""
    return b"EVBm" + struct.pack("!I", number)


def own_announcements(vm: Guest) -> dict[bytes, bytes]:
    """RARP, gratuitous ARP, unsolicited advertisement: by the marks in their padding."""
    mac, marks = mac_from_text(vm.mac), [marked(number) for number in range(3)]
    return {
        marks[0]: announcement(vm.mac, marks[0]),
        marks[1]: gratuitous_arp(mac, IPv4Address(vm.ip)).encode() + marks[1],
        marks[2]: neighbour_advertisement(mac, IPv6Address(vm.ip6)).encode() + marks[2],
    }


def forbidden_words(vm: Guest, victim: Guest, client: StagedTarget) -> dict[bytes, bytes]:
    """Someone else's addresses, and anything that is not an announcement."""
    mac, marks = mac_from_text(vm.mac), [marked(number) for number in range(10, 14)]
    return {
        marks[0]: announcement(victim.mac, marks[0]),
        marks[1]: gratuitous_arp(mac, IPv4Address(victim.ip)).encode() + marks[1],
        marks[2]: neighbour_advertisement(mac, IPv6Address(victim.ip6)).encode() + marks[2],
        marks[3]: datagram(vm.mac, vm.ip, client) + marks[3],
    }


def heard(wire: RawSocket, frames: Mapping[bytes, bytes], sender: Guest) -> bool:
    """Does each frame arrive in the end?  Said again, as hypervisors do: a datapath may still cache a drop."""
    missing = dict(frames)
    deadline = time.monotonic() + AT_ONCE
    while missing and time.monotonic() < deadline:
        for frame in missing.values():
            sender.wire.send(frame)
        missing = {mark: frame for mark, frame in missing.items() if wire.hears(mark, 0.05) is None}
    return not missing


def unheard(wires: Mapping[str, RawSocket], frames: Mapping[bytes, bytes], sender: Guest) -> bool:
    for frame in frames.values():
        sender.wire.send(frame)
    return all(wire.hears(b"EVBm", SILENCE) is None for wire in wires.values())


def test_a_default_deny_vm_may_say_where_it_is_and_nothing_else(cluster: Cluster) -> None:
    with (
        guest(cluster, 1, "hv1", DEFAULT_DENY, active=False) as vm,
        guest(cluster, 2, "hv2") as near,
        guest(cluster, 3, "hv5") as far,
        host_wire(cluster, "nms") as nms,
        host_wire(cluster, "client") as client,
    ):
        host = cluster.hosts["client"]
        mine, forbidden = own_announcements(vm), forbidden_words(vm, near, StagedTarget(host.mac, host.ip, HTTPS))
        everybody = {"near": near.wire, "far": far.wire, "nms": nms, "client": client}
        vm.asks(VdptoolMode.PREASSOCIATE_RR)
        assert unheard(everybody, mine, vm)
        vm.asks(VdptoolMode.ASSOCIATE)
        for there in ("hv1", "hv6"):
            if there != vm.at:
                vm.moves(there)
            assert heard(nms, mine, vm)
            assert heard(client, mine, vm)
            # To a VM of the web servers' type ARP and neighbour discovery are let through, RARP is not.
            discovery = {mark: frame for mark, frame in mine.items() if mark != marked(0)}
            assert heard(near.wire, discovery, vm)
            assert heard(far.wire, discovery, vm)
            for wire in everybody.values():
                while wire.hears(b"EVBm", 0.05):
                    pass
            assert unheard(everybody, forbidden, vm)


# --- a VM that says nothing ---------------------------------------------------------------------------
class Caller:
    """Somebody who has something for the VM and does not ask where it is."""

    def __init__(self, mac: str, ip: str, wire: RawSocket) -> None:
        self._source, self._wire = (mac, ip), wire
        self.sent = 0

    def calls(self, vm: Guest) -> None:
        self.sent += 1
        frame = datagram(*self._source, StagedTarget(vm.mac, vm.ip, HTTPS))
        self._wire.send(frame + self.mark)

    @property
    def mark(self) -> bytes:
        """In the padding of every call."""
        return b"EVBc" + mac_from_text(self._source[0]).to_bytes(6)


def callers_that_reach(vm: Guest, callers: Mapping[str, Caller], seconds: float = AT_ONCE) -> set[str]:
    """The callers whose calls arrive within some seconds; they call again until then."""
    deadline = time.monotonic() + seconds
    reached: set[str] = set()
    while len(reached) < len(callers) and time.monotonic() < deadline:
        for name in callers.keys() - reached:
            callers[name].calls(vm)
            if vm.wire.hears(callers[name].mark, 0.02):
                reached.add(name)
    return reached


@contextmanager
def callers_of(cluster: Cluster) -> Iterator[dict[str, Caller]]:
    """VMs at the source's switch, at the destination's and behind its uplink, and the hosts at either switch."""
    places = {"hv2": 2, "hv5": 3, "hv6": 4, "hv7": 5}
    with ExitStack() as stack:
        callers = {}
        for hypervisor, number in places.items():
            other = stack.enter_context(guest(cluster, number, hypervisor))
            callers[hypervisor] = Caller(other.mac, other.ip, other.wire)
        for name, host in cluster.hosts.items():
            callers[name] = Caller(host.mac, host.ip, stack.enter_context(host_wire(cluster, name)))
        yield callers


def test_a_silent_vm_is_reached_at_once_from_everywhere(cluster: Cluster) -> None:
    with callers_of(cluster) as callers, guest(cluster, 1, "hv1", active=False) as vm:
        tap = cluster.watcher.watch(Tap(vm.vm.namespace, INTERFACE, [(0x06, 0, 0, 65535)]))
        try:
            vm.asks(VdptoolMode.PREASSOCIATE_RR)
            assert callers_that_reach(vm, callers, SILENCE) == set()
            vm.asks(VdptoolMode.ASSOCIATE)
            assert callers_that_reach(vm, callers) == set(callers)
            for there in ("hv6", "hv2", "hv1"):
                vm.moves(there)
                assert callers_that_reach(vm, callers) == set(callers)
            cluster.watcher.settle()
            assert tap.matching(lambda sighting: sighting.outgoing) == []
        finally:
            cluster.watcher.dismiss(tap)


# --- what is said for it ------------------------------------------------------------------------------
def expected_of(vm: Guest) -> list[bytes]:
    mac = mac_from_text(vm.mac)
    address = gratuitous_arp(mac, IPv4Address(vm.ip)), neighbour_advertisement(mac, IPv6Address(vm.ip6))
    return sorted((announcement(vm.mac), *(frame.encode(pad=True) for frame in address)))


def test_the_bridge_announces_a_vm_to_every_host_and_only_when_it_has_come(cluster: Cluster) -> None:
    kinds = only_ethertypes(ETHERTYPE_RARP, ETHERTYPE_ARP, ETHERTYPE_IPV6)
    with guest(cluster, 1, "hv1", DEFAULT_DENY, active=False) as vm, ExitStack() as watching:
        source = bytes.fromhex(vm.mac.replace(":", ""))
        taps = [cluster.watcher.watch(Tap(host.namespace, host.interface, kinds)) for host in cluster.hosts.values()]
        for tap in taps:
            watching.callback(cluster.watcher.dismiss, tap)

        def arrived() -> list[list[bytes]]:
            cluster.watcher.settle()
            return [
                sorted(sighting.data for sighting in tap.matching(lambda sighting: sighting.data[6:12] == source))
                for tap in taps
            ]

        vm.asks(VdptoolMode.PREASSOCIATE_RR)
        for times, there in enumerate(("hv1", "hv5", "hv6"), 1):
            time.sleep(SILENCE)
            assert arrived() == [sorted(expected_of(vm) * (times - 1))] * 2
            vm.asks(VdptoolMode.ASSOCIATE) if times == 1 else vm.moves(there)
            wanted = [sorted(expected_of(vm) * times)] * 2
            wait_until(lambda wanted=wanted: arrived() == wanted, f"the announcements at {there}")
            vm.asks(VdptoolMode.ASSOCIATE)


def tagging_fabric() -> Fabric:
    """The client's port carries a second VLAN, tagged."""
    plain = two_switch.fabric(8)
    interface = replace(plain.switches[2].interfaces[two_switch.HOST_PORT], tagged_vlans=(TAGGED,))
    switch = replace(plain.switches[2], interfaces={**plain.switches[2].interfaces, interface.port_no: interface})
    return Fabric({**plain.switches, 2: switch})


def test_a_host_that_has_the_vlan_tagged_gets_the_announcement_tagged(tmp_path: Path) -> None:
    with (
        emulated_cluster(tmp_path, fabric=tagging_fabric()) as cluster,
        guest(cluster, 1, "hv1", vid=TAGGED, active=False) as vm,
        host_wire(cluster, "client") as client,
        host_wire(cluster, "nms") as nms,
    ):
        vm.asks(VdptoolMode.ASSOCIATE)
        told = client.hears(announcement(vm.mac)[12:42])
        assert told is not None
        assert told.vid == TAGGED
        assert nms.hears(bytes.fromhex(vm.mac.replace(":", "")), SILENCE) is None
