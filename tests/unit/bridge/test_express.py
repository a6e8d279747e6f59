"""Changes that are sent ahead of an Associate, and Associates that look certain and are not: nothing is sent ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Apply
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.vsi.reservation import RULES
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV3, S1, S2, Vm, World, two_switches
from tests.worlds.copied import TRIANGLE, VM, at, copying
from tests.worlds.counting import PLAIN
from tests.worlds.vswitch import STATION1, STATION2
from tests.worlds.vswitches import VswitchWorld, vswitch_fabric

#: VSIs outlive a detour without a keep-alive.
PATIENT = Timers(rka=24)
#: Long enough that a flip is prepared.
IDLE = 0.05


def staged(world: World, port: PortId, vm: Vm) -> None:
    """Stage a VM, and wait until its flip is prepared."""
    world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
    assert world.answer(port).success
    world.advance(IDLE)


def owner_of(world: World, vm: Vm) -> PortId | None:
    vsi = world.engine.registry.named(vm.text)
    return None if vsi is None or vsi.owner is None else vsi.owner.port


def test_a_vswitch_that_has_become_smaller_refuses_what_was_staged_before() -> None:
    world = VswitchWorld()
    world.connect()
    vms = {STATION1: Vm(1, PLAIN), STATION2: Vm(2, PLAIN)}
    for port, vm in vms.items():
        world.plug_in(vm, PortId(port.dpid, 5))
        staged(world, port, vm)
    world.fabric = vswitch_fabric(max_vsis=1)
    world.restart_controller()
    # A keep-alive of what is in force is not decided about; it says what the station repeats.
    staged(world, STATION2, vms[STATION2])
    world.ask(STATION2, vms[STATION2], VdpMode.ASSOCIATE)
    assert not world.answer(STATION2).success
    assert world.foreseen == 0 and owner_of(world, vms[STATION2]) is None


@pytest.mark.parametrize("limits", [StationLimits(vsis=("mac:*",)), StationLimits(types=("9/*",)), StationLimits()])
def test_a_port_that_has_been_limited_refuses_what_was_staged_before(limits: StationLimits) -> None:
    world, vm = World(), Vm(1)
    world.connect()
    staged(world, HV1, vm)
    world.fabric = two_switches()
    interfaces = world.fabric.switches[HV1.dpid].interfaces
    interfaces[HV1.port_no] = replace(interfaces[HV1.port_no], limits=limits)
    world.restart_controller()
    # A keep-alive of what is in force is not decided about; it says what the station repeats.
    staged(world, HV1, vm)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    admitted = limits == StationLimits()
    assert world.answer(HV1).success is admitted
    assert world.foreseen == admitted and (owner_of(world, vm) is not None) is admitted


def first_effects(world: World, port: PortId, vm: Vm) -> list[tuple[type[object], int]]:
    """Return the first effects of an Associate: their kinds, and their switches."""
    found: list[tuple[type[object], int]] = []

    def observe(event: object, effects: Sequence[object]) -> None:
        if isinstance(event, FrameReceived) and not found:
            found.extend((type(effect), getattr(effect, "dpid", 0)) for effect in effects)

    world.observers.append(observe)
    world.ask(port, vm, VdpMode.ASSOCIATE)
    world.observers.remove(observe)
    assert world.answer(port).success and owner_of(world, vm) == port
    return found


@pytest.mark.parametrize("seconds", [0, 2])
def test_gates_of_both_switches_of_a_move_are_sent_before_any_step(seconds: int) -> None:
    """Between the two changes a leader that dies leaves both gates open."""
    world, vm = World(forward_in_flight=seconds), Vm(1)
    world.connect()
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    staged(world, HV3, vm)
    assert first_effects(world, HV3, vm)[:2] == [(Apply, S2), (Apply, S1)]
    assert bool(world.rules(S1, CookieKind.DETOUR)) == bool(seconds)
    # While there is a detour, the next one depends on it: nothing is sent ahead.
    staged(world, HV1, vm)
    assert (first_effects(world, HV1, vm)[0] == (Apply, S1)) is not bool(seconds)


def test_flip_that_was_prepared_while_there_was_a_detour_is_sent_ahead_when_it_has_ended() -> None:
    world, vm = World(two_switches(PATIENT), forward_in_flight=2), Vm(1)
    world.connect()
    for port in (HV1, HV3):
        staged(world, port, vm)
        world.ask(port, vm, VdpMode.ASSOCIATE)
    staged(world, HV1, vm)
    world.advance(5.0)
    assert first_effects(world, HV1, vm)[:2] == [(Apply, S1), (Apply, S2)]


def test_gates_of_both_switches_of_a_copied_move_are_sent_before_any_step() -> None:
    world = World(copying(3, TRIANGLE), forward_in_flight=2)
    world.connect()
    world.ask(at(1), VM, VdpMode.ASSOCIATE)
    staged(world, at(2), VM)
    assert {(Apply, 1), (Apply, 2)} <= set(first_effects(world, at(2), VM)[:3])


@pytest.mark.parametrize("more", [0, 1])
def test_switch_that_a_vsi_leaves_is_sent_its_gate_ahead_if_it_has_no_room_for_a_detour(more: int) -> None:
    vm = Vm(1)
    measured = World(forward_in_flight=2)
    measured.connect()
    measured.ask(HV1, vm, VdpMode.ASSOCIATE)
    measured.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    room = measured.engine.wanted.budgeted(S1)[RULES] + measured.engine.ledger.used(S1)
    world = World(two_switches(max_rules=room + more), forward_in_flight=2)
    world.connect()
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    staged(world, HV3, vm)
    assert first_effects(world, HV3, vm)[:2] == [(Apply, S2), (Apply, S1)]
    assert bool(world.rules(S1, CookieKind.DETOUR)) == bool(more)
