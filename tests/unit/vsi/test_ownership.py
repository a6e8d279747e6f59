"""A VSI that lives at one port is not lost to another that has not announced itself, however late that one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.events.other import Missed
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.ports.pending_deassociates import DEASSOCIATE_DELAY
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.record_kinds import DEPARTED
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import Takeover
from ryu_apps.evb.vsi import late_switches
from ryu_apps.evb.wire.vdp import RequestStatus, VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, HV4, OPEN_2, S1, S2, Vm, World, two_switches

VM = Vm(7)
#: toutKA at the timers of the tests, and the resource wait delay.
PATIENCE = Operational(3, 10, 17, 17).keep_alive_timeout
WAIT = Operational(3, 10, 17, 17).resource_wait_delay
A, P, RR, D = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.DEASSOCIATE


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, A)
    return world


def live(world: World, port: PortId, seconds: float, vm: Vm = VM) -> None:
    """Time passes, and the station at a port keeps the VSI alive."""
    end = world.now + seconds
    while world.now < end:
        world.advance(min(1.0, end - world.now))
        world.ask(port, vm, A)


def kinds(world: World, *wanted: str) -> list[str]:
    return [event.kind for event in world.happened if event.kind in wanted]


def told_to_leave(world: World, port: PortId) -> bool:
    return world.sent[port][-1].MODE is VdpMode.DEASSOCIATE


# --- the old host comes back ---
def link_fails(world: World) -> None:
    world.feed(PortChanged(HV1, False))


def link_returns(world: World) -> None:
    world.feed(PortChanged(HV1, True))


def nothing(world: World) -> None:
    pass


def controller_restarts(world: World) -> None:
    down = not world.engine.stations[HV1].up
    world.restart_controller()
    if down:
        link_fails(world)
    world.ask(HV3, VM, A)


@pytest.mark.parametrize("meanwhile", [nothing, controller_restarts])
@pytest.mark.parametrize("hours", [PATIENCE / 3600, 3.0], ids=["at once", "hours"])
@pytest.mark.parametrize("first", [RR, P, None], ids=["reserved", "announced", "unannounced"])
def test_old_host_whose_link_returns_does_not_get_the_vsi_back(
    world: World, meanwhile: Callable[[World], None], hours: float, first: VdpMode | None
) -> None:
    link_fails(world)
    if first is None:
        world.advance(PATIENCE)
    else:
        world.ask(HV3, VM, first)
    world.ask(HV3, VM, A)
    assert world.answer(HV3).success
    meanwhile(world)
    live(world, HV3, min(hours * 3600 + 1, 60))
    world.now += hours * 3600 if hours > 1 else 0
    world.ask(HV3, VM, A)
    link_returns(world)
    world.advance(0.5)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and world.answer(HV3).success
    live(world, HV3, 5.0)
    assert gate_ports(world) == {HV3} and world.answer(HV3).success


def test_old_host_that_was_silent_and_is_told_late_does_not_get_the_vsi_back(world: World) -> None:
    world.advance(PATIENCE - 0.05)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1)
    live(world, HV3, 4.0)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == {HV3}


def test_hypervisor_that_associates_again_when_it_is_told_of_the_move_does_not_win(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    world.advance(0.4)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == {HV3}


def test_untold_port_stays_displaced_when_the_new_owner_has_gone(world: World) -> None:
    link_fails(world)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    live(world, HV3, 5.0)
    world.ask(HV3, VM, D)
    world.restart_controller()
    link_returns(world)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == set()
    world.advance(0.2)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}, "told, it means what it asks"


def test_vm_that_has_ended_may_start_where_it_once_was(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    live(world, HV3, 3.0)
    world.ask(HV3, VM, D)
    world.restart_controller()
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}
    world.advance(0.5)
    assert set(world.store) == {key for key in world.store if key.startswith("vsi/")}


def station_is_heard(world: World) -> None:
    world.ask(HV1, Vm(8), P)
    world.ask(HV1, Vm(8), D)


@pytest.mark.parametrize("then", [nothing, World.restart_controller])
@pytest.mark.parametrize(("fails", "returns"), [(link_fails, link_returns), (nothing, station_is_heard)])
@pytest.mark.parametrize("ends", [D, None], ids=["De-Associate", "expiry"])
def test_record_of_a_departure_ends_if_it_is_acknowledged_when_the_vsi_has_ended(
    world: World,
    ends: VdpMode | None,
    fails: Callable[[World], None],
    returns: Callable[[World], None],
    then: Callable[[World], None],
) -> None:
    world.unacknowledging.add(HV1)
    fails(world)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    if ends is not None:
        world.ask(HV3, VM, ends)
    world.advance(PATIENCE + 1)
    assert len(world.engine.registry) == 0 and DEPARTED.key(VM.text) in world.store
    then(world)
    world.unacknowledging.clear()
    returns(world)
    world.advance(DEASSOCIATE_DELAY + 1)
    assert told_to_leave(world, HV1) and world.store == {}


def test_frame_under_way_does_not_associate_a_vsi_that_has_moved_and_ended(world: World) -> None:
    link_fails(world)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    world.ask(HV3, VM, D)
    link_returns(world)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and world.store == {}
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == set()
    world.advance(0.2)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_preassociate_ends_being_displaced(world: World) -> None:
    link_fails(world)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    link_returns(world)
    world.ask(HV1, VM, P)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_de_associate_that_could_not_be_delivered_is_said_after_a_restart_too(world: World) -> None:
    link_fails(world)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    before = len(world.sent[HV1])
    controller_restarts(world)
    link_returns(world)
    live(world, HV3, 3.1)
    assert [tlv.MODE for tlv in world.sent[HV1][before:]] == [D]


# --- what has not been announced ---
def test_unannounced_associate_elsewhere_is_refused_and_both_ports_are_named(world: World) -> None:
    before = world.snapshot()
    world.ask(HV3, VM, A)
    answer = world.answer(HV3)
    assert (answer.error, answer.hard, answer.keep) == (VdpError.INSUFFICIENT_RESOURCES, False, False)
    assert world.snapshot() == before
    (contested,) = [event for event in world.happened if event.kind == "vsi.contested"]
    assert (contested.port, contested.vsi) == (HV3, VM.text)
    assert contested.detail["owner"] == str(HV1) and contested.detail["claimant"] == str(HV3)


def test_quarrel_is_over_when_nobody_has_asked_for_a_while(world: World) -> None:
    world.ask(HV3, VM, A)
    live(world, HV1, 1.0)
    world.ask(HV3, VM, A)
    live(world, HV1, PATIENCE - 0.1)
    assert kinds(world, "vsi.contested", "vsi.settled") == ["vsi.contested"]
    live(world, HV1, 0.2)
    assert kinds(world, "vsi.contested", "vsi.settled") == ["vsi.contested", "vsi.settled"]


def test_quarrel_is_over_when_the_vsi_has_moved(world: World) -> None:
    world.ask(HV3, VM, A)
    world.ask(HV3, VM, P)
    world.ask(HV3, VM, A)
    assert gate_ports(world) == {HV3}
    assert kinds(world, "vsi.contested", "vsi.settled") == ["vsi.contested", "vsi.settled"]


def test_announcement_to_an_earlier_owner_does_not_count(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.ask(HV2, VM, RR)
    world.ask(HV2, VM, A)
    world.restart_controller()
    world.ask(HV2, VM, A)
    world.ask(HV3, VM, A)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == {HV2}


def test_reservation_that_is_kept_alive_announces_anew(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.ask(HV2, VM, RR)
    world.ask(HV2, VM, A)
    world.ask(HV3, VM, RR)
    world.restart_controller()
    world.ask(HV3, VM, A)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_m_bit_is_an_announcement(world: World) -> None:
    world.ask(HV3, VM, A, migrating=True)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_m_bit_of_a_displaced_station_is_only_repeated() -> None:
    world = World()
    world.connect()
    world.ask(HV1, VM, A, migrating=True)
    link_fails(world)
    world.ask(HV3, VM, A, migrating=True)
    live(world, HV3, 5.0)
    link_returns(world)
    world.ask(HV1, VM, A, migrating=True)
    assert told_to_leave(world, HV1) and gate_ports(world) == {HV3}


def test_m_bit_moves_a_vsi_back_and_forth(world: World) -> None:
    for port in (HV3, HV1, HV3):
        live(world, HV1 if port == HV3 else HV3, 0.2)
        world.ask(port, VM, A, migrating=True)
        assert gate_ports(world) == {port}


def test_unannounced_associate_does_not_overtake_one_that_is_being_decided() -> None:
    world = World()
    world.connect()
    world.ask(HV3, VM, RR)
    world.hold.update((1, 2))
    world.ask(HV3, VM, A)
    world.ask(HV1, VM, A)
    world.release()
    assert world.answer(HV3).success and gate_ports(world) == {HV3}
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES


def test_nor_one_whose_rules_are_still_on_their_way() -> None:
    world = World()
    world.connect()
    world.hold.add(S2)
    world.ask(HV3, VM, A, migrating=True)
    world.ask(HV1, VM, A)
    world.release()
    world.release()
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_it_gets_the_vsi_if_the_other_one_fails() -> None:
    world = World()
    world.connect()
    world.hold.add(2)
    world.ask(HV3, VM, A)
    world.ask(HV1, VM, A)
    world.advance(0.1)
    world.ask(HV3, VM, D)
    world.release()
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_port_that_needs_a_reservation_takes_a_vsi_with_one() -> None:
    world = takes(Takeover.RESERVED, HV2, HV3)
    world.ask(HV3, VM, A)
    assert not world.answer(HV3).success and gate_ports(world) == {HV1}
    world.ask(HV3, VM, A, migrating=True)
    assert not world.answer(HV3).success and gate_ports(world) == {HV1}
    world.ask(HV3, VM, P)
    assert world.answer(HV3).success
    world.ask(HV3, VM, A)
    assert not world.answer(HV3).success and gate_ports(world) == {HV1}
    world.ask(HV3, VM, RR)
    assert world.answer(HV3).success
    world.ask(HV3, VM, A)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_a_reservation_from_before_the_last_move_does_not_count() -> None:
    world = takes(Takeover.RESERVED, HV2, HV3)
    world.ask(HV2, VM, RR)
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    assert gate_ports(world) == {HV3}
    world.ask(HV2, VM, A)
    assert not world.answer(HV2).success and gate_ports(world) == {HV3}


def takes_any(*ports: PortId) -> World:
    return takes(Takeover.ANY, *ports)


def takes(condition: Takeover, *ports: PortId) -> World:
    fabric = two_switches()
    for port in ports:
        interfaces = fabric.switches[port.dpid].interfaces
        interfaces[port.port_no] = replace(interfaces[port.port_no], takeover=condition)
    world = World(fabric)
    world.connect()
    world.ask(HV1, VM, A)
    return world


def test_port_that_may_take_any_vsi_needs_no_announcement() -> None:
    world = takes_any(HV3)
    world.ask(HV2, VM, A)
    assert not world.answer(HV2).success
    world.ask(HV3, VM, A)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_not_even_there_a_displaced_station_wins_that_does_not_know() -> None:
    world = takes_any(HV1, HV3)
    link_fails(world)
    world.ask(HV3, VM, A)
    live(world, HV3, 5.0)
    link_returns(world)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == {HV3}
    world.advance(0.2)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


# --- an owner that is dying ---
def test_associate_shortly_before_a_dead_owner_expires_waits_for_it(world: World) -> None:
    world.advance(PATIENCE - WAIT + 0.2)
    asked = world.now
    world.ask(HV3, VM, A)
    assert not world.sent.get(HV3)
    world.advance(WAIT)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}
    (granted,) = [event for event in world.happened if event.kind == "vsi.active" and event.port == HV3]
    assert granted and world.now - asked < WAIT + 0.1


def test_waiting_lasts_longer_by_what_the_bridge_did_not_listen(world: World) -> None:
    world.advance(PATIENCE - WAIT + 0.2)
    world.ask(HV3, VM, A)
    world.now += 3.0
    world.feed(Missed(3.0))
    assert gate_ports(world) == {HV1} and not world.sent.get(HV3)
    world.advance(WAIT)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_waiting_ends_with_a_keep_alive_of_the_owner(world: World) -> None:
    world.advance(PATIENCE - WAIT + 0.2)
    world.ask(HV3, VM, A)
    assert not world.sent.get(HV3)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == {HV1}


def test_waiting_is_not_prolonged_where_the_resource_wait_delay_is_long() -> None:
    fabric = two_switches()
    port = fabric.switches[S2].interfaces[HV3.port_no]
    fabric.switches[S2].interfaces[HV3.port_no] = replace(port, timers=Timers(rwd=20))
    world = World(fabric)
    world.connect()
    world.ask(HV1, VM, A)
    world.ask(HV3, VM, A)
    assert not world.sent.get(HV3)
    world.ask(HV1, VM, A)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == {HV1}


def test_owner_that_lets_go_ends_the_waiting_too(world: World) -> None:
    world.advance(PATIENCE - WAIT + 0.2)
    world.ask(HV3, VM, A)
    world.ask(HV1, VM, D)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}


def test_who_would_have_to_wait_too_long_is_refused_at_once(world: World) -> None:
    world.advance(PATIENCE - WAIT - 0.2)
    world.ask(HV3, VM, A)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES


def test_owner_whose_switch_is_away_is_lost_after_a_keep_alive_timeout(world: World) -> None:
    world.disconnect(S1)
    world.ask(HV3, VM, A)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.advance(max(PATIENCE - WAIT + 0.2, late_switches.PATIENCE))
    world.ask(HV3, VM, A)
    world.advance(WAIT)
    assert world.answer(HV3).success
    world.connect(S1)
    world.advance(0.001)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1) and gate_ports(world) == {HV3}


def test_owner_may_change_what_it_has_although_it_never_announced(world: World) -> None:
    world.ask(HV1, Vm(7, type=OPEN_2), A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


# --- two records of one VSI at one port ---
def test_refused_change_does_not_end_what_it_promises_to_keep(world: World) -> None:
    world.ask(HV1, Vm(7, type=(1, 9)), A)  # type: ignore[arg-type]
    assert (world.answer(HV1).keep, world.answer(HV1).hard) == (True, True)
    live(world, HV1, 5.0)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


@pytest.mark.parametrize("mode", [P, RR])
def test_refused_preassociate_of_another_type_does_not_touch_the_association(world: World, mode: VdpMode) -> None:
    before = world.snapshot()
    world.ask(HV1, Vm(7, type=(1, 9)), mode)  # type: ignore[arg-type]
    assert not world.answer(HV1).success and world.answer(HV1).keep
    assert world.snapshot() == before
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and world.snapshot() == before


def test_station_that_drops_the_refused_record_keeps_the_other(world: World) -> None:
    """As lldpad does: Keep makes it associated, the next refusal makes it de-associate."""
    before = world.snapshot()
    for mode in (A, A, D):
        world.ask(HV1, Vm(7, type=(1, 9)), mode)  # type: ignore[arg-type]
    assert told_to_leave(world, HV1) and world.answer(HV1).success
    assert world.snapshot() == before
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and world.snapshot() == before


def test_after_a_refused_change_the_station_is_told_of_what_was_in_force(world: World) -> None:
    world.ask(HV1, Vm(7, type=(1, 9)), A)  # type: ignore[arg-type]
    world.advance(PATIENCE + 0.1)
    told = world.sent[HV1][-1]
    assert told.MODE is D and (told.type_id, told.version) == VM.type


def test_granted_change_ends_the_old_record_at_its_next_keep_alive_also_after_a_restart(world: World) -> None:
    world.ask(HV1, Vm(7, type=OPEN_2), A)
    world.restart_controller()
    world.ask(HV1, Vm(7, type=OPEN_2), A)
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1)
    world.ask(HV1, Vm(7, type=OPEN_2), A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_another_manager_id_is_another_record_and_the_newest_counts(world: World) -> None:
    first, second = world.manager_id, type(world.manager_id)(b"mgr2" + bytes(12))
    world.manager_id = second
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success
    world.manager_id = first
    world.ask(HV1, VM, A)
    assert told_to_leave(world, HV1)
    world.manager_id = second
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_unsolicited_deassociates_name_the_status_of_a_request(world: World) -> None:
    world.ask(HV3, VM, RR)
    world.ask(HV3, VM, A)
    assert isinstance(world.sent[HV1][-1].status, RequestStatus)


def test_three_ports_in_turn_each_announced(world: World) -> None:
    for port in (HV2, HV3, HV4, HV1):
        world.ask(port, VM, P)
        world.ask(port, VM, A)
        assert world.answer(port).success and gate_ports(world) == {port}
