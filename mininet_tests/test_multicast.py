"""Multicast with real sockets and no querier in the network: members only, once, and at once after a move."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from mininet_tests.conftest import CHECKOUT, tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import Query3, Report3
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.membership import MembershipFrame, group_mac
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.capture import Tap, all_but_ethertypes
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.multicast import GroupReceiver, Stream, hush_ipv6, mute, muted, speak_ipv6, unmute
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import Namespace, wait_until
from ryu_apps.testbed.harness.staged import StagedPort
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.topologies import two_switch
from ryu_apps.vcm.move_events import LIVE_LADDERS, Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

PORT = 5004
#: How often a kernel says what has changed (RFC 3376 8.1).
REPORTS = 2
FOUR, SIX = "239.1.2.3", "ff3e::8000:42"
CONFIGURED = "239.1.0.1"
#: The shipped example; everything passes but it is snooped, four groups at the most; everything passes, not snooped.
RECEIVER, SNOOPED, PLAIN = (20, 1), (210, 1), (211, 1)
POLICIES = {
    "snooped": "vsi_type: {type_id: 210, version: 1, name: snooped}\nmulticast: {max_groups: 4}\n",
    "plain": "vsi_type: {type_id: 211, version: 1, name: plain}\n",
}
OPEN = "version: 1\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n"
versions = pytest.mark.parametrize("group", [FOUR, SIX], ids=["IPv4", "IPv6"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without a querier, whose controller remembers."""
    folder = tmp_path_factory.mktemp("multicast")
    (folder / "types").mkdir()
    for name, text in POLICIES.items():
        (folder / "types" / f"{name}.yaml").write_text(OPEN + text)
    fabric = two_switch.fabric(8)
    places = (str(CHECKOUT / "policies"), "types")
    config = BridgeConfig(fabric, places, "state", Snooping(Querying(on=False)))
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric, two_switch.END_SYSTEMS, folder, dump_config(config), station=station) as cluster:
            for host in cluster.hosts.values():
                speak_ipv6(host.namespace, host.interface)
            yield cluster
            for host in cluster.hosts.values():
                hush_ipv6(host.namespace, host.interface)


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """A test leaves the flow tables as it found them."""
    before = tables(shared)
    yield shared
    wait_as_found(partial(tables, shared), before)


class Guest:
    """A VM; ``at`` is the hypervisor that it runs at."""

    def __init__(self, cluster: Cluster, number: int, hypervisor: str, type_: tuple[int, int]) -> None:
        mac = f"52:54:00:ca:00:{number:02x}"
        self.ip = f"10.0.100.{60 + number}"
        self.vsi = VdptoolVsi(f"00000000-0000-4000-c000-{number:012d}", *type_, (f"100-{mac}",), self.ip)
        self.vm = NamespaceVm(f"m{number}", mac, self.ip)
        self.at, self._cluster = hypervisor, cluster
        cluster.boot(self.vm, hypervisor)
        speak_ipv6(self.namespace, INTERFACE)

    @property
    def namespace(self) -> Namespace:
        return self.vm.namespace

    def listens(self, group: str, source: str = "") -> GroupReceiver:
        return GroupReceiver(self.namespace, INTERFACE, group, PORT, source)

    def moves(self, there: str, ladder: Ladder = Ladder.MINIMIZE_LATENCY) -> float:
        """Migrate it; returns when it ran again, in monotonic seconds."""
        move = SingleMove(self._cluster, self.vsi, self.vm.name, self.at, there, ladder, 0.02)
        evidence = move.run().evidence
        assert evidence.outcome is MoveOutcome.COMPLETED, evidence.reason
        assert evidence.at_staged_port == []
        self.at = there
        return evidence.marks.resumed


@contextmanager
def guest(
    cluster: Cluster, number: int, hypervisor: str, type_: tuple[int, int] = SNOOPED, *, older: bool = False
) -> Iterator[Guest]:
    """A VM, associated; with ``older`` one that speaks IGMPv2 and MLDv1 from its first word on."""
    made = Guest(cluster, number, hypervisor, type_)
    if older:
        made.namespace.set(f"net.ipv4.conf.{INTERFACE}.force_igmp_version=2")
        made.namespace.set(f"net.ipv6.conf.{INTERFACE}.force_mld_version=1")
    try:
        admit(cluster.hypervisors[hypervisor], made.vsi)
        yield made
    finally:
        dismiss(cluster.hypervisors[made.at], made.vsi)
        cluster.shut_down(made.vm.name, made.at)


