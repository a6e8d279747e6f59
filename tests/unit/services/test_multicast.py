"""Multicast reaches members, those who are not snooped, and hosts; each once, from every side."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import MulticastGroup
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import IgmpType, Query3, Report3
from ryu_apps.evb.wire.membership import MembershipFrame, group_mac
from ryu_apps.evb.wire.mld import MldType, Query2
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, NMS_MAC, OPEN, S1, S2, Vm, World
from tests.worlds.multicast import (
    CONFIGURED,
    FIXED,
    FIXED_6,
    NARROW,
    S6,
    SIX,
    TWIN,
    Arrival,
    G,
    H,
    S,
    T,
    join,
    leave,
    multicast_world,
    receivers,
    say,
    stream,
    tell,
    vm,
)

A, B, C, D = vm(1), vm(2), vm(3), vm(4)
PLACES = ((HV1, A), (HV1, B), (HV3, C), (HV4, D))
versions = pytest.mark.parametrize("group", [G, SIX], ids=["IPv4", "IPv6"])


@pytest.fixture
def world() -> World:
    world = multicast_world()
    for port, guest in PLACES:
        world.ask(port, guest, VdpMode.ASSOCIATE)
    return world


# --- members only -----------------------------------------------------------------------------------
@versions
def test_a_group_reaches_its_members_and_hosts_once(world: World, group: MulticastGroup) -> None:
    assert receivers(world, group) == [0]
    join(world, HV1, A, group)
    assert receivers(world, group) == [0, 1]
    join(world, HV4, D, group)
    assert receivers(world, group) == [0, 1, 4]
    assert receivers(world, group, port=NMS) == [0, 1, 4]


@versions
def test_a_member_hears_a_vm_on_the_other_switch_but_not_itself(world: World, group: MulticastGroup) -> None:
    join(world, HV1, A, group)
    join(world, HV3, C, group)
    assert sorted(stream(world, HV3, C.mac, group), key=lambda arrival: arrival.port) == [
        Arrival(HV1, A.mac),
        Arrival(NMS, group_mac(group)),
        Arrival(CLIENT, group_mac(group)),
    ]


def test_a_neighbour_at_the_same_uplink_receives_nothing_of_it(world: World) -> None:
    join(world, HV1, A, G)
    assert [arrival for arrival in stream(world, CLIENT, CLIENT_MAC, G) if arrival.port == HV1] == [Arrival(HV1, A.mac)]


def test_groups_that_share_an_ethernet_address_are_two_groups(world: World) -> None:
    join(world, HV1, A, G)
    assert receivers(world, TWIN) == [0]


def test_control_groups_and_broadcasts_reach_everybody(world: World) -> None:
    for text in ("224.0.0.251", "ff02::fb", "ff02::1:ff00:1"):
        assert receivers(world, ip_address(text)) == [0, 1, 2, 3, 4]


@versions
def test_who_is_not_snooped_receives_everything(world: World, group: MulticastGroup) -> None:
    other = Vm(9, OPEN)
    world.ask(HV2, other, VdpMode.ASSOCIATE)
    assert receivers(world, group) == [0, 9]
    join(world, HV3, C, group)
    assert receivers(world, group) == [0, 3, 9]
    world.ask(HV2, other, VdpMode.DEASSOCIATE)
    assert receivers(world, group) == [0, 3]


def test_without_anybody_who_is_snooped_multicast_is_flooded_as_it_was() -> None:
    world = multicast_world()
    before = world.snapshot()
    for number, port in enumerate((HV1, HV3), start=1):
        world.ask(port, Vm(number, OPEN), VdpMode.ASSOCIATE)
    assert receivers(world, G) == [0, 1, 2]
    flooded = world.snapshot()
    world.ask(HV2, C, VdpMode.ASSOCIATE)
    join(world, HV2, C, G)
    world.ask(HV2, C, VdpMode.DEASSOCIATE)
    assert world.snapshot() == flooded
    for number, port in enumerate((HV1, HV3), start=1):
        world.ask(port, Vm(number, OPEN), VdpMode.DEASSOCIATE)
    assert world.snapshot() == before


def test_a_trunk_carries_a_group_only_towards_receivers() -> None:
    fabric = multicast_world().fabric
    del fabric.switches[S2].interfaces[3]  # no host there
    world = multicast_world(fabric=fabric)
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV3, C, VdpMode.ASSOCIATE)
    join(world, HV1, A, G)
    assert crossings(world) == []
    join(world, HV3, C, G)
    assert len(crossings(world)) == 1
    leave(world, HV3, C, G)
    world.advance(2.1)
    assert crossings(world) == []


def test_a_frame_never_goes_back_to_where_it_came_from_by_whatever_link(world: World) -> None:
    """The neighbour may believe that another of the parallel links has failed."""
    join(world, HV1, A, G)
    join(world, HV3, C, G)
    for group in (G, H):
        fields = {"eth_src": NMS_MAC, "eth_dst": group_mac(group), "eth_type": 0x0800, "ip_proto": 17, "udp_dst": 1}
        fields |= {"ipv4_src": int(S), "ipv4_dst": int(group), "vlan_vid": VLAN_PRESENT | 100}
        for port_no in (11, 12):
            out = [arrival.port for arrival in forward(world.tables[S2], {**fields, "in_port": port_no})]
            assert out and not {11, 12} & set(out)


def crossings(world: World) -> list[int]:
    """The trunk ports by which s1 sends a datagram of its host to s2."""
    fields = {"eth_src": NMS_MAC, "eth_dst": group_mac(G), "eth_type": 0x0800, "ip_proto": 17, "udp_dst": 1}
    fields |= {"ipv4_src": int(S), "ipv4_dst": int(G), "in_port": NMS.port_no}
    return [arrival.port for arrival in forward(world.tables[S1], fields) if arrival.port > 10]


# --- sources ----------------------------------------------------------------------------------------
def test_sources_that_are_included_and_no_others(world: World) -> None:
    join(world, HV1, A, G, S)
    join(world, HV4, D, G, S, T)
    assert receivers(world, G, S) == [0, 1, 4]
    assert receivers(world, G, T) == [0, 4]
    assert receivers(world, G) == [0]
    tell(world, HV4, D, RecordType.BLOCK, G, S)
    assert receivers(world, G, S) == [0, 1]


def test_sources_that_are_excluded_and_all_others(world: World) -> None:
    join(world, HV1, A, G)
    tell(world, HV1, A, RecordType.BLOCK, G, S)
    join(world, HV3, C, G)
    assert receivers(world, G, S) == [0, 3]
    assert receivers(world, G, T) == [0, 1, 3]
    tell(world, HV1, A, RecordType.ALLOW, G, S)
    assert receivers(world, G, S) == [0, 1, 3]


def test_sources_over_ipv6(world: World) -> None:
    join(world, HV1, A, SIX, S6)
    assert receivers(world, SIX, S6) == [0, 1]
    assert receivers(world, SIX, S6 + 1) == [0]


# --- leaving ----------------------------------------------------------------------------------------
@versions
@pytest.mark.parametrize("version", [2, 3])
def test_a_leave_stops_the_stream_after_two_queries(world: World, group: MulticastGroup, version: int) -> None:
    join(world, HV1, A, group, version=version)
    before = world.snapshot()
    join(world, HV3, C, group, version=version)
    leave(world, HV3, C, group, version=version)
    assert receivers(world, group) == [0, 1, 3]
    world.advance(2.1)
    assert receivers(world, group) == [0, 1]
    assert world.snapshot() == before


# --- configured groups and bounds ---------------------------------------------------------------------
@pytest.mark.parametrize("group", [FIXED, FIXED_6], ids=["IPv4", "IPv6"])
def test_a_configured_group_is_received_without_a_word(world: World, group: MulticastGroup) -> None:
    world.ask(HV2, vm(7, CONFIGURED), VdpMode.PREASSOCIATE_RR)
    assert receivers(world, group) == [0]
    world.ask(HV2, vm(7, CONFIGURED), VdpMode.ASSOCIATE)
    assert receivers(world, group) == [0, 7]
    world.ask(HV2, vm(7, CONFIGURED), VdpMode.DEASSOCIATE)
    assert receivers(world, group) == [0]


def test_a_flood_of_joins_stops_at_the_bound_and_its_neighbour_joins_as_ever(world: World) -> None:
    greedy = vm(8, NARROW)
    world.ask(HV1, greedy, VdpMode.ASSOCIATE)
    before = {dpid: len(rules) for dpid, rules in world.snapshot().items()}
    for number in range(200):
        join(world, HV1, greedy, H + number)
    assert {dpid: len(rules) - before[dpid] for dpid, rules in world.snapshot().items()} == {S1: 2, S2: 1}
    vsi = world.engine.registry.named(greedy.text)
    assert vsi is not None and vsi.listener.counters["limit"] == 199
    join(world, HV1, A, G)
    assert receivers(world, G) == [0, 1]


# --- messages -------------------------------------------------------------------------------------------
@versions
@pytest.mark.parametrize("version", [2, 3])
def test_reports_reach_hosts_and_the_controller_but_no_vm_that_is_snooped(
    world: World, group: MulticastGroup, version: int
) -> None:
    world.ask(HV2, Vm(9, OPEN), VdpMode.ASSOCIATE)
    join(world, HV1, A, group, version=version)
    arrived = join(world, HV3, C, group, version=version)
    assert {arrival.port for arrival in arrived} == {NMS, CLIENT, HV2}
    assert len(arrived) == 3
    assert receivers(world, group) == [0, 1, 3, 9]


@pytest.mark.parametrize("query", [Query3(), Query2()], ids=["IGMP", "MLD"])
def test_a_routers_query_reaches_everybody_and_the_controller_once(world: World, query: Query3 | Query2) -> None:
    arrived = say(world, NMS, NMS_MAC, query)
    assert sorted(arrival.dst & 0xFF for arrival in arrived if arrival.port not in (NMS, CLIENT)) == [1, 2, 3, 4]
    assert world.engine.snooper.counters == {"queries": 1}
    querier = world.engine.snooper.queriers[100, 4 if isinstance(query, Query3) else 6]
    assert querier.state == "other"


@pytest.mark.parametrize(
    "query",
    [igmp.IgmpV1V2(IgmpType.QUERY), Query3(), mld.MldV1(MldType.QUERY), Query2()],
    ids=lambda query: repr(query)[:12],
)
def test_a_vm_is_never_a_querier(world: World, query: igmp.Igmp | mld.Mld) -> None:
    assert say(world, HV1, A.mac, query) == []
    assert world.engine.snooper.counters == {}


def test_a_routers_specific_query_reaches_the_members(world: World) -> None:
    join(world, HV3, C, G)
    arrived = say(world, NMS, NMS_MAC, Query3(G))
    assert {arrival.port for arrival in arrived} == {CLIENT, HV3}


def test_what_an_impostor_or_a_staged_vm_reports_is_nobodys(world: World) -> None:
    world.ask(HV2, A, VdpMode.PREASSOCIATE_RR)
    before = world.snapshot()
    report = Report3((GroupRecord(RecordType.TO_EXCLUDE, G),))
    routers = IPv4Address("224.0.0.22")
    for port, source, vid in ((HV2, A.mac, 100), (HV3, A.mac, 100), (HV1, A.mac, 200), (NMS, NMS_MAC, 100)):
        frame = MembershipFrame(group_mac(routers), source, vid, IPv4Address("10.0.100.1"), routers, report)
        world.feed(FrameReceived(port, frame.encode()))
    world.feed(FrameReceived(HV1, bytes(12) + b"\x81\x00\x00\x64\x08\x00" + bytes(20)))
    assert world.snapshot() == before
    assert world.engine.snooper.counters == {"nobody": 4, "malformed": 1}
    assert join(world, HV2, A, G) == []
    assert world.engine.snooper.counters["nobody"] == 4


def test_a_vsi_without_an_address_of_its_own_is_not_snooped() -> None:
    world = multicast_world()
    owner = vm(1)
    request = ASSOCIATIONS[VdpMode.ASSOCIATE](RequestStatus(), *owner.type, owner.vsi_id, FilterInfo.of(Vid(vid=100)))
    world.send(HV1, request)
    assert world.answer(HV1).success
    assert {arrival.port for arrival in stream(world, CLIENT, CLIENT_MAC, G)} == {NMS, HV1}
    assert not [key for key in world.rules(S1, CookieKind.MEMBERSHIP) if key.table == Table.GROUPS]
