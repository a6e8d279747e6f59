"""Frames in flight to a VM that moves: the old switch forwards them for some seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.reservation import RULES
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT_MAC, HV1, HV2, HV3, HV4, S1, S2, VLAN, Vm, World, two_switches, with_vlans

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
SECONDS = 2
#: Stations that need not say for three minutes that they are there.
PATIENT = Timers(rka=24)
#: By then the bridge has forgotten as well.
LONG = 10.0
#: Where frames from the other switch come in, by the first of two links.
FROM_S2 = PortId(S1, 11)
VM = Vm(1)


def new_world(seconds: int = SECONDS, max_rules: int | None = None) -> World:
    world = World(with_vlans(two_switches(PATIENT, max_rules), 200), forward_in_flight=seconds)
    world.connect()
    move(world, HV1)
    return world


@pytest.fixture
def world() -> World:
    return new_world()


def move(world: World, to: PortId) -> None:
    for mode in (RR, ASSOCIATE):
        world.ask(to, VM, mode)
        assert world.answer(to).success


def under_way(world: World, trunk: PortId) -> list[PortId]:
    """A frame for the VM arrives by a trunk; where it comes out in the end."""
    frame = {"eth_src": CLIENT_MAC, "eth_dst": VM.mac, "eth_type": 0x88B5, "vlan_vid": VLAN_PRESENT | VLAN}
    return [arrival.port for arrival in world.carry(trunk, frame)]


def detours(world: World) -> dict[int, int]:
    """Number of detour rules of each switch."""
    return {dpid: len(found) for dpid in (S1, S2) if (found := world.rules(dpid, CookieKind.DETOUR))}


def test_it_goes_back_by_the_trunk_it_came_in_by_and_on_to_the_vm(world: World) -> None:
    move(world, HV3)
    assert under_way(world, FROM_S2) == [HV3]
    assert under_way(world, PortId(S1, 12)) == [HV3]


def test_it_does_as_soon_as_the_switch_has_obeyed_whatever_the_others_do(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    assert detours(world) == {S1: 1}
    world.release()
    assert under_way(world, FROM_S2) == [HV3]


def test_the_switch_ends_it_and_the_bridge_gives_back_the_room(world: World) -> None:
    move(world, HV3)
    promised = world.engine.ledger.used(S1)
    world.advance(SECONDS - 0.1)
    assert under_way(world, FROM_S2) == [HV3]
    world.advance(0.2)
    assert under_way(world, FROM_S2) == []
    world.advance(LONG)
    assert world.engine.ledger.used(S1) == promised - 1


def test_each_of_several_vms_has_room_of_its_own(world: World) -> None:
    for number in (2, 3):
        world.ask(HV1, Vm(number), ASSOCIATE)
    for number in (1, 2, 3):
        for mode in (RR, ASSOCIATE):
            world.ask(HV3, Vm(number), mode)
    assert detours(world) == {S1: 3}
    promised = world.engine.ledger.used(S1)
    world.advance(LONG)
    assert world.engine.ledger.used(S1) == promised - 3


def test_without_it_what_would_have_to_go_back_is_dropped() -> None:
    world = new_world(seconds=0)
    move(world, HV3)
    assert under_way(world, FROM_S2) == [] and detours(world) == {}


def test_who_moves_within_a_switch_leaves_none(world: World) -> None:
    move(world, HV2)
    assert detours(world) == {} and under_way(world, FROM_S2) == [HV2]


def test_a_vm_that_comes_back_in_time_takes_it_away(world: World) -> None:
    promised = world.engine.ledger.used(S1)
    move(world, HV3)
    move(world, HV1)
    assert detours(world) == {} and world.engine.ledger.used(S1) == promised
    assert under_way(world, FROM_S2) == [HV1]
    world.advance(LONG)
    move(world, HV3)
    assert detours(world) == {S1: 1}


def test_what_is_taken_back_takes_it_away(world: World) -> None:
    """The destination's switch refuses: the VM is where it was."""
    world.ask(HV3, VM, RR)
    world.refuse[S2, Mode.ATOMIC] = "no"
    world.ask(HV3, VM, ASSOCIATE)
    assert not world.answer(HV3).success
    assert detours(world) == {}
    assert under_way(world, FROM_S2) == [HV1]