@contextmanager
def watched(cluster: Cluster, *guests: Guest) -> Iterator[list[Tap]]:
    """Taps at the interfaces of some VMs."""
    taps = [
        cluster.watcher.watch(Tap(guest.namespace, INTERFACE, all_but_ethertypes(0x88CC, 0x8940))) for guest in guests
    ]
    try:
        yield taps
    finally:
        for tap in taps:
            cluster.watcher.dismiss(tap)


def stream_at(tap: Tap, group: str) -> int:
    """Number of datagrams of the group that have arrived there."""
    packed = ip_address(group).packed
    place = slice(30, 34) if len(packed) == 4 else slice(38, 54)
    return len(tap.matching(lambda sighting: not sighting.outgoing and sighting.data[place] == packed))


def members(cluster: Cluster, group: str) -> dict[str, dict[str, Any]]:
    """Receivers of a group according to the bridge, by VSIID."""
    shown = cluster.controller.get("/evb/multicast")["vlans"]
    return {
        member["vsi"]: member
        for vlan in shown
        for listed in vlan["groups"]
        if listed["group"] == group
        for member in listed["members"]
    }


def joined(cluster: Cluster, one: Guest, group: str) -> None:
    wait_until(lambda: one.vsi.uuid in members(cluster, group), f"{one.vm.name} in {group}")


def hears(listener: GroupReceiver, stream: Stream, since: float) -> int:
    """The first datagram it gets that was sent after a moment; the stream goes on for some more."""

    def later() -> list[int]:
        first = stream.number_at(since)
        return [number for number in list(listener.heard) if number >= first]

    wait_until(lambda: len(later()) >= 50, "the stream")
    return later()[0]


def of_client(cluster: Cluster, group: str) -> Stream:
    client = cluster.hosts["client"]
    return Stream(client.namespace, client.interface, group, PORT)


# --- the move ---------------------------------------------------------------------------------------
@versions
@pytest.mark.parametrize("ladder", LIVE_LADDERS, ids=lambda ladder: ladder.value)
def test_a_stream_follows_a_vm_that_says_nothing(cluster: Cluster, group: str, ladder: Ladder) -> None:
    """Nobody can know what it listens to but the bridge, and nobody asks."""
    with (
        guest(cluster, 1, "hv1") as vm,
        guest(cluster, 2, "hv1") as neighbour,
        guest(cluster, 3, "hv5") as stranger,
        watched(cluster, neighbour, stranger) as taps,
        vm.listens(group) as listener,
    ):
        joined(cluster, vm, group)
        mute(vm.namespace, INTERFACE)
        with of_client(cluster, group) as stream:
            hears(listener, stream, 0.0)
            for there in ("hv5", "hv2", "hv1"):
                resumed = vm.moves(there, ladder)
                first = hears(listener, stream, resumed)
                print(f"{group} {ladder.value} to {there}: {1000 * (stream.sent[first] - resumed):.1f} ms after it ran")
                after = [number for number in list(listener.heard) if number >= first]
                assert after == list(range(first, first + len(after))), "once each, without a gap"
            assert len(set(listener.heard)) == len(listener.heard)
        unmute(vm.namespace, INTERFACE)
        cluster.watcher.settle()
        assert [stream_at(tap, group) for tap in taps] == [0, 0]


@versions
def test_a_staged_group_is_in_both_switches_and_reaches_no_staged_port(cluster: Cluster, group: str) -> None:
    destination = cluster.hypervisors["hv5"]
    with guest(cluster, 1, "hv1") as vm, vm.listens(group) as listener, of_client(cluster, group) as stream:
        hears(listener, stream, 0.0)
        port = StagedPort(destination.namespace, destination.edge, vm.vm.interfaces[0], cluster.watcher)
        assert destination.station.request(VdptoolMode.PREASSOCIATE_RR, vm.vsi).granted
        staged = {switch: copies_of(lines, group) for switch, lines in tables(cluster).items()}
        assert {switch: len(lines) for switch, lines in staged.items()} == {"s1": 2, "s2": 2}
        hears(listener, stream, time.monotonic())
        assert port.sightings() == []
        assert destination.station.request(VdptoolMode.ASSOCIATE, vm.vsi).granted
        # The copy to the program there; the trunk towards the source may be gone already.
        page = [line for line in staged["s2"] if "table=48" in line]
        assert page
        assert set(page) <= set(copies_of(tables(cluster)["s2"], group)), "the flip does not change it"
        wait_until(port.sightings, "the stream at the port that is associated")
        port.disconnect()
        port.remove()
        dismiss(destination, vm.vsi)


def copies_of(lines: list[str], group: str) -> list[str]:
    """The rules of a switch that name a group."""
    return [line for line in lines if f"nw_dst={group}" in line or f"ipv6_dst={group}" in line]


