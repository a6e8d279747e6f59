"""Copies at both ends of a move: when they begin and end, who waits for whom, and that nothing comes twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.vsis import CopiesBegun
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.pipeline.copies import GUARD_SECONDS, SECONDS
from ryu_apps.evb.pipeline.punting import STRANGERS
from ryu_apps.evb.pipeline.tables import COPY_METER, CookieKind
from ryu_apps.evb.topology.fabric import Converge
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi import copies
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_fabric_paths import joined
from tests.worlds.bridge import Vm, World
from tests.worlds.copied import TRIANGLE, VM, at, copying, copying_switches, everywhere, guarded_switches, to_vm

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
#: The VM is at switch 1 and moves to 2; 3 is neither.
SOURCE, DESTINATION, THIRD = 1, 2, 3
#: Port numbers of Open vSwitch are below this.
OFPP_MAX = 0xFF00


def staged(gate: GateMode = GateMode.RULES) -> World:
    world = World(copying(3, TRIANGLE, gate), forward_in_flight=2)
    world.connect()
    world.ask(at(SOURCE), VM, ASSOCIATE)
    world.ask(at(DESTINATION), VM, RR)
    return world


@pytest.fixture
def world() -> World:
    return staged()


def moves(world: World) -> None:
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    assert world.answer(at(DESTINATION)).success


def left_over(world: World) -> dict[int, int]:
    found = {dpid: len(world.rules(dpid, CookieKind.DETOUR)) for dpid in world.fabric.switches}
    return {dpid: count for dpid, count in found.items() if count}


# --- begin ----------------------------------------------------------------------------------------
def test_a_staged_port_gets_copies_and_passes_nothing(world: World) -> None:
    assert copying_switches(world) == {THIRD} and guarded_switches(world) == {DESTINATION}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[SOURCE]] * 3
    assert all(len(found) <= 1 and DESTINATION not in found for found in everywhere(world))
    assert [event.switches for event in world.happened if isinstance(event, CopiesBegun)] == [1]


def test_the_destination_guards_itself_before_anybody_copies() -> None:
    world = World(copying(3, TRIANGLE))
    world.connect()
    world.ask(at(SOURCE), VM, ASSOCIATE)
    world.hold.add(DESTINATION)
    world.ask(at(DESTINATION), VM, RR)
    world._apply(world.held.pop(0))
    while world.held:
        assert copying_switches(world) == set()
        assert all(len(found) <= 1 for found in everywhere(world))
        world._apply(world.held.pop(0))
    assert copying_switches(world) == {THIRD}


def test_by_default_nobody_copies() -> None:
    world = World(joined(3, TRIANGLE))
    world.connect()
    world.ask(at(SOURCE), VM, ASSOCIATE)
    world.ask(at(DESTINATION), VM, RR)
    assert left_over(world) == {} and not world.rules(THIRD, CookieKind.DETOUR)
    assert COPY_METER not in world.tables[THIRD].meters


def test_the_suspension_of_the_vm_begins_it_anew(world: World) -> None:
    world.advance(SECONDS + GUARD_SECONDS)
    assert left_over(world) == {}
    world.ask(at(SOURCE), VM, ASSOCIATE, suspended=True)
    assert copying_switches(world) == {THIRD} and guarded_switches(world) == {DESTINATION}


def test_what_is_sent_in_copy_has_a_limit(world: World) -> None:
    moved = staged(GateMode.METER)
    for each in (world, moved):
        each.exceeded[THIRD] = {COPY_METER}
        # The end that delivers has no limit before it.
        assert to_vm(each, THIRD) == [SOURCE]
    moved.hold.add(THIRD)
    moves(moved)
    assert to_vm(moved, THIRD) == []


def test_so_many_at_most_are_copied_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST", 3)
    world = World(copying(3, TRIANGLE))
    world.connect()
    for number in range(1, 6):
        world.ask(at(SOURCE), Vm(number), ASSOCIATE)
        world.ask(at(DESTINATION), Vm(number), RR)
    assert len(world.rules(THIRD, CookieKind.DETOUR)) == 3


# --- the move -------------------------------------------------------------------------------------
def test_an_associate_waits_for_both_ends_and_not_for_the_third_switch(world: World) -> None:
    world.hold.add(THIRD)
    moves(world)
    # The third switch has not begun to carry out its part.
    assert copying_switches(world) == {THIRD} and guarded_switches(world) == {SOURCE}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[DESTINATION]] * 3
    world.release()
    assert copying_switches(world) == set()
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[DESTINATION]] * 3


@pytest.mark.parametrize("slow", [SOURCE, DESTINATION])
def test_it_is_not_answered_before_an_end_has_confirmed(world: World, slow: int) -> None:
    world.hold.add(slow)
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    before = len(world.sent[at(DESTINATION)])
    assert world.sent[at(DESTINATION)][-1].MODE is RR
    world.release()
    assert len(world.sent[at(DESTINATION)]) == before + 1 and world.answer(at(DESTINATION)).success


def test_without_confirmed_copies_it_waits_for_all() -> None:
    """The third switch has not confirmed that it copies."""
    world = World(copying(3, TRIANGLE))
    world.connect()
    world.ask(at(SOURCE), VM, ASSOCIATE)
    world.hold.add(THIRD)
    world.ask(at(DESTINATION), VM, RR)
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    assert world.sent[at(DESTINATION)][-1].MODE is RR
    world.release()
    assert world.answer(at(DESTINATION)).success and to_vm(world, THIRD) == [DESTINATION]


def test_it_waits_for_all_when_the_copies_may_end_meanwhile(world: World) -> None:
    world.advance(SECONDS - 1.0)
    world.hold.add(THIRD)
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    assert world.sent[at(DESTINATION)][-1].MODE is RR
    world.release()
    assert world.answer(at(DESTINATION)).success


def test_the_body_at_the_source_stays_until_the_third_switch_has_followed(world: World) -> None:
    world.hold.add(THIRD)
    moves(world)
    assert world.rules(SOURCE, CookieKind.VSI_BODY) or world.rules(SOURCE, CookieKind.TYPE_BODY)
    world.release()
    world.ask(at(SOURCE), VM, DEASSOCIATE)
    assert not world.rules(SOURCE, CookieKind.VSI_BODY)


def test_a_third_switch_that_refuses_to_follow_is_compared(world: World) -> None:
    world.refuse[THIRD, Mode.ATOMIC] = "no"
    moves(world)
    world.advance(1.0)
    assert to_vm(world, THIRD) == [DESTINATION] and copying_switches(world) == set()


# --- what is left ---------------------------------------------------------------------------------
def test_nothing_is_left_and_no_room_stays_reserved(world: World) -> None:
    moves(world)
    world.ask(at(SOURCE), VM, DEASSOCIATE)
    world.advance(GUARD_SECONDS + 5)
    assert left_over(world) == {}
    fresh = World(copying(3, TRIANGLE))
    fresh.connect()
    fresh.ask(at(DESTINATION), VM, ASSOCIATE)
    for dpid in world.fabric.switches:
        assert world.engine.ledger.used(dpid) == fresh.engine.ledger.used(dpid)


def test_an_abort_ends_it_first_where_copies_are_sent(world: World) -> None:
    world.hold.add(THIRD)
    world.ask(at(DESTINATION), VM, DEASSOCIATE)
    assert guarded_switches(world) == {DESTINATION}, "as long as a switch may copy"
    assert all(len(found) <= 1 for found in everywhere(world))
    world.release()
    assert left_over(world) == {}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[SOURCE]] * 3


def test_the_switches_end_it_without_a_controller(world: World) -> None:
    before = [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)]
    # Neither an answer nor a timer of the bridge.
    world.hold.update(world.fabric.switches)
    world.now += GUARD_SECONDS
    world._end_rules()
    assert left_over(world) == {}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == before


def test_a_new_controller_takes_away_what_it_finds(world: World) -> None:
    world.restart_controller()
    assert left_over(world) == {}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[SOURCE]] * 3


def test_an_expired_reservation_ends_it(world: World) -> None:
    world.ask(at(SOURCE), VM, DEASSOCIATE)
    assert copying_switches(world) == set()


def test_a_refused_associate_leaves_the_vm_where_it_was(world: World) -> None:
    world.refuse[DESTINATION, Mode.ATOMIC] = "no"
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    assert not world.answer(at(DESTINATION)).success
    world.advance(1.0)
    assert left_over(world) == {}
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[SOURCE]] * 3


def test_an_associate_at_a_third_switch_ends_it_before_the_gate_moves(world: World) -> None:
    world.ask(at(THIRD), VM, RR)
    world.hold.update(world.fabric.switches)
    world.ask(at(THIRD), VM, ASSOCIATE)
    while world.held:
        world._apply(world.held.pop(0))
        assert all(len(found) <= 1 for found in everywhere(world))
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[THIRD]] * 3


def test_a_vm_that_comes_back_at_once_is_delivered_to(world: World) -> None:
    moves(world)
    world.ask(at(SOURCE), VM, RR)
    world.ask(at(SOURCE), VM, ASSOCIATE)
    assert world.answer(at(SOURCE)).success
    assert guarded_switches(world) == set()
    assert [to_vm(world, source) for source in (SOURCE, DESTINATION, THIRD)] == [[SOURCE]] * 3


def test_a_link_that_fails_ends_it(world: World) -> None:
    world.link(PortId(THIRD, 3), up=False)
    assert copying_switches(world) == set() and guarded_switches(world) == set()
    assert to_vm(world, THIRD) == [SOURCE]


def test_a_switch_that_returns_without_its_rules_is_waited_for(world: World) -> None:
    world.restart_switch(THIRD)
    assert copying_switches(world) == set()
    world.hold.add(THIRD)
    world.ask(at(DESTINATION), VM, ASSOCIATE)
    assert world.sent[at(DESTINATION)][-1].MODE is RR
    world.release()
    assert world.answer(at(DESTINATION)).success


# --- with meters ----------------------------------------------------------------------------------
def test_an_open_meter_alone_delivers_copies_and_a_body_that_is_gone_lets_none_through() -> None:
    world = staged(GateMode.METER)
    assert all(DESTINATION not in found for found in everywhere(world))
    table = world.tables[DESTINATION]
    number = max(meter for meter in table.meters if 0x30000000 < meter < 0x40000000)
    shut = table.meters[number]
    table.meters[number] = replace(shut, rate=10**8, burst=10**8)
    assert to_vm(world, THIRD) == [SOURCE, DESTINATION], "the meter alone decides"
    table.meters[number] = shut
    table.rules = {key: rule for key, rule in table.rules.items() if _kind(rule.cookie) != CookieKind.VSI_BODY}
    assert all(DESTINATION not in found for found in everywhere(world))


def test_the_limit_belongs_to_fabrics_that_copy() -> None:
    fabric = copying(3, TRIANGLE)
    assert fabric.converge is Converge.COPY
    world = World(fabric)
    world.connect()
    assert COPY_METER in world.tables[THIRD].meters


def test_no_port_shares_a_meter_with_the_copies() -> None:
    """With the number of another meter in a switch, its comparison would write both by turns, and never end."""
    world = World(copying(3, TRIANGLE))
    for dpid in world.fabric.switches:
        numbers = [meter.meter_id for meter in world.engine.wanted(dpid).meters]
        assert len(numbers) == len(set(numbers))
    ports = {strangers + number for strangers in STRANGERS for number in range(OFPP_MAX)}
    assert COPY_METER not in ports and COPY_METER > OFPP_MAX


def _kind(cookie: int) -> int:
    return cookie >> 44 & 0xF
