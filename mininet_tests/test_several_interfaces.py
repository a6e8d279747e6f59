"""A VM with an interface in each of two VLANs, as one VSI, with IPv6 and a firewall.

Each interface is a network stack of its own.  To the switch both are one VSI with two MAC addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import IPv6Address

import pytest

from mininet_tests.conftest import tables, wait_as_found
from mininet_tests.test_ipv6 import DENIED, HTTPS, SILENCE, End, client_of, connection, datagram_arrives, talks
from ryu_apps.evb.wire.announcement import neighbour_advertisement
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.raw_frames import RawSocket

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

NATIVE, TAGGED = 100, 200
#: A VM without restrictions, and a web server with a firewall that knows connections.
VISITOR, STATEFUL = (4, 1), (10, 1)
HTTP = 80
#: An address that no VM here has.
STRANGER = "fd00:10::99"


@pytest.fixture
def cluster(emulated: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(emulated)
    yield emulated
    wait_as_found(partial(tables, emulated), before)


class Machine:
    """A VM with some interfaces, by their VLANs, that is one VSI.

    Attributes:
        ends: the stack of each interface, by VLAN.
    """

    def __init__(self, cluster: Cluster, number: int, hypervisor: str, kind: tuple[int, int], *vlans: int) -> None:
        self._cluster, self._at, self._vms = cluster, cluster.hypervisors[hypervisor], list[NamespaceVm]()
        self.ends: dict[int, End] = {}
        for vlan in vlans:
            vm = NamespaceVm(
                f"n{number}v{vlan}", f"52:54:00:c7:{vlan // 100:02x}:{number:02x}", f"10.0.{vlan}.{number}"
            )
            cluster.boot(vm, hypervisor)
            self._vms.append(vm)
            self._at.edge.assign(vm.mac, None if vlan == NATIVE else vlan)
            self.ends[vlan] = End(vm.namespace, INTERFACE, vm.mac, f"fd00:{vlan // 10}::7{number}")
        ends = self.ends.items()
        first, *others = (end.ip6 for end in self.ends.values())
        identity = f"00000000-0000-4000-e700-{number:012d}"
        filters = tuple(f"{vlan}-{end.mac}" for vlan, end in ends)
        self.vsi = VdptoolVsi(identity, *kind, filters, ip6=first, others=tuple(others))
        admit(self._at, self.vsi)

    def ask(self, mode: VdptoolMode) -> str:
        """Ask for the VSI; returns the reason why it is refused, empty if it is granted."""
        return self._at.station.request(mode, self.vsi).reason

    def leave(self) -> None:
        """End it, and its VSI."""
        dismiss(self._at, self.vsi)
        for vm in self._vms:
            self._at.edge.assign(vm.mac, None)
            self._cluster.shut_down(vm.name, self._at.name)


@pytest.fixture
def peers(cluster: Cluster) -> Iterator[dict[int, End]]:
    """An end system in the native VLAN, and another VM in the tagged one."""
    with client_of(cluster) as client, ExitStack() as stack:
        other = Machine(cluster, 2, "hv5", VISITOR, TAGGED)
        stack.callback(other.leave)
        yield {NATIVE: client, **other.ends}


@pytest.fixture
def machine(cluster: Cluster, peers: dict[int, End]) -> Iterator[Machine]:
    found = Machine(cluster, 1, "hv1", STATEFUL, NATIVE, TAGGED)
    try:
        yield found
    finally:
        found.leave()


@pytest.mark.parametrize("vlan", [NATIVE, TAGGED])
def test_each_interface_finds_its_neighbours_and_is_found(machine: Machine, peers: dict[int, End], vlan: int) -> None:
    own, peer = machine.ends[vlan], peers[vlan]
    assert datagram_arrives(peer, own, HTTPS)
    assert peer.knows(own) and own.knows(peer)


@pytest.mark.parametrize("vlan", [NATIVE, TAGGED])
def test_the_firewall_knows_the_connections_of_each_interface(
    machine: Machine, peers: dict[int, End], vlan: int
) -> None:
    own, peer = machine.ends[vlan], peers[vlan]
    # What may not begin a connection may answer in one.
    assert not datagram_arrives(own, peer, HTTPS, SILENCE)
    assert datagram_arrives(peer, own, HTTPS)
    assert datagram_arrives(own, peer, HTTPS)
    assert not datagram_arrives(peer, own, DENIED, SILENCE)
    assert connection(own, peer, HTTPS, SILENCE) is None
    made = connection(peer, own, HTTP)
    assert made is not None
    with closing(made[0]), closing(made[1]):
        assert talks(*made)


def test_a_connection_of_one_interface_admits_nothing_at_the_other(machine: Machine, peers: dict[int, End]) -> None:
    native, tagged = machine.ends[NATIVE], machine.ends[TAGGED]
    assert datagram_arrives(peers[NATIVE], native, HTTPS)
    assert datagram_arrives(native, peers[NATIVE], HTTPS)
    assert not datagram_arrives(tagged, peers[TAGGED], HTTPS, SILENCE)


@pytest.mark.parametrize("vlan", [NATIVE, TAGGED])
def test_each_interface_speaks_for_its_vsi_alone(machine: Machine, peers: dict[int, End], vlan: int) -> None:
    own, peer = machine.ends[vlan], peers[vlan]
    assert datagram_arrives(peer, own, HTTPS)
    assert datagram_arrives(own, peer, HTTPS)
    own.namespace.ip(f"address add {STRANGER}/128 dev {own.interface} nodad")
    assert not datagram_arrives(own, peer, HTTPS, SILENCE, source=STRANGER)
    own.namespace.ip(f"address del {STRANGER}/128 dev {own.interface}")
    mac = mac_from_text(own.mac)
    with RawSocket(own.namespace, own.interface) as wire, RawSocket(peer.namespace, peer.interface) as ear:
        for about, welcome in ((own.ip6, True), (STRANGER, False)):
            mark = b"EVBs" + about.encode()
            wire.send(neighbour_advertisement(mac, IPv6Address(about)).encode() + mark)
            assert (ear.hears(mark, PATIENCE if welcome else SILENCE) is not None) is welcome


def test_the_addresses_of_a_vsi_in_one_vlan_are_nobodys_in_the_other(machine: Machine, peers: dict[int, End]) -> None:
    own, peer = machine.ends[NATIVE], peers[TAGGED]
    with (
        RawSocket(own.namespace, own.interface) as wire,
        RawSocket(peer.namespace, peer.interface) as ear,
        RawSocket(peers[NATIVE].namespace, peers[NATIVE].interface) as native_ear,
    ):
        wire.send(neighbour_advertisement(mac_from_text(own.mac), IPv6Address(own.ip6)).encode() + b"EVBnative")
        assert native_ear.hears(b"EVBnative", PATIENCE) is not None
        assert ear.hears(b"EVBnative", SILENCE) is None


def test_both_interfaces_are_silent_until_their_vsi_is_associated(machine: Machine, peers: dict[int, End]) -> None:
    for vlan, own in machine.ends.items():
        assert datagram_arrives(peers[vlan], own, HTTPS)
    assert machine.ask(VdptoolMode.DEASSOCIATE) == ""
    assert machine.ask(VdptoolMode.PREASSOCIATE_RR) == ""
    for vlan, own in machine.ends.items():
        wait_until(lambda own=own, vlan=vlan: not datagram_arrives(peers[vlan], own, HTTPS, SILENCE), "silence")
    assert machine.ask(VdptoolMode.ASSOCIATE) == ""
    for vlan, own in machine.ends.items():
        assert datagram_arrives(peers[vlan], own, HTTPS)