@versions
def test_a_vm_on_the_other_switch_is_heard_before_and_after_the_move(cluster: Cluster, group: str) -> None:
    with (
        guest(cluster, 1, "hv1") as vm,
        guest(cluster, 4, "hv6", PLAIN) as sender,
        vm.listens(group) as listener,
    ):
        joined(cluster, vm, group)
        with Stream(sender.namespace, INTERFACE, group, PORT) as stream:
            hears(listener, stream, 0.0)
            hears(listener, stream, vm.moves("hv6"))
            assert len(set(listener.heard)) == len(listener.heard)


def test_a_moved_vm_is_asked_and_what_it_has_left_meanwhile_goes(cluster: Cluster) -> None:
    other = "239.1.2.4"
    with guest(cluster, 1, "hv1") as vm, vm.listens(FOUR), vm.listens(other) as second:
        joined(cluster, vm, FOUR)
        joined(cluster, vm, other)
        # It leaves, but that never gets through: as if said in the moment in which it was suspended.
        mute(vm.namespace, INTERFACE)
        second.leave()
        wait_until(lambda: muted(vm.namespace, INTERFACE) >= REPORTS, "both reports of the leave to be lost")
        vm.moves("hv5")
        unmute(vm.namespace, INTERFACE)
        wait_until(lambda: members(cluster, other) == {}, "the group to be given up")
        assert vm.vsi.uuid in members(cluster, FOUR)


# --- members only -------------------------------------------------------------------------------------
@versions
@pytest.mark.parametrize("version", ["newest", "older"])
def test_joining_starts_and_leaving_stops_the_stream(cluster: Cluster, group: str, version: str) -> None:
    with (
        guest(cluster, 1, "hv1", older=version == "older") as vm,
        watched(cluster, vm) as (tap,),
        of_client(cluster, group) as stream,
    ):
        with vm.listens(group) as listener:
            hears(listener, stream, time.monotonic())
            assert members(cluster, group)[vm.vsi.uuid]["version"] == (3 if version == "newest" else 2)
            listener.leave()
            wait_until(lambda: members(cluster, group) == {}, "the leave")

        def silent() -> bool:
            before = stream_at(tap, group)
            time.sleep(0.1)
            cluster.watcher.settle()
            return stream_at(tap, group) == before

        wait_until(silent, "the stream to stop at the VM")


def test_a_source_that_is_not_wanted_does_not_arrive(cluster: Cluster) -> None:
    group, client, nms = "232.1.1.1", cluster.hosts["client"], cluster.hosts["nms"]
    with (
        guest(cluster, 1, "hv1") as vm,
        watched(cluster, vm) as (tap,),
        vm.listens(group, source=client.ip) as listener,
    ):
        joined(cluster, vm, group)
        with Stream(nms.namespace, nms.interface, group, PORT) as unwanted:
            wait_until(lambda: len(unwanted.sent) > 100, "a hundred datagrams")
        cluster.watcher.settle()
        assert stream_at(tap, group) == 0
        with of_client(cluster, group) as stream:
            hears(listener, stream, 0.0)


def test_who_is_not_snooped_and_hosts_receive_without_joining_once(cluster: Cluster) -> None:
    nms = cluster.hosts["nms"]
    with guest(cluster, 1, "hv1", PLAIN) as plain, guest(cluster, 2, "hv1") as snooped, ExitStack() as stack:
        (tap, quiet) = stack.enter_context(watched(cluster, plain, snooped))
        host = cluster.watcher.watch(Tap(nms.namespace, nms.interface, all_but_ethertypes(0x88CC, 0x8940)))
        stack.callback(cluster.watcher.dismiss, host)
        with of_client(cluster, FOUR) as stream:
            wait_until(lambda: len(stream.sent) >= 200, "two hundred datagrams")
        count = len(stream.sent)
        wait_until(lambda: stream_at(tap, FOUR) >= count, "all of them at the VM")
        cluster.watcher.settle()
        assert (stream_at(tap, FOUR), stream_at(host, FOUR), stream_at(quiet, FOUR)) == (count, count, 0)


def test_a_configured_group_needs_no_word_and_moves(cluster: Cluster) -> None:
    with guest(cluster, 1, "hv1", RECEIVER) as vm:
        mute(vm.namespace, INTERFACE)
        with vm.listens(CONFIGURED) as listener, of_client(cluster, CONFIGURED) as stream:
            hears(listener, stream, 0.0)
            hears(listener, stream, vm.moves("hv5"))


