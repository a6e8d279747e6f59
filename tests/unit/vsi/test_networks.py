"""VLANs and priorities of VSIs: from GroupIDs, VSI types and ports, also where switches have VIDs of their own."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.policy.model import PolicySet, VsiNetwork
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, GroupMacVid, GroupVid, MacVid, Vid
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.membership import MembershipFrame
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, RequestStatus, VdpError, VdpMode
from tests.worlds.bridge import (
    CLIENT,
    HV1,
    HV2,
    HV3,
    HV4,
    NMS,
    S1,
    S2,
    VLAN,
    World,
    open_type,
    two_switches,
    with_vlans,
    without_extensions,
)
from tests.worlds.bridge import Vm as PlainVm

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
RED, BLUE, GREEN = 1000, 2000, 3000
RED_VID, BLUE_VID, GREEN_VID = 100, 200, 300
#: At the station ports of the second switch red and blue have changed places, and green is elsewhere.
SWAPPED = VidTranslation({RED_VID: BLUE_VID, BLUE_VID: RED_VID, GREEN_VID: 301})
GROUPS = {RED: RED_VID, BLUE: BLUE_VID, GREEN: GREEN_VID}
PLAIN = VsiTypeKey(1, 1)
OF_BLUE, OF_VLAN, OF_BOTH, URGENT = (VsiTypeKey(number, 1) for number in (10, 11, 12, 13))
PRIORITY = 5
NETWORKS = {
    PLAIN: VsiNetwork(),
    OF_BLUE: VsiNetwork(groups=(BLUE,)),
    OF_VLAN: VsiNetwork(vids=(BLUE_VID,)),
    OF_BOTH: VsiNetwork(groups=(BLUE, RED)),
    URGENT: VsiNetwork(groups=(BLUE,), pcp=PRIORITY),
}
POLICIES = PolicySet({key: replace(open_type(key), network=network) for key, network in NETWORKS.items()})
PATIENT = Timers(rka=24)


def fabric(groups: dict[int, int] = GROUPS, translation: VidTranslation = SWAPPED) -> Fabric:
    usual = with_vlans(two_switches(PATIENT), BLUE_VID, GREEN_VID, 301)
    first, second = usual.switches[S1], usual.switches[S2]
    # The native VLAN of the second switch's stations is none of red, blue and green.
    ports = {number: replace(port, native_vlan=port.native_vlan and 400) for number, port in second.interfaces.items()}
    ports = {
        number: replace(port, tagged_vlans=(RED_VID, *port.tagged_vlans)) if port.native_vlan else port
        for number, port in ports.items()
    }
    host = replace(ports[CLIENT.port_no], native_vlan=VLAN, tagged_vlans=(BLUE_VID,))
    second = replace(second, interfaces={**ports, CLIENT.port_no: host}, translation=translation)
    return replace(usual, switches={S1: first, S2: second}, groups=groups)


def new_world(
    groups: dict[int, int] = GROUPS, translation: VidTranslation = SWAPPED, plain: tuple[int, ...] = ()
) -> World:
    """A world whose first switch has no VIDs of its own, so it may be one without extensions."""
    world = World(without_extensions(fabric(groups, translation), *plain), POLICIES)
    world.connect()
    return world


@pytest.fixture(params=[(), (S1,)], ids=["extended", "openflow13"])
def world(request: pytest.FixtureRequest) -> World:
    return new_world(plain=request.param)


def tlv(vm: PlainVm, mode: VdpMode, *entries: FilterEntry) -> Association:
    return ASSOCIATIONS[mode](RequestStatus(), *vm.type, vm.vsi_id, FilterInfo.of(*entries))


def asks(world: World, port: PortId, vm: PlainVm, *entries: FilterEntry, mode: VdpMode = ASSOCIATE) -> FilterInfo | str:
    """The filter that a station is answered, or the reason of a refusal."""
    world.advance(0.01)
    world.send(port, tlv(vm, mode, *entries))
    if world.answer(port).success:
        return world.sent[port][-1].filter_info
    refused = [event for event in world.happened if event.kind == "vdp.refused"]
    assert world.answer(port).error is VdpError.INVALID_VID_GROUP_MAC
    return str(refused[-1].detail["reason"])


def vm(number: int, key: VsiTypeKey = PLAIN) -> PlainVm:
    return PlainVm(number, key)


def frame(source: PlainVm, target: PlainVm, vid: int, pcp: int = 0) -> dict[str, int]:
    tag = {"vlan_vid": VLAN_PRESENT | vid, "vlan_pcp": pcp} if vid else {"vlan_vid": 0}
    return {"eth_src": source.mac, "eth_dst": target.mac, "eth_type": 0x0800, **tag}


def arrivals(world: World, port: PortId, sent: dict[str, int]) -> list[tuple[PortId, int]]:
    """Ports and VIDs of the copies of a frame; VID 0: untagged."""
    return [(copy.port, copy.fields["vlan_vid"] & 0xFFF) for copy in world.carry(port, sent)]


# --- null VIDs ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("port", "vids"), [(HV1, (RED_VID, BLUE_VID)), (HV3, (BLUE_VID, RED_VID))])
def test_a_null_vid_becomes_that_of_its_group_at_the_switch(world: World, port: PortId, vids: tuple[int, ...]) -> None:
    for number, (group, vid) in enumerate(zip((RED, BLUE), vids, strict=True), start=1):
        one = vm(number)
        assert asks(world, port, one, GroupMacVid(0, one.mac, group)) == FilterInfo.of(GroupMacVid(vid, one.mac, group))


def test_a_filter_of_groups_alone_has_the_vlans_of_the_groups(world: World) -> None:
    asked = GroupVid(0, RED), GroupVid(0, BLUE)
    assert asks(world, HV3, vm(1), *asked) == FilterInfo.of(GroupVid(BLUE_VID, RED), GroupVid(RED_VID, BLUE))
    (shown,) = world.engine.registry
    assert [binding.vid for attachment in shown.attachments.values() for binding in attachment.bindings] == [100, 200]


@pytest.mark.parametrize("key", [OF_BLUE, OF_VLAN, OF_BOTH])
@pytest.mark.parametrize(("port", "vid"), [(HV1, BLUE_VID), (HV3, RED_VID)])
def test_a_null_vid_without_group_becomes_that_of_the_type(
    world: World, key: VsiTypeKey, port: PortId, vid: int
) -> None:
    one = vm(1, key)
    assert asks(world, port, one, MacVid(0, one.mac)) == FilterInfo.of(MacVid(vid, one.mac))


def test_a_null_vid_of_neither_is_that_of_the_port(world: World) -> None:
    one, two = vm(1), vm(2)
    assert asks(world, HV1, one, MacVid(0, one.mac)) == FilterInfo.of(MacVid(VLAN, one.mac))
    assert asks(world, HV3, two, MacVid(0, two.mac)) == FilterInfo.of(MacVid(400, two.mac))


def test_a_type_of_several_groups_admits_each(world: World) -> None:
    one = vm(1, OF_BOTH)
    asked = GroupMacVid(0, one.mac, RED), GroupMacVid(0, one.mac + (1 << 16), BLUE)
    answered = asks(world, HV1, one, *asked)
    assert isinstance(answered, FilterInfo)
    assert [entry.vid for entry in answered.entries] == [RED_VID, BLUE_VID]


# --- refusals -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("port", "key", "entry", "reason"),
    [
        (HV1, PLAIN, GroupMacVid(0, 0x525400000001, 7), "GroupID 7 is not mapped to a VID"),
        (HV1, PLAIN, GroupVid(0, 0x01000000 | RED), f"GroupID {0x01000000 | RED} is not mapped to a VID"),
        (HV1, PLAIN, GroupMacVid(BLUE_VID, 0x525400000001, RED), "VID 200 is not that of GroupID 1000"),
        (HV3, PLAIN, GroupMacVid(RED_VID, 0x525400000001, RED), "VID 100 is not that of GroupID 1000"),
        (HV1, OF_BLUE, GroupMacVid(0, 0x525400000001, RED), "GroupID 1000 is not in the network of VSI type 10/1"),
        (HV1, OF_VLAN, GroupVid(0, RED), "GroupID 1000 is not in the network of VSI type 11/1"),
        (HV1, OF_BLUE, MacVid(RED_VID, 0x525400000001), "VID 100 is not that of the VSI type"),
        (HV3, OF_VLAN, MacVid(BLUE_VID, 0x525400000001), "VID 200 is not that of the VSI type"),
        (HV3, PLAIN, MacVid(GREEN_VID, 0x525400000001), "VID 300 is of no VLAN at this switch"),
        (HV1, PLAIN, MacVid(4095, 0x525400000001), "VID 4095 is reserved"),
    ],
)
def test_what_has_no_vlan_is_refused(
    world: World, port: PortId, key: VsiTypeKey, entry: FilterEntry, reason: str
) -> None:
    assert asks(world, port, vm(1, key), entry) == reason
    assert not world.rules(port.dpid, CookieKind.GATE)


def test_without_groups_no_group_id_is_accepted_nor_announced() -> None:
    world = new_world({})
    assert asks(world, HV1, vm(1), GroupVid(0, RED)) == "GroupID 1000 is not mapped to a VID"
    assert not world.fabric.has_groups(HV1)
    assert asks(world, HV1, vm(2, OF_BLUE), MacVid(0, vm(2).mac)) == "GroupID 2000 is not mapped to a VID"


def test_a_port_without_the_vlan_of_a_group_does_not_announce_groups() -> None:
    narrow = fabric({7: 77})
    assert not narrow.has_groups(HV1)
    assert fabric().has_groups(HV1) and fabric({GREEN: GREEN_VID}).has_groups(HV3)


# --- repetitions --------------------------------------------------------------------------------
def test_a_station_repeats_its_request_or_the_answer(world: World) -> None:
    one = vm(1, URGENT)
    asked = MacVid(0, one.mac)
    answered = asks(world, HV3, one, asked)
    assert answered == FilterInfo.of(MacVid(RED_VID, one.mac, pcp=PRIORITY, ps=True))
    before, sent, happened = world.snapshot(), len(world.applied), len(world.happened)
    for again in (asked, MacVid(RED_VID, one.mac), MacVid(RED_VID, one.mac, pcp=PRIORITY, ps=True)):
        assert asks(world, HV3, one, again) == answered
    assert world.snapshot() == before and len(world.applied) == sent
    assert len(world.happened) == happened, "keep-alives, which are not logged"


def test_a_request_with_other_values_is_a_new_one(world: World) -> None:
    one = vm(1)
    asks(world, HV1, one, MacVid(0, one.mac))
    assert asks(world, HV1, one, MacVid(BLUE_VID, one.mac)) == FilterInfo.of(MacVid(BLUE_VID, one.mac))
    assert asks(world, HV1, one, MacVid(BLUE_VID, one.mac, pcp=3, ps=True)) != FilterInfo.of(MacVid(BLUE_VID, one.mac))
    (shown,) = world.engine.registry
    assert shown.gate_program is not None
    assert [pcp for _, pcp in shown.gate_program.binding.priorities] == [3]


@pytest.mark.parametrize("remembering", [True, False])
def test_a_restart_keeps_vlan_and_priority(world: World, remembering: bool) -> None:
    one = vm(1, URGENT)
    answered = asks(world, HV3, one, MacVid(0, one.mac))
    assert isinstance(answered, FilterInfo)
    before = world.snapshot()
    world.restart_controller(remembering)
    assert asks(world, HV3, one, *answered.entries) == answered
    if remembering:
        assert world.snapshot() == before


def test_a_record_of_an_earlier_version_has_no_answered_filter(world: World) -> None:
    one = vm(1)
    assert asks(world, HV1, one, MacVid(0, one.mac)) == FilterInfo.of(MacVid(VLAN, one.mac))
    for key, record in world.store.items():
        if key.startswith(ATTACHMENT.key("")):
            *fields, more = msgpack.unpackb(record)
            assert more.pop("filled")
            world.store[key] = msgpack.packb([*fields, more])
    before = world.snapshot()
    world.restart_controller()
    assert [vsi.text for vsi in world.engine.registry] == [one.text]
    assert asks(world, HV1, one, MacVid(VLAN, one.mac)) == FilterInfo.of(MacVid(VLAN, one.mac))
    assert world.snapshot() == before


def test_a_restart_with_other_groups_puts_no_vsi_into_the_vlan_of_another_group(world: World) -> None:
    red, blue = vm(1), vm(2)
    answered = asks(world, HV1, red, GroupMacVid(0, red.mac, RED))
    assert isinstance(answered, FilterInfo)
    world.fabric = fabric({RED: BLUE_VID, BLUE: RED_VID})
    world.restart_controller()
    assert not list(world.engine.registry)
    assert asks(world, HV1, red, *answered.entries) == "VID 100 is not that of GroupID 1000"
    asks(world, HV1, blue, GroupMacVid(0, blue.mac, BLUE))
    assert arrivals(world, HV1, frame(red, blue, 0)) == []


def test_a_restart_with_other_local_vids_restores_no_vsi_into_another_vlan(world: World) -> None:
    one = vm(1, OF_BLUE)
    assert asks(world, HV3, one, MacVid(0, one.mac)) == FilterInfo.of(MacVid(RED_VID, one.mac))
    world.fabric = fabric(translation=VidTranslation())
    world.restart_controller()
    assert not list(world.engine.registry)
    assert asks(world, HV3, one, MacVid(RED_VID, one.mac)) == "VID 100 is not that of the VSI type"


# --- frames -------------------------------------------------------------------------------------
def test_two_tenants_do_not_reach_each_other(world: World) -> None:
    """The breach that GroupIDs without a meaning were: both had the native VLAN."""
    red, blue = vm(1), vm(2)
    asks(world, HV1, red, GroupMacVid(0, red.mac, RED))
    asks(world, HV2, blue, GroupMacVid(0, blue.mac, BLUE))
    for vid in (0, RED_VID, BLUE_VID, GREEN_VID):
        assert arrivals(world, HV1, frame(red, blue, vid)) == []
        assert arrivals(world, HV2, frame(blue, red, vid)) == []


@pytest.mark.parametrize(
    ("group", "here", "there"), [(RED, 0, BLUE_VID), (BLUE, BLUE_VID, RED_VID), (GREEN, GREEN_VID, 301)]
)
def test_a_tenant_reaches_its_own_across_switches_with_other_vids(
    world: World, group: int, here: int, there: int
) -> None:
    one, two, three = vm(1), vm(2), vm(3)
    for port, member in ((HV1, one), (HV3, two), (HV4, three)):
        asks(world, port, member, GroupMacVid(0, member.mac, group))
    assert arrivals(world, HV1, frame(one, two, here)) == [(HV3, there)]
    assert arrivals(world, HV3, frame(two, one, there)) == [(HV1, here)]
    assert arrivals(world, HV3, frame(two, three, there)) == [(HV4, there)]
    broadcast = {**frame(one, two, here), "eth_dst": 0xFFFFFFFFFFFF}
    copies = [copy for copy in arrivals(world, HV1, broadcast) if copy[0] != NMS and copy[0] != CLIENT]
    assert sorted(copies) == [(HV3, there), (HV4, there)]
    others = {0, RED_VID, BLUE_VID, GREEN_VID, 301, 400} - {there}
    for vid in others:
        assert arrivals(world, HV3, frame(two, three, vid)) == [], vid


def test_a_native_local_vid_is_untagged_on_the_wire() -> None:
    changed = fabric()
    second = changed.switches[S2]
    port = replace(second.interfaces[HV3.port_no], native_vlan=RED_VID, tagged_vlans=(BLUE_VID,))
    second = replace(second, interfaces={**second.interfaces, HV3.port_no: port})
    world = World(replace(changed, switches={**changed.switches, S2: second}), POLICIES)
    world.connect()
    one, two = vm(1), vm(2)
    asks(world, HV1, one, GroupMacVid(0, one.mac, BLUE))
    asks(world, HV3, two, GroupMacVid(0, two.mac, BLUE))
    assert arrivals(world, HV1, frame(one, two, BLUE_VID)) == [(HV3, 0)]
    assert arrivals(world, HV3, frame(two, one, 0)) == [(HV1, BLUE_VID)]
    assert arrivals(world, HV3, frame(two, one, RED_VID)) == []


def test_a_vsi_keeps_its_vlan_when_it_moves_to_a_switch_with_another_vid(world: World) -> None:
    moving, friend, foe = vm(1), vm(2), vm(3)
    asks(world, HV1, moving, GroupMacVid(0, moving.mac, BLUE))
    asks(world, HV2, friend, GroupMacVid(0, friend.mac, BLUE))
    asks(world, HV4, foe, GroupMacVid(0, foe.mac, RED))
    assert arrivals(world, HV2, frame(friend, moving, BLUE_VID)) == [(HV1, BLUE_VID)]
    staged = asks(world, HV3, moving, GroupMacVid(0, moving.mac, BLUE), mode=RR)
    assert staged == FilterInfo.of(GroupMacVid(RED_VID, moving.mac, BLUE))
    assert arrivals(world, HV3, frame(moving, friend, RED_VID)) == [], "staged, and nothing passes"
    assert arrivals(world, HV2, frame(friend, moving, BLUE_VID)) == [(HV1, BLUE_VID)]
    asks(world, HV3, moving, GroupMacVid(0, moving.mac, BLUE))
    assert arrivals(world, HV2, frame(friend, moving, BLUE_VID)) == [(HV3, RED_VID)]
    assert arrivals(world, HV3, frame(moving, friend, RED_VID)) == [(HV2, BLUE_VID)]
    assert arrivals(world, HV4, frame(foe, moving, BLUE_VID)) == []
    assert arrivals(world, HV1, frame(moving, friend, BLUE_VID)) == []


def test_one_address_in_two_groups_is_two_bindings(world: World) -> None:
    one, two = vm(1), vm(2)
    asks(world, HV1, one, GroupMacVid(0, one.mac, BLUE))
    # The same MAC address and the same local VID, but another VLAN.
    assert asks(world, HV3, two, GroupMacVid(0, one.mac, RED)) == FilterInfo.of(GroupMacVid(BLUE_VID, one.mac, RED))
    taken = asks(world, HV4, vm(3), GroupMacVid(0, one.mac, BLUE))
    assert isinstance(taken, str) and taken.endswith(one.text)


# --- priorities ---------------------------------------------------------------------------------
@pytest.mark.parametrize(("sent", "expected"), [(0, PRIORITY), (3, 3)])
def test_the_default_priority_is_for_frames_without_one(world: World, sent: int, expected: int) -> None:
    one, two = vm(1, URGENT), vm(2)
    assert asks(world, HV1, one, MacVid(0, one.mac)) == FilterInfo.of(MacVid(BLUE_VID, one.mac, pcp=PRIORITY, ps=True))
    asks(world, HV3, two, GroupMacVid(0, two.mac, BLUE))
    (copy,) = world.carry(HV1, frame(one, two, BLUE_VID, sent))
    assert copy.fields["vlan_pcp"] == expected
    (back,) = world.carry(HV3, frame(two, one, RED_VID))
    assert back.fields["vlan_pcp"] == 0


def test_the_priority_of_a_station_counts(world: World) -> None:
    one, two = vm(1, URGENT), vm(2)
    chosen = MacVid(0, one.mac, pcp=2, ps=True)
    assert asks(world, HV1, one, chosen) == FilterInfo.of(chosen.with_vid(BLUE_VID))
    asks(world, HV2, two, GroupMacVid(0, two.mac, BLUE))
    (copy,) = world.carry(HV1, frame(one, two, BLUE_VID))
    assert copy.fields["vlan_pcp"] == 2


def test_each_entry_has_its_own_priority(world: World) -> None:
    one, two = vm(1, OF_BOTH), vm(2)
    second = replace(one, number=99)
    asked = GroupMacVid(0, one.mac, BLUE, pcp=1, ps=True), GroupMacVid(0, second.mac, BLUE, pcp=6, ps=True)
    assert isinstance(asks(world, HV1, one, *asked, GroupMacVid(0, one.mac, RED)), FilterInfo)
    asks(world, HV2, two, GroupMacVid(0, two.mac, BLUE))
    sent = [world.carry(HV1, frame(source, two, BLUE_VID)) for source in (one, second)]
    assert [[copy.fields["vlan_pcp"] for copy in copies] for copies in sent] == [[1], [6]]


def test_a_vsi_of_a_whole_vid_has_the_default_priority() -> None:
    world, one, two = new_world(), vm(1, URGENT), vm(2)
    assert asks(world, HV1, one, Vid(0)) == FilterInfo.of(Vid(BLUE_VID, pcp=PRIORITY, ps=True))
    asks(world, HV2, two, GroupMacVid(0, two.mac, BLUE))
    (copy,) = world.carry(HV1, frame(one, two, BLUE_VID))
    assert copy.fields["vlan_pcp"] == PRIORITY


# --- frames of the bridge -----------------------------------------------------------------------
def test_a_query_to_a_vsi_has_the_local_vid() -> None:
    snooped = replace(open_type(PLAIN), services=(("multicast", MulticastPolicy()),))
    world = World(fabric(), PolicySet({PLAIN: snooped}))
    world.connect()
    here, there = vm(1), vm(2)
    asks(world, HV1, here, GroupMacVid(0, here.mac, BLUE))
    asks(world, HV3, there, GroupMacVid(0, there.mac, BLUE))
    world.advance(1.0)
    queries = [
        (sent.port, MembershipFrame.decode(sent.data).tci)
        for sent in world.frames
        if sent.port in (HV1, HV3) and int.from_bytes(sent.data[12:14]) == 0x8100
    ]
    assert set(queries) == {(HV1, BLUE_VID), (HV3, RED_VID)}


@pytest.mark.parametrize(("groups", "announced"), [(GROUPS, True), ({}, False), ({7: 77}, False)])
def test_the_evb_tlv_announces_groups_only_where_there_are_any(groups: dict[int, int], announced: bool) -> None:
    world = new_world(groups)
    station = EvbTlv(mode=EvbMode.STATION, r=3, rte=10, rwd=17, rka=17, sgid=True)
    lldpdu = bridge_lldpdu(0x02DEAD000001, "hv1", 120, station)
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, 0x02DEAD000001, ETHERTYPE_LLDP, lldpdu.encode())
    world.feed(FrameReceived(HV1, frame.encode()))
    heard = [Frame.decode(sent.data) for sent in world.frames if sent.port == HV1]
    tlvs = [Lldpdu.decode(sent.payload).evb for sent in heard if sent.ethertype == ETHERTYPE_LLDP]
    assert tlvs and all(tlv is not None and tlv.bgid is announced for tlv in tlvs)
    agreed = world.engine.stations[HV1].evb.agreed
    assert agreed is not None and agreed.groups is announced