def found_and_not_forgotten(world: World) -> None:
    """The VM comes back by and by, and nothing stands before its gate."""
    assert detours(world) == {S1: 1}
    move(world, HV1)
    assert detours(world) == {}
    assert under_way(world, FROM_S2) == [HV1]


def test_one_that_was_turned_elsewhere_late_is_not_forgotten_early(world: World) -> None:
    """It is written anew when the first one's time is nearly over, and confirmed behind that."""
    move(world, HV3)
    world.advance(SECONDS + 1.5)
    world.ask(HV4, VM, RR)
    world.hold.add(S2)
    world.ask(HV4, VM, ASSOCIATE)
    world.advance(1.0)
    world.release()
    found_and_not_forgotten(world)


def test_one_that_was_turned_back_by_a_refusal_is_not_forgotten_early(world: World) -> None:
    move(world, HV3)
    world.advance(SECONDS + 1.5)
    world.ask(HV4, VM, RR)
    world.refuse[S2, Mode.ATOMIC] = "no"
    world.ask(HV4, VM, ASSOCIATE)
    assert not world.answer(HV4).success
    world.advance(1.0)
    found_and_not_forgotten(world)


def test_the_bridge_forgets_one_that_nobody_has_confirmed_whatever_else_it_changes(world: World) -> None:
    move(world, HV3)
    world.advance(SECONDS + 1.5)
    world.ask(HV4, VM, RR)
    world.refuse[S2, Mode.ATOMIC] = "no"
    world.ask(HV4, VM, ASSOCIATE)
    assert detours(world) == {S1: 1}
    promised = world.engine.ledger.used(S1)
    for number in range(10):
        world.ask(HV2, Vm(2), DEASSOCIATE if number % 2 else ASSOCIATE)
        world.advance(10.0)
    assert world.engine.ledger.used(S1) == promised - 1


def test_a_source_that_lets_go_first_leaves_none(world: World) -> None:
    """Nobody sends anything there any more by the time at which it is known where to."""
    world.ask(HV3, VM, RR)
    world.ask(HV1, VM, DEASSOCIATE)
    world.ask(HV3, VM, ASSOCIATE)
    assert world.answer(HV3).success and detours(world) == {}


def test_a_vm_that_is_gone_takes_it_away(world: World) -> None:
    move(world, HV3)
    world.ask(HV3, VM, DEASSOCIATE)
    assert detours(world) == {}


def test_it_is_no_drift_that_it_is_there_nor_that_it_is_gone() -> None:
    world = new_world(seconds=40)
    move(world, HV3)
    world.advance(35.0)  # an audit of each switch has been
    assert detours(world) == {S1: 1}
    world.advance(60.0)
    assert detours(world) == {}
    assert not [event for event in world.happened if event.kind == "switch.drift"]


def test_a_switch_that_connects_again_keeps_it(world: World) -> None:
    move(world, HV3)
    world.disconnect(S1)
    world.connect(S1)
    assert detours(world) == {S1: 1}


@pytest.mark.parametrize("remembering", [True, False])
def test_a_controller_that_is_new_takes_it_away(world: World, remembering: bool) -> None:
    """It does not know of it, and it would stand before the gate of a VM that comes back."""
    move(world, HV3)
    world.restart_controller(remembering)
    assert detours(world) == {}


def test_a_switch_without_room_goes_without_it() -> None:
    """The VM's old rules and its new way have taken all there is."""
    roomy = new_world()
    roomy.ask(HV3, VM, RR)
    room = roomy.engine.wanted.budgeted(S1)[RULES] + roomy.engine.ledger.used(S1)
    for more in (0, 1):
        world = new_world(max_rules=room + more)
        move(world, HV3)
        assert len(detours(world)) == more
        assert len(under_way(world, FROM_S2)) == more


def test_a_vsi_without_a_mac_address_has_none(world: World) -> None:
    """Nobody knows what is for it: that goes everywhere anyway."""
    info = FilterInfo.of(Vid(vid=200))
    whole = replace(Vm(2).tlv(ASSOCIATE, migrating=True), filter_info=info)
    for port in (HV1, HV3):
        world.advance(0.01)
        world.send(port, whole)
        assert world.answer(port).success
    assert detours(world) == {}
