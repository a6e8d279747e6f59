"""Marks and records whose writing is repeated, and marks older than the records, beside a later move."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Mode, Save
from ryu_apps.evb.events.other import HandOver
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.unit.vsi.test_records_beside_switches import ASSOCIATE, LATER, STAGE, VM, answers, marks, owners
from tests.worlds.bridge import HV1, HV3, HV4, OPEN_2, S1, S2, Vm, World, two_switches

#: Timers behind which no request is overdue when the store is tried again.
PATIENT = Timers(rwd=20, rka=20)
#: Seconds after which the store is tried again.
AGAIN = 5.5


@pytest.fixture
def world() -> World:
    """A VM at hv1, staged at hv3, with stations that wait for long."""
    world = World(fabric=two_switches(PATIENT))
    world.connect()
    world.ask(HV1, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.advance(LATER)
    return world


def answer_first(world: World, failure: str | None) -> Save:
    """Let the store end the oldest writing."""
    save = world._unsaved.pop(0)
    world.store_failure = failure
    world.feed(world._write(save))
    world.store_failure = None
    return save


def test_deletion_that_is_repeated_leaves_the_mark_of_a_later_move(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV1, VM, STAGE)
    world.ask(HV1, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.store_delays = True
    world.advance(LATER)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    deletion = answer_first(world, "disk full")
    assert set(deletion.changes.values()) == {None} and len(world._unsaved) == 1
    world.store_answers()
    assert marks(world).keys() == {str(HV1), str(HV3)}
    world.advance(AGAIN)
    assert marks(world) == {str(HV3): [str(HV1)]}
    world.release()
    world.advance(LATER)
    assert world.answer(HV3).success and marks(world) == {}


def test_taking_back_that_is_repeated_leaves_the_record_of_a_later_move(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.store_delays = True
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world._apply(world.held.pop(0))
    world.ask(HV3, Vm(7, type=OPEN_2), ASSOCIATE, migrating=True)
    while len(world._unsaved) < 2:
        world._apply(world.held.pop(0))
    answer_first(world, "disk full")
    world.store_answers()
    assert owners(world) == {str(HV3)} and marks(world) == {str(HV3): [str(HV1)]}
    world.advance(AGAIN)
    assert owners(world) == {str(HV3)} and marks(world) == {str(HV3): [str(HV1)]}
    world.release()
    world.advance(LATER)
    assert world.answer(HV3).success and owners(world) == {str(HV3)} and marks(world) == {}
    world.advance(AGAIN)
    world.restart_controller()
    assert gate_ports(world) == {HV3} and owners(world) == {str(HV3)}


def test_former_port_that_is_staged_anew_is_not_ended_by_an_old_mark(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    old = {key: data for key, data in world.store.items() if key.startswith("opening/")}
    world.advance(LATER)
    world.ask(HV1, VM, STAGE)
    # The store has failed to delete it until the bridge ended.
    world.store.update(old)
    before = answers(world, HV1)
    world.restart_controller()
    world.advance(LATER)
    assert all(tlv.MODE is not VdpMode.DEASSOCIATE for tlv in world.sent[HV1][before:])
    assert gate_ports(world) == {HV3} and marks(world) == {}
    world.ask(HV1, VM, ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_gate_that_came_back_to_a_port_is_not_opened_beside_the_first_one(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV4, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.ask(HV3, VM, ASSOCIATE)
    assert marks(world)[str(HV3)] == [str(HV1), str(HV3), str(HV4)]
    world.hold.clear()
    world.restart_controller(True, S2)
    assert gate_ports(world) == {HV1}
    world.connect(S1)
    world.advance(LATER)
    assert gate_ports(world) == {HV3} and world.answer(HV3).success and marks(world) == {}


def test_vsi_that_is_handed_over_while_its_switch_is_compared_leaves_no_record(world: World) -> None:
    world.hold.add(S1)
    world.restart_controller(True, S1)
    world.feed(HandOver(VM.text, "b"))
    world.release()
    assert f"vsi/{VM.text}@{HV1}" not in world.store


def test_grant_that_is_written_too_late_does_not_replace_what_is_in_force(world: World) -> None:
    world.store_delays = True
    world.ask(HV1, Vm(7, type=OPEN_2), VdpMode.PREASSOCIATE)
    world.advance(11.0)
    assert world.answer(HV1).keep
    world.store_answers()
    assert owners(world) == {str(HV1)}
    world.restart_controller()
    assert gate_ports(world) == {HV1}


def test_mark_goes_ahead_of_the_gate_that_is_shut(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.release()
    assert marks(world).keys() == {str(HV3)}
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    assert owners(world) == {str(HV3)} and marks(world) == {}


def test_move_that_is_made_again_leaves_what_was_announced_behind_it(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV1, VM, STAGE)
    world.store_delays = True
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    # The switch has shut the gate, and nothing more got into the store.
    world._unsaved.clear()
    world.store_delays = False
    world.restart_controller()
    assert gate_ports(world) == {HV3} and owners(world) == {str(HV3)}
    world.ask(HV1, VM, ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}


def test_vsi_that_goes_to_a_port_while_it_is_withdrawn_from_another_has_one_owner(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.ask(HV3, VM, ASSOCIATE)
    assert owners(world) == {str(HV3)}
    world.restart_controller()
    world.release()
    world.advance(LATER)
    assert gate_ports(world) == {HV3} and owners(world) == {str(HV3)}
    assert world.answer(HV3).success
