"""Two stations that fight over a VSI: the port that has it keeps it for a while, and an alarm says so."""

from __future__ import annotations

import pytest

from ryu_apps.evb.vsi.flapping import HELD, MOVES, WITHIN
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, Vm
from tests.worlds.rest import RestWorld

VM = Vm(7)
#: Seconds between two moves, in which the station that has lost the VSI acknowledges that.
QUICKLY = 0.5


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def fight(world: RestWorld, moves: int, pause: float) -> None:
    """Each of two stations takes the VSI in turn, announced by the M bit, so many times."""
    for number in range(moves):
        port = HV1 if number % 2 else HV3
        world.ask(port, VM, VdpMode.ASSOCIATE, migrating=True)
        assert world.answer(port).success
        assert gate_ports(world) == {port}
        world.advance(pause)


def told(world: RestWorld) -> list[str]:
    return [event.kind for event in world.happened if event.kind == "vsi.flapping"]


def alarms(world: RestWorld) -> list[object]:
    return [alarm["kind"] for alarm in world.get("/evb/status")["alarms"]]  # type: ignore[index, call-overload]


def test_a_vsi_over_which_stations_fight_stays_where_it_is(world: RestWorld) -> None:
    assert MOVES % 2 == 0
    fight(world, MOVES, QUICKLY)
    assert told(world) == ["vsi.flapping"]
    before = world.snapshot()
    for _ in range(3):
        world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
        assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    assert gate_ports(world) == {HV1} and world.snapshot() == before
    assert told(world) == ["vsi.flapping"]


def test_it_may_move_again_after_a_while(world: RestWorld) -> None:
    fight(world, MOVES, QUICKLY)
    for _ in range(int(HELD)):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    fight(world, 1, QUICKLY)


def test_what_moves_as_often_but_more_slowly_is_not_damped(world: RestWorld) -> None:
    fight(world, 2 * MOVES, 1.1 * WITHIN / (MOVES - 1))
    assert told(world) == []


def test_a_vm_that_is_stopped_and_started_elsewhere_is_not_damped(world: RestWorld) -> None:
    for here, there in ((HV1, HV3), (HV3, HV1)) * MOVES:
        world.ask(here, VM, VdpMode.DEASSOCIATE)
        world.ask(there, VM, VdpMode.ASSOCIATE)
        assert gate_ports(world) == {there}
    fight(world, 1, 0.0)
    assert told(world) == []


def test_a_source_that_lets_go_first_is_not_damped(world: RestWorld) -> None:
    for here, there in ((HV1, HV3), (HV3, HV1)) * MOVES:
        for port, mode in ((there, VdpMode.PREASSOCIATE_RR), (here, VdpMode.DEASSOCIATE), (there, VdpMode.ASSOCIATE)):
            world.ask(port, VM, mode)
            assert world.answer(port).success
    assert told(world) == []


def test_migrations_after_each_of_which_the_vm_starts_where_it_began_count_once(world: RestWorld) -> None:
    for _ in range(MOVES - 1):
        fight(world, 1, 0.0)
        world.ask(HV3, VM, VdpMode.DEASSOCIATE)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
        assert gate_ports(world) == {HV1}
    assert told(world) == []


def test_a_thief_that_lets_go_each_time_is_damped(world: RestWorld) -> None:
    for _ in range(MOVES):
        fight(world, 1, 0.0)
        world.ask(HV3, VM, VdpMode.DEASSOCIATE)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert told(world) == ["vsi.flapping"]
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert gate_ports(world) == {HV1}


def test_a_reservation_is_granted_meanwhile(world: RestWorld) -> None:
    fight(world, MOVES, QUICKLY)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).success


def test_the_fight_is_an_alarm_until_it_is_over(world: RestWorld) -> None:
    fight(world, MOVES, QUICKLY)
    assert alarms(world) == ["vsi.flapping"]
    for _ in range(61):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert alarms(world) == []
