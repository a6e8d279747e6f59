"""Time in which the bridge itself was stopped or busy is held against no station."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.other import Missed, TimerExpired
from ryu_apps.evb.events.switch import FramesDropped
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.switches.adjacency import HOLD
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.pipeline.test_forwarding import relay_on
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, S1, Vm, World, world_with_vms

VM, OTHER = Vm(7), Vm(8)
#: toutKA and the resource wait delay at the timers of the tests.
PATIENCE, DELAY = (getattr(Operational(3, 10, 17, 17), name) for name in ("keep_alive_timeout", "resource_wait_delay"))


@pytest.fixture
def world() -> World:
    return world_with_vms({HV1: VM, HV3: OTHER})


def stop(world: World, seconds: float) -> None:
    """The process does not run for so long; then it learns of it."""
    world.now += seconds
    world.feed(Missed(seconds))


def test_vsis_outlast_a_stop_longer_than_their_time(world: World) -> None:
    stop(world, 10.0)
    world.advance(0.0)
    assert gate_ports(world) == {HV1, HV3}


def test_the_time_left_before_the_stop_is_left_after_it_and_no_more(world: World) -> None:
    world.advance(PATIENCE - 0.5)
    stop(world, 4.0)
    world.advance(0.4)
    assert gate_ports(world) == {HV1, HV3}
    world.advance(0.2)
    assert gate_ports(world) == set()


def test_a_decision_has_its_time_without_the_stop(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV1, Vm(9), VdpMode.ASSOCIATE)
    stop(world, 10.0)
    world.advance(DELAY - 0.1)
    world.hold.clear()
    world.release()
    assert world.answer(HV1).success


def test_a_station_does_not_age_out_by_the_stop(world: World) -> None:
    relay_on(world, HV1)
    stop(world, 1000.0)
    world.advance(1.0)
    assert world.engine.stations[HV1].station is not None


def test_what_trunks_have_heard_holds(world: World) -> None:
    heard = world.engine.neighbours.heard
    world.advance(6.0)
    before = set(heard)
    assert before
    stop(world, 2.0 * HOLD)
    world.advance(0.0)
    assert set(heard) == before


def test_what_nobody_has_claimed_yet_waits_longer(world: World) -> None:
    world.restart_controller(remembering=False)
    stop(world, 60.0)
    world.advance(1.0)
    assert gate_ports(world) == {HV1, HV3}


def test_a_port_whose_frames_were_dropped_is_not_taken_for_silent(world: World) -> None:
    world.advance(PATIENCE - 0.1)
    world.feed(FramesDropped(HV1, 40))
    world.advance(0.2)
    assert gate_ports(world) == {HV1}
    assert world.engine.stations[HV1].counters["over_budget"] == 40


def answers(world: World, port: PortId) -> list[VdpMode]:
    return [tlv.MODE for tlv in world.sent[port]]


def test_keep_alives_that_may_have_been_dropped_are_answered(world: World) -> None:
    world.advance(0.01)
    before = answers(world, HV1), answers(world, HV3)
    world.feed(FramesDropped(HV1, 40))
    assert (answers(world, HV1), answers(world, HV3)) == ([*before[0], VdpMode.ASSOCIATE], before[1])


@pytest.mark.parametrize(("seconds", "answered"), [(4.9, 0), (5.0, 1)])
def test_keep_alives_that_a_switch_may_have_dropped_meanwhile_are_answered(
    world: World, seconds: float, answered: int
) -> None:
    world.advance(0.01)
    before = answers(world, HV1)
    stop(world, seconds)
    assert answers(world, HV1) == [*before, *[VdpMode.ASSOCIATE] * answered]


def test_a_vsi_does_not_expire_while_frames_of_its_port_wait_for_their_turn(world: World) -> None:
    world.now += PATIENCE + 0.1
    world.feed(TimerExpired(frozenset({HV1})))
    assert gate_ports(world) == {HV1}
    world.advance(PATIENCE + 0.1)
    assert gate_ports(world) == set()


def missed(world: World) -> list[object]:
    return [event.detail["seconds"] for event in world.happened if event.kind == "bridge.missed"]


def test_nothing_is_missed_before_a_switch_is_ready() -> None:
    world = World()
    stop(world, 3.0)
    assert missed(world) == []
    world.connect()
    stop(world, 3.0)
    assert missed(world) == [3.0]


def test_a_start_that_keeps_the_bridge_busy_has_missed_nothing() -> None:
    world = World()
    world.connect()
    world.feed(Missed(3.0))
    assert missed(world) == []


def test_frames_dropped_at_a_port_without_a_station_are_told_all_the_same(world: World) -> None:
    world.feed(FramesDropped(PortId(S1, 11), 3))
    assert [event.detail["frames"] for event in world.happened if event.kind == "port.over_budget"] == [3]