def test_a_group_outside_the_filter_is_not_joined(cluster: Cluster) -> None:
    outside, inside_ = "239.77.0.1", "239.1.0.77"
    with (
        guest(cluster, 1, "hv1", RECEIVER) as vm,
        watched(cluster, vm) as (tap,),
        vm.listens(outside),
        vm.listens(inside_),
        of_client(cluster, outside) as stream,
    ):
        joined(cluster, vm, inside_)
        wait_until(lambda: counters(cluster, vm).get("filtered", 0) > 0, "the refusal to be counted")
        wait_until(lambda: len(stream.sent) > 100, "a hundred datagrams")
        cluster.watcher.settle()
        assert stream_at(tap, outside) == 0
        assert members(cluster, outside) == {}


def counters(cluster: Cluster, one: Guest) -> dict[str, int]:
    shown = cluster.controller.get("/evb/multicast")["vsis"]
    return next((dict(vsi["counters"]) for vsi in shown if vsi["vsi"] == one.vsi.uuid), {})


# --- limits -------------------------------------------------------------------------------------------
def report(source: str, group: IPv4Address, ip: str) -> bytes:
    message = Report3((GroupRecord(RecordType.TO_EXCLUDE, group),))
    routers = IPv4Address("224.0.0.22")
    mac = mac_from_text(source)
    return MembershipFrame(group_mac(routers), mac, None, IPv4Address(ip), routers, message).encode()


def test_a_flood_of_joins_stops_at_its_bound_and_hurts_nobody(cluster: Cluster) -> None:
    count, bound = 20_000, 4
    with (
        guest(cluster, 1, "hv1") as flooder,
        guest(cluster, 2, "hv1") as neighbour,
        RawSocket(flooder.namespace, INTERFACE) as wire,
        of_client(cluster, FOUR) as stream,
    ):
        before = {name: len(rules) for name, rules in tables(cluster).items()}
        for number in range(count):
            wire.send(report(flooder.vm.mac, IPv4Address("239.2.0.0") + number, flooder.ip))
            if number == count // 2:
                # In the midst of it, behind the same uplink: VDP, and a join.
                assert cluster.hypervisors["hv1"].station.request(VdptoolMode.ASSOCIATE, neighbour.vsi).granted
                listener = neighbour.listens(FOUR)
        with listener:
            hears(listener, stream, time.monotonic())
        wait_until(lambda: counters(cluster, flooder).get("limit", 0) > 0, "the excess to be counted")
        # What the meter has dropped never got to the controller.
        assert counters(cluster, flooder)["reports"] < count / 10
        wait_until(lambda: members(cluster, FOUR) == {}, "the neighbour's leave")

        def grown() -> int:
            return max(len(found) - before[name] for name, found in tables(cluster).items())

        # The switch may be told a moment later than the operator.
        wait_until(lambda: grown() <= 2 * bound, "no more rules than the bound allows")


# --- others who ask, and a controller that is not there -----------------------------------------------------
def test_a_routers_queries_are_heard_and_answered(cluster: Cluster) -> None:
    nms = cluster.hosts["nms"]
    everybody, routers = IPv4Address("224.0.0.1"), IPv4Address("224.0.0.22").packed
    ends = group_mac(everybody), mac_from_text(nms.mac), None, IPv4Address(nms.ip), everybody
    query = MembershipFrame(*ends, Query3(max_response_code=1))
    with (
        guest(cluster, 1, "hv5") as vm,
        vm.listens(FOUR),
        watched(cluster, vm) as (tap,),
        RawSocket(nms.namespace, nms.interface) as wire,
    ):
        joined(cluster, vm, FOUR)
        wire.send(query.encode())
        wait_until(
            lambda: tap.matching(lambda sighting: not sighting.outgoing and sighting.data[23] == 2),
            "the query at the VM",
        )
        assert wire.hears(routers + b"\x94\x04\0\0\x22") is not None, "the answer at the router"
        wait_until(lambda: querier(cluster) == "other", "the bridge to notice")


def querier(cluster: Cluster) -> str:
    (vlan,) = cluster.controller.get("/evb/multicast")["vlans"]
    return next(querier["state"] for querier in vlan["queriers"] if querier["protocol"] == "igmp")


def test_a_controller_that_dies_and_returns_costs_no_datagram(cluster: Cluster) -> None:
    with guest(cluster, 1, "hv1") as vm, vm.listens(FOUR) as listener, of_client(cluster, FOUR) as stream:
        joined(cluster, vm, FOUR)
        first = hears(listener, stream, time.monotonic())
        held = tables(cluster)
        cluster.controller.kill()
        hears(listener, stream, time.monotonic())
        cluster.controller.start()
        cluster.controller.wait_connected(2)
        hears(listener, stream, time.monotonic())
        assert tables(cluster) == held
        heard = [number for number in list(listener.heard) if number >= first]
        assert heard == list(range(first, first + len(heard)))
        assert vm.vsi.uuid in members(cluster, FOUR)
