"""VLANs, filters and identifiers of every kind, end to end: what lldpad cannot be asked for, our own station asks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial

import pytest

from mininet_tests.conftest import heard_again, tables, wait_as_found
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.vdp import ManagerId, VdpPdu
from ryu_apps.testbed.emulator import association
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.staged import StagedTarget, datagram
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.raw_frames import RawSocket, tagged

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

NATIVE, TAGGED = 100, 200
HTTPS = 443
#: How long to listen for what must not come.
SILENCE = 0.3


@pytest.fixture
def cluster(emulated: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(emulated)
    yield emulated
    wait_as_found(partial(tables, emulated), before)


def mac(number: int) -> str:
    return f"52:54:00:ee:00:{number:02x}"


def vsi(number: int, *filters: str, identity: str = "", ip: bool = True) -> VdptoolVsi:
    return VdptoolVsi(
        identity or f"00000000-0000-4000-b000-{number:012d}",
        1,
        1,
        filters or (f"{NATIVE}-{mac(number)}",),
        f"10.0.100.{150 + number}" if ip else None,
    )


class Guest:
    """A VM whose frames are made by hand."""

    def __init__(self, cluster: Cluster, number: int, hypervisor: str, wire: RawSocket, vm: NamespaceVm) -> None:
        self.mac, self.ip = vm.mac, vm.ip
        self.station = cluster.hypervisors[hypervisor].station
        self.wire = wire
        self._number = number

    def sends(self, other: Guest, vid: int = 0, source: str = "") -> bytes:
        """Send a datagram, tagged with ``vid`` unless that is 0; returns what it can be known by."""
        Guest.sent += 1
        frame = datagram(source or self.mac, self.ip, StagedTarget(other.mac, other.ip, HTTPS)) + struct.pack(
            "!Q", Guest.sent
        )
        self.wire.send(tagged(frame, vid))
        return frame[-24:]

    def broadcasts(self, vid: int = 0) -> bytes:
        """Announce itself by ARP, tagged as in :meth:`sends`."""
        octets = mac_from_text(self.mac).to_bytes(6)
        address = bytes(map(int, self.ip.split(".")))
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + octets + address + bytes(6) + address
        self.wire.send(tagged(Frame(0xFFFFFFFFFFFF, mac_from_text(self.mac), 0x0806, body).encode(pad=True), vid))
        return body

    sent = 0


@contextmanager
def guest(cluster: Cluster, number: int, hypervisor: str, *vsis: VdptoolVsi) -> Iterator[Guest]:
    """A VM with these VSIs associated."""
    vm = NamespaceVm(f"g{number}", mac(number), f"10.0.100.{150 + number}")
    cluster.boot(vm, hypervisor)
    home = cluster.hypervisors[hypervisor]
    with ExitStack() as stack:
        stack.callback(cluster.shut_down, vm.name, hypervisor)
        wire = stack.enter_context(RawSocket(vm.namespace, "eth0"))
        for wanted in vsis:
            admit(home, wanted)
            stack.callback(dismiss, home, wanted)
        yield Guest(cluster, number, hypervisor, wire, vm)


def arrives(sender: Guest, receiver: Guest, vid: int = 0, source: str = "") -> bool:
    """Does a datagram get through, and tagged as it was sent?  Again every 50 ms: a switch may still cache a drop."""
    heard = heard_again(receiver.wire, lambda: sender.sends(receiver, vid, source))
    return heard is not None and (heard.vid or 0) == vid


def silence(*wires: RawSocket, marker: bytes) -> bool:
    return all(wire.hears(marker, SILENCE) is None for wire in wires)


# --- VLANs ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("there", ["hv1", "hv2", "hv5"])
def test_a_tagged_vlan_carries_frames_both_ways_with_their_tag(cluster: Cluster, there: str) -> None:
    one, two = vsi(1, f"{TAGGED}-{mac(1)}"), vsi(2, f"{TAGGED}-{mac(2)}")
    with guest(cluster, 1, "hv1", one) as here, guest(cluster, 2, there, two) as other:
        assert arrives(here, other, TAGGED)
        assert arrives(other, here, TAGGED)


def test_vlans_do_not_leak_into_each_other(cluster: Cluster) -> None:
    client = cluster.hosts["client"]
    with (
        guest(cluster, 1, "hv1", vsi(1, f"{TAGGED}-{mac(1)}")) as here,
        guest(cluster, 2, "hv5", vsi(2, f"{TAGGED}-{mac(2)}")) as there,
        guest(cluster, 3, "hv5", vsi(3)) as native,
        RawSocket(client.namespace, client.interface) as outside,
    ):
        marker = here.broadcasts(TAGGED)
        heard = there.wire.hears(marker)
        assert heard is not None
        assert heard.vid == TAGGED
        assert silence(native.wire, outside, marker=marker)
        assert silence(there.wire, native.wire, marker=here.sends(there))
        assert silence(native.wire, marker=here.sends(native, TAGGED))
        marker = native.broadcasts()
        assert outside.hears(marker) is not None
        assert silence(here.wire, there.wire, marker=marker)


def test_one_vm_may_be_in_two_vlans_at_once(cluster: Cluster) -> None:
    both = vsi(1), vsi(4, f"{TAGGED}-{mac(1)}", ip=False)
    with (
        guest(cluster, 1, "hv1", *both) as here,
        guest(cluster, 2, "hv5", vsi(2, f"{TAGGED}-{mac(2)}")) as there,
        guest(cluster, 3, "hv6", vsi(3)) as native,
    ):
        assert arrives(here, there, TAGGED)
        assert arrives(there, here, TAGGED)
        assert arrives(here, native)
        assert arrives(native, here)


def test_a_null_vid_is_filled_with_the_native_vlan_and_frames_flow(cluster: Cluster) -> None:
    with guest(cluster, 1, "hv1", vsi(1, f"0-{mac(1)}")) as here, guest(cluster, 2, "hv5", vsi(2)) as there:
        assert arrives(here, there)
        assert arrives(there, here)


# --- filters --------------------------------------------------------------------------------------
def test_a_filter_of_vids_alone_carries_every_address_of_the_vlan(cluster: Cluster) -> None:
    whole = vsi(1, f"{TAGGED}", ip=False)
    with guest(cluster, 1, "hv1", whole) as here, guest(cluster, 2, "hv5", vsi(2, f"{TAGGED}-{mac(2)}")) as there:
        assert arrives(here, there, TAGGED)
        assert arrives(here, there, TAGGED, source="52:54:00:ee:77:77")
        assert arrives(there, here, TAGGED)
        assert silence(there.wire, marker=here.sends(there))


def test_addresses_come_and_go_in_a_vsi_that_lives(cluster: Cluster) -> None:
    second = "52:54:00:ee:01:01"
    narrow, wide = vsi(1, ip=False), vsi(1, f"{NATIVE}-{mac(1)}", f"{NATIVE}-{second}", ip=False)
    with guest(cluster, 1, "hv1", narrow) as here, guest(cluster, 2, "hv5", vsi(2)) as there:
        assert silence(there.wire, marker=here.sends(there, source=second))
        assert here.station.request(VdptoolMode.ASSOCIATE, wide).granted
        assert arrives(here, there, source=second)
        assert arrives(here, there)
        assert here.station.request(VdptoolMode.ASSOCIATE, narrow).granted
        # A datapath goes on with a cached flow for some milliseconds after the switch has confirmed.
        wait_until(
            lambda: silence(there.wire, marker=here.sends(there, source=second)), "the address to be shut out", 3
        )
        assert arrives(here, there)


# --- identifiers ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "identity", ["ipv4:192.0.2.7", "ipv6:2001:db8::7", "mac:52:54:00:ee:00:01", "local:" + "a5" * 16]
)
def test_a_vsi_may_be_named_in_every_format(cluster: Cluster, identity: str) -> None:
    with guest(cluster, 1, "hv1", vsi(1, identity=identity)) as here, guest(cluster, 2, "hv5", vsi(2)) as there:
        (shown,) = [listed for listed in cluster.controller.get("/evb/vsis") if listed["vsi"] == identity]
        assert cluster.controller.get(f"/evb/vsis/{identity}")["vsi"] == shown["vsi"]
        assert here.station.holds(VdptoolMode.ASSOCIATE, vsi(1, identity=identity))
        assert arrives(here, there)
        assert arrives(there, here)


# --- addresses --------------------------------------------------------------------------------------
def test_a_station_tells_no_address_that_is_another_s(cluster: Cluster) -> None:
    home = cluster.hypervisors["hv5"].station
    with guest(cluster, 1, "hv1", vsi(1)):
        others = {"a neighbour's": vsi(1).ip, "one that its type does not have": "8.8.8.8"}
        for what, ip in others.items():
            taken = replace(vsi(2), ip=ip, type_id=2)
            answer = home.request(VdptoolMode.ASSOCIATE, taken)
            assert not answer.granted, what
            assert not home.holds(VdptoolMode.ASSOCIATE, taken)
        router = replace(vsi(2), filters=(f"{NATIVE}-00:00:5e:00:01:01",))
        assert not home.request(VdptoolMode.ASSOCIATE, router).granted


# --- impostors --------------------------------------------------------------------------------------
def dropped(cluster: Cluster, hypervisor: str) -> int:
    (station,) = [station for station in cluster.controller.get("/evb/stations") if station["name"] == hypervisor]
    return int(station["dropped"].get("not_the_station", 0))


def station_of(cluster: Cluster, hypervisor: str) -> str:
    (station,) = [station for station in cluster.controller.get("/evb/stations") if station["name"] == hypervisor]
    return str(station["station"])


def deassociate(victim: VdptoolVsi, source: int) -> bytes:
    pdu = VdpPdu(ManagerId(victim.manager.encode().ljust(16, b"\0")), (association(VdptoolMode.DEASSOCIATE, victim),))
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 4711, pdu.encode())
    return Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, ecpdu.encode()).encode(pad=True)


def announcement(source: int) -> bytes:
    evb = EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=7, rte=31, rwd=31, rka=31)
    return Frame(
        NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_LLDP, bridge_lldpdu(source, "vm", 120, evb).encode()
    ).encode()


def test_a_vm_speaks_neither_for_its_neighbours_nor_as_their_station(cluster: Cluster) -> None:
    known = station_of(cluster, "hv1")
    with (
        guest(cluster, 1, "hv1", vsi(1)) as impostor,
        guest(cluster, 2, "hv1", vsi(2)) as victim,
        guest(cluster, 3, "hv5", vsi(3)) as friend,
    ):
        before = dropped(cluster, "hv1")
        sources = [mac_from_text(impostor.mac), mac_from_text(victim.mac), 0x02DEAD000002]
        frames = [make for source in sources for make in (deassociate(vsi(2), source), announcement(source))]
        for frame in frames:
            impostor.wire.send(frame)
        wait_until(lambda: dropped(cluster, "hv1") == before + len(frames), "every forged frame to be counted")
        assert station_of(cluster, "hv1") == known
        assert victim.station.holds(VdptoolMode.ASSOCIATE, vsi(2))
        assert arrives(friend, victim)
        assert arrives(victim, friend)
