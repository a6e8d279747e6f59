"""The records of a move are written while the switches carry it out: what is answered when, and what is taken back."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Apply, Effect, Mode, Save, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import HandOver
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.model import Phase, VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.vsi.records.opening import decode, encode
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, HV4, OPEN_2, S1, S2, Vm, World

ASSOCIATE, STAGE, DEASSOCIATE = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.DEASSOCIATE
VM = Vm(7)
#: Seconds after which a mark is gone.
LATER = 0.5
UNKNOWN = VsiTypeKey(9, 9)


@pytest.fixture
def world() -> World:
    """A VM at hv1, staged at hv3."""
    world = World()
    world.connect()
    world.ask(HV1, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.advance(LATER)
    return world


def owners(world: World) -> set[str]:
    """Ports of which a record says that the gate is open."""
    records = (AttachmentRecord.decode(data) for key, data in world.store.items() if key.startswith("vsi/"))
    return {str(record.port) for record in records if record.owner}


def marks(world: World) -> dict[str, list[str]]:
    """Ports whose gates are being opened, and those from which they are taken."""
    found = {key: decode(data) for key, data in world.store.items() if key.startswith("opening/")}
    return {key.rpartition("@")[2]: list(map(str, former)) for key, former in found.items()}


def answers(world: World, port: PortId = HV3) -> int:
    return len(world.sent.get(port, []))


# --- the later of the two ---
@pytest.mark.parametrize("slow", [S1, S2])
def test_records_are_written_while_a_switch_works_and_the_answer_waits_for_it(world: World, slow: int) -> None:
    before = answers(world)
    world.hold.add(slow)
    world.ask(HV3, VM, ASSOCIATE)
    assert owners(world) == {str(HV3)} and marks(world) == {str(HV3): [str(HV1)]}
    assert answers(world) == before
    world.release()
    assert world.answer(HV3).success and answers(world) == before + 1


def test_switches_work_while_the_store_writes_and_the_answer_waits_for_it(world: World) -> None:
    before = answers(world)
    world.store_delays = True
    world.ask(HV3, VM, ASSOCIATE)
    assert gate_ports(world) == {HV3} and owners(world) == {str(HV1)}
    assert answers(world) == before
    world.store_answers()
    assert world.answer(HV3).success and answers(world) == before + 1


@pytest.mark.parametrize("express", [True, False])
def test_octets_of_the_gate_go_before_the_writing_and_both_before_any_answer(world: World, express: bool) -> None:
    world.express = express
    seen: list[Effect] = []

    def observe(event: Event, effects: list[Effect]) -> None:
        if isinstance(event, FrameReceived):
            seen.extend(effects)

    world.observers.append(observe)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    kinds = [type(effect) for effect in seen if isinstance(effect, Apply | Save)]
    assert kinds == [Apply, Apply, Save]
    frames = [effect for effect in seen if isinstance(effect, SendFrame)]
    assert len(frames) == 1, "the acknowledgement alone"


def test_mark_goes_behind_the_answer_with_those_of_other_vsis(world: World) -> None:
    saved: list[Save] = []
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV2, Vm(8), ASSOCIATE)
    assert marks(world).keys() == {str(HV3), str(HV2)}
    world.observers.append(lambda event, effects: saved.extend(e for e in effects if isinstance(e, Save)))
    world.advance(LATER)
    assert marks(world) == {}
    assert [sorted(save.changes.values(), key=str) for save in saved] == [[None, None]]
    world.advance(LATER)
    assert len(saved) == 1


def test_mark_that_the_store_does_not_delete_is_deleted_later(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.store_failure = "disk full"
    world.advance(LATER)
    assert marks(world)
    world.store_failure = None
    for _ in range(6):
        world.advance(1.0)
        world.ask(HV3, VM, ASSOCIATE)
    assert marks(world) == {}


def test_mark_of_a_gate_that_opens_again_does_not_go_with_the_last_one(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV4, VM, STAGE)
    world.ask(HV4, VM, ASSOCIATE)
    world.ask(HV3, VM, STAGE)
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.advance(LATER)
    assert marks(world) == {str(HV3): [str(HV4)]}


def test_mark_of_a_port_whose_program_changes_does_not_go_with_the_last_one(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    world.hold.add(S1)
    world.ask(HV3, Vm(7, type=OPEN_2), ASSOCIATE)
    world.advance(LATER)
    assert marks(world) == {str(HV3): [str(HV3)]}


# --- what is not carried out ---
@pytest.mark.parametrize("refusing", [S1, S2])
def test_refused_move_is_taken_back_in_the_store_before_the_station_is_refused(world: World, refusing: int) -> None:
    before, sent = dict(world.store), answers(world)
    world.refuse[refusing, Mode.ATOMIC] = "table full"
    saved: list[Save] = []

    def observe(event: Event, effects: list[Effect]) -> None:
        saved.extend(effect for effect in effects if isinstance(effect, Save))
        if len(saved) == 2:
            # The second one is not in the store yet.
            world.store_delays = True

    world.observers.append(observe)
    world.ask(HV3, VM, ASSOCIATE)
    assert len(saved) == 2 and answers(world) == sent
    world.observers.remove(observe)
    world.store_answers()
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert owners(world) == {str(HV1)} and marks(world) == {} and gate_ports(world) == {HV1}
    at_source = next(key for key in before if key.endswith(str(HV1)))
    assert world.store[at_source] == before[at_source]


def test_move_that_the_store_does_not_write_is_refused_and_leaves_the_records(world: World) -> None:
    before = {key: data for key, data in world.store.items() if key.endswith(str(HV1))}
    world.store_failure = "disk full"
    written: list[int] = []
    world.observers.append(
        lambda event, effects: written.extend(
            sum(value is not None for value in effect.changes.values())
            for effect in effects
            if isinstance(effect, Save)
        )
    )
    world.ask(HV3, VM, ASSOCIATE)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == {HV1}
    # The move, and then deletions alone: nothing is to be written again.
    assert written[0] and not any(written[1:])
    assert before.items() <= world.store.items() and marks(world) == {}


def test_what_could_not_be_taken_back_is_taken_back_later(world: World) -> None:
    world.hold.add(S1)
    world.ask(HV3, VM, ASSOCIATE)
    world.store_failure = "disk full"
    world.refuse[S1, Mode.ATOMIC] = "table full"
    world.release()
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert owners(world) == {str(HV3)}
    world.store_failure = None
    for _ in range(6):
        world.advance(1.0)
        world.ask(HV1, VM, ASSOCIATE)
    assert owners(world) == {str(HV1)} and marks(world) == {}
    world.restart_controller()
    assert gate_ports(world) == {HV1}


def test_de_associate_while_the_gate_opens_gives_the_record_back(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV3, VM, DEASSOCIATE)
    world.hold.clear()
    world.restart_controller()
    assert gate_ports(world) == {HV1} and owners(world) == {str(HV1)} and marks(world) == {}
    assert not any(key.endswith(str(HV3)) for key in world.store)


def test_refused_change_at_the_same_port_leaves_the_record_of_what_is_in_force(world: World) -> None:
    before = {key: data for key, data in world.store.items() if key.endswith(str(HV1))}
    world.refuse[S1, Mode.ATOMIC] = "table full"
    world.ask(HV1, Vm(7, type=OPEN_2), ASSOCIATE)
    assert world.answer(HV1).keep
    assert {key: data for key, data in world.store.items() if key.endswith(str(HV1))} == before
    world.restart_controller()
    world.applied.clear()
    world.ask(HV1, VM, ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == {HV1} and world.applied == []


def test_newer_associate_that_overtakes_has_the_last_record(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV4, VM, ASSOCIATE)
    assert owners(world) == {str(HV4)}
    world.release()
    world.advance(LATER)
    assert world.answer(HV4).success and gate_ports(world) == {HV4}
    assert owners(world) == {str(HV4)} and marks(world) == {}


def test_newer_associate_that_overtakes_and_is_refused_gives_back_all(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV4, VM, ASSOCIATE)
    world.hold.discard(S2)
    taken, world.held = [held for held in world.held if held.dpid == S2], [h for h in world.held if h.dpid != S2]
    world._apply(taken[0])
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world._apply(taken[1])
    world.release()
    assert world.answer(HV4).error is VdpError.INSUFFICIENT_RESOURCES
    assert gate_ports(world) == {HV1} and owners(world) == {str(HV1)} and marks(world) == {}


def test_owner_that_has_gone_back_to_pre_associate_does_not_get_the_gate_back(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.ask(HV1, VM, STAGE)
    assert world.answer(HV1).success
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.release()
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert gate_ports(world) == set() and owners(world) == set()
    # What was granted meanwhile stays in the store.
    assert AttachmentRecord.decode(world.store[f"vsi/{VM.text}@{HV1}"]).mode is STAGE


def test_newer_associate_that_is_not_recorded_gives_back_what_the_older_one_has_written(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    world.store_failure = "disk full"
    world.ask(HV4, VM, ASSOCIATE)
    world.release()
    assert world.answer(HV4).error is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == {HV1}
    world.store_failure = None
    for _ in range(6):
        world.advance(1.0)
        world.ask(HV1, VM, ASSOCIATE)
    assert owners(world) == {str(HV1)} and marks(world) == {}


@pytest.mark.parametrize("restarts", [False, True])
def test_vsi_that_is_handed_over_while_it_moves_is_open_at_neither_port(world: World, restarts: bool) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    world.feed(HandOver(VM.text, "b"))
    if restarts:
        world.hold.clear()
        world.restart_controller()
    else:
        world.release()
    assert gate_ports(world) == set() and owners(world) == set()


def test_refused_move_leaves_the_announcements_of_others(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.ask(HV3, VM, ASSOCIATE)
    assert not world.answer(HV3).success
    world.restart_controller()
    world.ask(HV4, VM, ASSOCIATE)
    assert world.answer(HV4).success


def test_move_voids_the_announcements_of_others_also_after_a_restart(world: World) -> None:
    world.ask(HV4, VM, STAGE)
    world.ask(HV3, VM, ASSOCIATE)
    world.restart_controller()
    world.ask(HV4, VM, ASSOCIATE)
    assert not world.answer(HV4).success and gate_ports(world) == {HV3}


def test_overdue_associate_is_taken_back_ahead_of_its_refusal(world: World) -> None:
    effects: list[Effect] = []
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    sent = answers(world)
    world.observers.append(lambda event, caused: effects.extend(caused))
    while answers(world) == sent:
        effects.clear()
        world.advance(0.01)
        world.ask(HV1, VM, ASSOCIATE)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert owners(world) == {str(HV1)} and marks(world) == {}
    saves = [number for number, effect in enumerate(effects) if isinstance(effect, Save)]
    refusals = [n for n, effect in enumerate(effects) if isinstance(effect, SendFrame) and effect.port == HV3]
    assert saves and refusals and saves[0] < refusals[0]


def test_refusal_for_want_of_time_waits_for_the_store(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    sent = answers(world)
    world.store_delays = True
    overdue(world)
    assert gate_ports(world) == {HV1} and answers(world) == sent
    world.store_answers()
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and answers(world) == sent + 1
    assert owners(world) == {str(HV1)} and marks(world) == {}


def test_refusal_for_want_of_time_does_not_wait_long_for_a_store_that_does_not_answer(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    sent = answers(world)
    world.store_delays = True
    overdue(world)
    world.advance(0.9)
    assert answers(world) == sent
    world.advance(0.2)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES and answers(world) == sent + 1
    world.store_answers()
    assert answers(world) == sent + 1 and owners(world) == {str(HV1)}


@pytest.mark.parametrize("mode", [ASSOCIATE, STAGE])
def test_refusal_of_a_request_that_calls_a_move_off_waits_for_the_store(world: World, mode: VdpMode) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    sent = answers(world)
    world.store_delays = True
    world.ask(HV3, Vm(7, type=UNKNOWN), mode)
    assert gate_ports(world) == {HV1} and answers(world) == sent
    world.store_answers()
    assert not world.answer(HV3).success and answers(world) == sent + 1
    assert owners(world) == {str(HV1)} and marks(world) == {}


@pytest.mark.parametrize("mode", [DEASSOCIATE, STAGE])
def test_answer_to_what_calls_a_move_off_waits_for_the_store(world: World, mode: VdpMode) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, ASSOCIATE)
    sent = answers(world)
    world.store_delays = True
    world.ask(HV3, VM, mode)
    world.release()
    assert answers(world) == sent
    world.store_answers()
    assert world.answer(HV3).success and answers(world) == sent + 1
    assert owners(world) == {str(HV1)} and marks(world) == {}


def test_de_associate_of_a_second_vsi_of_the_same_id_waits_for_the_store(world: World) -> None:
    second = Vm(7, type=OPEN_2)
    world.hold.add(S1)
    world.ask(HV1, second, ASSOCIATE)
    bodies, world.held = world.held, []
    for body in bodies:
        world._apply(body)
    assert marks(world) == {str(HV1): [str(HV1)]}
    sent = answers(world, HV1)
    world.store_delays = True
    for _ in range(2):
        world.ask(HV1, second, DEASSOCIATE)
        assert answers(world, HV1) == sent
    world.store_answers()
    world.advance(1.0)
    refusal, confirmation = world.sent[HV1][sent:]
    assert refusal.MODE is ASSOCIATE and refusal.status.keep
    assert confirmation.MODE is DEASSOCIATE and confirmation.status.success
    world.release()
    world.restart_controller()
    assert gate_ports(world) == {HV1} and marks(world) == {}


def overdue(world: World) -> None:
    """Let the resource wait delay of hv3's request pass; hv1's VSI stays alive."""
    vsi = world.engine.registry.vsi(VM.vsi_id)
    assert vsi is not None
    deadline = vsi.attachments[HV3].machine.deadline
    assert deadline is not None
    while world.now <= deadline:
        world.ask(HV1, VM, ASSOCIATE)
        world.advance(0.01)


# --- what the next life finds ---
def interrupted(world: World, *, carried_out: bool) -> int:
    """Let the controller die when the store has a move and the switches have it, or not; returns the answers so far."""
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    if carried_out:
        for held in world.held:
            world.tables[held.dpid].apply(held.change)
    world.hold.clear()
    return answers(world)


def phase_at(world: World, port: PortId) -> Phase:
    """Phase of the VM at a port, as queries show it."""
    vsi = world.engine.registry.named(VM.text)
    assert vsi is not None
    program = vsi.attachments[port].holding.program
    assert program is not None
    return program.phase


@pytest.mark.parametrize("carried_out", [True, False])
def test_next_life_answers_when_both_switches_are_compared(world: World, carried_out: bool) -> None:
    before = interrupted(world, carried_out=carried_out)
    world.restart_controller(True, S2)
    world.ask(HV3, VM, ASSOCIATE)
    assert answers(world) == before, "the former owner's switch may have its gate"
    assert phase_at(world, HV3) is (Phase.ACTIVATING if carried_out else Phase.STAGED)
    assert gate_ports(world) == ({HV3} if carried_out else {HV1})
    world.connect(S1)
    assert gate_ports(world) == {HV3} and world.answer(HV3).success
    assert phase_at(world, HV3) is Phase.ACTIVE
    world.advance(LATER)
    assert owners(world) == {str(HV3)} and marks(world) == {}


def test_next_life_does_not_wait_for_ever_for_the_former_switch(world: World) -> None:
    before = interrupted(world, carried_out=True)
    world.restart_controller(True, S2)
    world.advance(10.1)
    assert answers(world) > before and world.answer(HV3).success


def test_next_life_answers_nothing_without_the_switch_of_the_gate(world: World) -> None:
    before = interrupted(world, carried_out=True)
    world.happened.clear()
    world.restart_controller(True, S1)
    world.advance(30.0)
    assert answers(world) == before and not any(event.kind == "vsi.active" for event in world.happened)
    world.connect(S2)
    assert gate_ports(world) == {HV3} and world.answer(HV3).success


def test_next_life_refuses_what_the_switch_refuses_and_the_switch_gets_ready(world: World) -> None:
    interrupted(world, carried_out=False)
    world.restart_controller(True, S1)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.connect(S2)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert world.engine.bringup.ready(S2)
    assert gate_ports(world) == {HV1} and owners(world) == {str(HV1)} and marks(world) == {}


def test_station_at_the_source_is_informed_when_the_move_is_final(world: World) -> None:
    interrupted(world, carried_out=False)
    sent = answers(world, HV1)
    world.restart_controller(True, S1)
    assert all(tlv.MODE is not DEASSOCIATE for tlv in world.sent[HV1][sent:])
    world.connect(S2)
    world.advance(LATER)
    assert world.sent[HV1][-1].MODE is DEASSOCIATE


def test_mark_of_a_vsi_that_is_not_restored_is_deleted(world: World) -> None:
    interrupted(world, carried_out=True)
    (mark,) = [key for key in world.store if key.startswith("opening/")]
    world.store["opening/nothing"] = world.store[mark]
    del world.store[f"vsi/{VM.text}@{HV3}"]
    world.restart_controller()
    world.advance(LATER)
    assert marks(world) == {}


def test_former_switch_that_is_not_configured_any_more_is_not_waited_for(world: World) -> None:
    interrupted(world, carried_out=True)
    (mark,) = [key for key in world.store if key.startswith("opening/")]
    world.store[mark] = encode([PortId(0x99, 1)])
    world.restart_controller()
    assert gate_ports(world) == {HV3} and world.answer(HV3).success
    world.advance(LATER)
    assert marks(world) == {}


def test_damaged_mark_counts_as_of_a_vsi_without_a_former_port(world: World) -> None:
    interrupted(world, carried_out=True)
    (mark,) = [key for key in world.store if key.startswith("opening/")]
    world.store[mark] = b"\xff"
    world.restart_controller()
    assert gate_ports(world) == {HV3} and world.answer(HV3).success
