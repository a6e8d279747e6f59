"""A VM that becomes active is announced to the edges that are not ours: once, everywhere, not before it is there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from ryu_apps.evb.event_catalogue.vsis import VsiAnnounced
from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.wire.announcement import gratuitous_arp, neighbour_advertisement, reverse_arp
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid, Vid
from ryu_apps.evb.wire.vdp import Associate, RequestStatus, VdpMode
from tests.worlds.bridge import CLIENT, HV1, HV2, HV3, NMS, OPEN, OPEN_2, S1, S2, VLAN, Address, Vm, World

VM = Vm(7)
RARP = reverse_arp(VM.mac).encode(pad=True)
GARP = gratuitous_arp(VM.mac, VM.address).encode(pad=True)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


def everywhere(*frames: bytes) -> set[SendFrame]:
    return {SendFrame(port, frame) for port in (NMS, CLIENT) for frame in frames}


def announced(world: World) -> set[SendFrame]:
    """Announcements since the last call, none of them twice."""
    frames, world.announced = world.announced, []
    assert len(set(frames)) == len(frames)
    return set(frames)


# --- when -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("staged", [True, False])
def test_an_associate_announces_the_vm_at_every_host_port_of_its_vlan(world: World, staged: bool) -> None:
    if staged:
        world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
        assert announced(world) == set()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == everywhere(RARP, GARP)
    assert [event.detail for event in world.happened if event.kind == "vsi.announced"] == [{"frames": 4}]


@pytest.mark.parametrize("there", [HV2, HV3])
def test_a_move_announces_it_again(world: World, there: PortId) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    announced(world)
    world.ask(there, VM, VdpMode.PREASSOCIATE_RR)
    assert announced(world) == set()
    world.ask(there, VM, VdpMode.ASSOCIATE)
    assert announced(world) == everywhere(RARP, GARP)


def test_keep_alives_announce_nothing(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    announced(world)
    for _ in range(10):
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        world.advance(0.5)
    assert announced(world) == set()


def test_a_new_policy_at_the_same_place_announces_nothing(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    announced(world)
    world.ask(HV1, replace(VM, type=OPEN_2), VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    assert announced(world) == set()


def test_a_vm_that_was_shut_out_and_comes_back_is_announced(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    announced(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == everywhere(RARP, GARP)


def test_a_restart_of_the_controller_announces_nothing(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(0.5)
    announced(world)
    world.restart_controller()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == set()


# --- not before it is there -------------------------------------------------------------------------
def test_nothing_is_announced_before_every_switch_has_opened_the_gate(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.hold.add(S2)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == set()
    world.release()
    assert announced(world) == everywhere(RARP, GARP)


def test_nothing_is_announced_before_the_store_has_it(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.store_delays = True
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == set()
    world.store_answers()
    assert announced(world) == everywhere(RARP, GARP)


def test_a_refused_associate_announces_nothing(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.store_failure = "disk full"
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert not world.answer(HV1).success
    assert announced(world) == set()


def test_moves_that_overtake_each_other_are_announced_once(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    for port in (HV2, HV3):
        world.ask(port, VM, VdpMode.PREASSOCIATE_RR)
    announced(world)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, VM, VdpMode.ASSOCIATE)
    assert announced(world) == set()
    world.release()
    assert announced(world) == everywhere(RARP, GARP)


def test_a_switch_that_is_away_is_left_out(world: World) -> None:
    world.disconnect(S2)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert announced(world) == {SendFrame(NMS, RARP), SendFrame(NMS, GARP)}


def test_the_station_is_answered_first(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    kinds = [event.kind for event in world.happened]
    assert kinds.index("vsi.active") < kinds.index("vsi.announced")


# --- what -----------------------------------------------------------------------------------------
def associate(world: World, *filters: MacVid | Vid, addresses: tuple[Address, ...] = ()) -> None:
    """HV1 associates with any filter and any addresses."""
    tlv = Associate(RequestStatus(), *OPEN, VM.vsi_id, FilterInfo.of(*filters))
    world.advance(0.01)
    world.send(HV1, tlv, *addresses)
    assert world.answer(HV1).success


def test_addresses_of_both_versions_are_announced(world: World) -> None:
    four, six = IPv4Address("10.0.100.9"), IPv6Address("fd00:10::9")
    associate(world, MacVid(VLAN, VM.mac), addresses=(four, six))
    expected = gratuitous_arp(VM.mac, four), neighbour_advertisement(VM.mac, six)
    assert announced(world) == everywhere(RARP, *(frame.encode(pad=True) for frame in expected))


def test_an_address_that_becomes_known_is_announced_alone(world: World) -> None:
    associate(world, MacVid(VLAN, VM.mac))
    assert announced(world) == everywhere(RARP)
    associate(world, MacVid(VLAN, VM.mac), addresses=(VM.address,))
    assert announced(world) == everywhere(GARP)


def test_a_mac_address_that_is_added_is_announced_alone(world: World) -> None:
    associate(world, MacVid(VLAN, VM.mac))
    announced(world)
    associate(world, MacVid(VLAN, VM.mac), MacVid(VLAN, VM.mac + 256))
    assert announced(world) == everywhere(reverse_arp(VM.mac + 256).encode(pad=True))


def test_whose_of_several_mac_addresses_an_address_is_nobody_guesses(world: World) -> None:
    associate(world, MacVid(VLAN, VM.mac), MacVid(VLAN, VM.mac + 256), addresses=(VM.address,))
    assert announced(world) == everywhere(RARP, reverse_arp(VM.mac + 256).encode(pad=True))


@pytest.mark.parametrize("nobodys", ["0.0.0.0", "127.0.0.1", "224.0.0.251", "::", "::1", "ff02::1"])
def test_what_is_no_address_of_a_vm_is_not_announced(nobodys: str) -> None:
    address = IPv6Address(nobodys) if ":" in nobodys else IPv4Address(nobodys)
    frames = Announcer(World().fabric).frames(VsiBinding(1, 1, (Binding(VLAN, VM.mac),), (address,)))
    assert set(frames) == everywhere(RARP)


# --- where ----------------------------------------------------------------------------------------
TRUNK_HOST, OTHER_HOST, BARE_HOST = PortId(1, 1), PortId(1, 2), PortId(1, 3)
EDGES = Announcer(
    Fabric(
        {
            1: Switch(
                1,
                "s1",
                {
                    1: Interface(1, "router", Role.HOST, native_vlan=VLAN, tagged_vlans=(200, 300)),
                    2: Interface(2, "other", Role.HOST, native_vlan=200),
                    3: Interface(3, "tags-only", Role.HOST, tagged_vlans=(VLAN,)),
                    4: Interface(4, "hv1", Role.STATION, native_vlan=VLAN),
                    5: Interface(5, "s2", Role.TRUNK, peer=PortId(2, 5)),
                },
            )
        }
    )
)


@pytest.mark.parametrize(
    ("vid", "expected"),
    [
        (VLAN, {(TRUNK_HOST, None), (BARE_HOST, VLAN)}),
        (200, {(TRUNK_HOST, 200), (OTHER_HOST, None)}),
        (300, {(TRUNK_HOST, 300)}),
        (400, set()),
    ],
)
def test_a_host_port_gets_what_is_of_its_vlans_tagged_as_it_is_configured(
    vid: int, expected: set[tuple[PortId, int | None]]
) -> None:
    frames = EDGES.frames(VsiBinding(1, 1, (Binding(vid, VM.mac),)))
    assert set(frames) == {SendFrame(port, reverse_arp(VM.mac).encode(pad=True, vid=tag)) for port, tag in expected}


def test_of_a_filter_without_mac_addresses_there_is_nothing_to_announce() -> None:
    assert EDGES.frames(VsiBinding(1, 1, (Binding(200, None),), (VM.address,))) == ()


def test_an_announcement_is_one_event_with_the_number_of_its_frames(world: World) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    expected = VsiAnnounced(HV1, VM.text, 4)
    assert [event for event in world.happened if event.kind == "vsi.announced"] == [expected]
