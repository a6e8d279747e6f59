"""A plan carried out: refusals, reservations, dead nodes, halts, and the way back."""

from __future__ import annotations

import pytest

from ryu_apps.vcm.goal_events import HaltGoal, MoveLimits, NodeLost, ReleasePlaces, StepAnswer, Use
from ryu_apps.vcm.inventory import Occupancy
from ryu_apps.vcm.move_events import DeadlinePassed, Ladder, Lapsed, MoveStep
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.placement import PlacementQuestion, rank
from ryu_apps.vcm.plans import Goal, GoalKind, Plan, PlannedMove, make_plan
from tests.worlds.vcm import PlanRun, a_node, a_vm, inventory, start_plan, two_switches

VMS = [a_vm("vm1", "hv1"), a_vm("vm2", "hv1"), a_vm("vm3", "hv2")]
EVACUATE_S1 = Goal(GoalKind.EVACUATE, "s1")


def evacuation(settings: MoveLimits | None = None, parallel: int = 2) -> PlanRun:
    cluster = two_switches(VMS)
    return start_plan(cluster, make_plan(cluster, EVACUATE_S1, parallel=parallel), settings or MoveLimits())


def protected() -> PlanRun:
    cluster = two_switches(VMS)
    started = start_plan(cluster, make_plan(cluster, Goal(GoalKind.PROTECT, "hv1")))
    started.run()
    return started


def states(played: PlanRun) -> list[MoveState]:
    return [move.state for move in played.orchestrator.moves]


def at_home(played: PlanRun) -> bool:
    """Is it as if nothing had been?"""
    cluster = played.hypervisors.inventory
    homes = {vm.name: vm.at for vm in cluster.vms.values()}
    associated = {name: {at} for name, at in homes.items()}
    reserved = [name for name in homes if played.hypervisors.reserved[name]]
    return (played.places(), played.hypervisors.associated, reserved) == (homes, associated, [])


# --- before a place is reserved ---
def described(settings: MoveLimits) -> PlanRun:
    """One VM that has a descriptor, at hv1; hv2 to hv4 have room."""
    cluster = two_switches([a_vm("vm1", "hv1", ovf="<Envelope/>")])
    return start_plan(cluster, make_plan(cluster, Goal(GoalKind.EVACUATE, "hv1")), settings)


def steps_of(played: PlanRun) -> list[tuple[str, str]]:
    return [(do.step.value, do.node) for do in played.done]


def test_a_hypervisor_has_the_ovf_before_it_reserves() -> None:
    played = described(MoveLimits())
    played.run()
    assert steps_of(played)[:2] == [("push", "hv2"), ("reserve", "hv2")]
    assert states(played) == [MoveState.DONE]


def test_the_next_node_gets_an_ovf_of_its_own() -> None:
    played = described(MoveLimits())
    played.refuse = {(MoveStep.RESERVE, "hv2"): "full", (MoveStep.PUSH, "hv3"): "no such file"}
    played.run()
    assert steps_of(played)[:5] == [
        ("push", "hv2"),
        ("reserve", "hv2"),
        ("push", "hv3"),
        ("push", "hv4"),
        ("reserve", "hv4"),
    ]
    assert played.orchestrator.moves[0].tried == {"hv2": "full", "hv3": "no such file"}


def test_the_best_nodes_are_probed_and_the_first_that_would_do_is_reserved() -> None:
    played = described(MoveLimits(probes=2))
    played.refuse = {(MoveStep.PROBE, "hv2"): "full"}
    played.run()
    assert steps_of(played)[:7] == [
        ("push", "hv2"),
        ("probe", "hv2"),
        ("push", "hv3"),
        ("probe", "hv3"),
        ("push", "hv4"),
        ("probe", "hv4"),
        ("reserve", "hv3"),
    ]
    (move,) = played.orchestrator.moves
    assert (move.tried, move.probed) == ({"hv2": "full"}, {"hv3", "hv4"})


def test_a_vm_of_a_dead_node_is_not_probed_for() -> None:
    cluster = two_switches(VMS)
    played = start_plan(cluster, make_plan(cluster, Goal(GoalKind.FAIL_OVER, "hv1")), MoveLimits(probes=3))
    played.hypervisors.die("hv1")
    played.run()
    assert states(played) == [MoveState.DONE] * 2
    assert "probe" not in {step for step, _ in steps_of(played)}


@pytest.mark.parametrize("step", [MoveStep.PUSH, MoveStep.PROBE])
def test_what_is_only_being_prepared_is_taken_back_by_a_halt(step: MoveStep) -> None:
    played = described(MoveLimits(probes=1))
    played.until_asked(step)
    played.feed(HaltGoal())
    played.run()
    assert states(played) == [MoveState.HALTED] and at_home(played)
    assert steps_of(played)[-1] == ("release", "hv2")


@pytest.mark.parametrize("step", [MoveStep.PUSH, MoveStep.PROBE])
def test_a_node_that_does_not_answer_is_left_out(step: MoveStep) -> None:
    played = described(MoveLimits(probes=1))
    do = played.until_asked(step)
    played.pending.remove(do)
    played.run()
    assert played.orchestrator.moves[0].tried == {"hv2": "no answer in 10 s"}
    assert played.places() == {"vm1": "hv3"}


# --- there ---
@pytest.mark.parametrize(
    ("way", "steps"),
    [
        (Ladder.MINIMIZE_LATENCY, "reserve copy suspend associate resume let-go"),
        (Ladder.SAFEST_EXCHANGE, "reserve copy suspend let-go associate resume"),
    ],
)
def test_a_move_takes_the_steps_of_its_ladder(way: Ladder, steps: str) -> None:
    played = evacuation(MoveLimits(way))
    played.run()
    mine = [do.step.value.replace(" ", "-") for do in played.done if do.vm == "vm1"]
    assert mine == steps.split()
    assert states(played) == [MoveState.DONE] * 3
    assert played.hypervisors.at("hv1").slots == played.hypervisors.at("hv2").slots == 0


def test_no_more_moves_at_a_time_than_planned() -> None:
    played = evacuation(parallel=2)
    assert [do.vm for do in played.pending] == ["vm1", "vm2"]
    while played.pending:
        played.answer()
        assert len({do.vm for do in played.pending}) <= 2
    assert states(played) == [MoveState.DONE] * 3


def test_whoever_is_refused_tries_the_next_and_says_so() -> None:
    played = evacuation()
    first = played.pending[0].node
    played.refuse[MoveStep.RESERVE, first] = "insufficient resources"
    played.run()
    assert {played.places()[name] for name in ("vm1", "vm2", "vm3")} == {"hv3", "hv4"} - {first}
    assert played.orchestrator.moves[0].tried == {first: "insufficient resources"}


def test_nobody_left_to_try_is_a_refusal_with_every_reason() -> None:
    played = evacuation()
    played.refuse = {(MoveStep.RESERVE, node): f"{node} is full of rules" for node in ("hv3", "hv4")}
    played.run()
    assert at_home(played) and states(played) == [MoveState.REFUSED] * 3
    told = played.orchestrator.moves[0].log[-1].text
    for words in ("hv2: s1 is to be empty", "hv3: tried: hv3 is full of rules", "hv4: tried: hv4 is full of rules"):
        assert words in told


def test_a_vm_stopped_in_vain_runs_where_it_was_and_is_not_stopped_again() -> None:
    played = evacuation(MoveLimits(Ladder.SAFEST_EXCHANGE))
    played.refuse = {(MoveStep.ASSOCIATE, node): "promise broken" for node in ("hv3", "hv4")}
    played.run()
    assert at_home(played) and states(played) == [MoveState.REFUSED] * 3
    assert [do.step for do in played.done if do.vm == "vm1"].count(MoveStep.SUSPEND) == 1


def test_a_bridge_that_does_not_answer_is_given_up_and_told_to_forget() -> None:
    played = evacuation(parallel=1)
    silent = played.pending.pop()
    assert played.orchestrator.deadline is not None
    played.now = played.orchestrator.deadline
    played.feed(DeadlinePassed())
    assert [do.step for do in played.pending] == [MoveStep.RELEASE]
    played.run()
    assert played.places()["vm1"] not in ("hv1", silent.node)


def test_a_vm_that_cannot_return_at_once_is_tried_again_and_failed_in_the_end() -> None:
    played = evacuation(parallel=1)
    played.refuse = {(MoveStep.ASSOCIATE, node): "no" for node in ("hv3", "hv4")} | {
        (MoveStep.RETURN, "hv3"): "not now"
    }
    played.until(MoveStep.RETURN)
    assert played.orchestrator.moves[0].state is MoveState.RETURNING
    played.run()
    assert [do.step for do in played.done if do.vm == "vm1"].count(MoveStep.RETURN) == 5
    assert MoveState.FAILED in states(played)
    assert "runs nowhere: not now" in played.orchestrator.moves[0].log[-1].text


def test_who_has_no_room_yet_waits_for_those_who_make_it() -> None:
    nodes = [a_node(f"hv{number}", "s1", slots=1) for number in (1, 2, 3)]
    cluster = inventory(nodes, [a_vm("first", "hv2"), a_vm("second", "hv1")], links=())
    ranking = rank(PlacementQuestion(cluster, Occupancy(cluster), cluster.vms["first"]))
    moves = (PlannedMove("first", "hv2", "hv3", ranking), PlannedMove("second", "hv1", "hv2", ranking))
    played = start_plan(cluster, Plan(Goal(GoalKind.REBALANCE), moves))
    assert [do.vm for do in played.pending] == ["first"]
    played.run()
    assert played.places() == {"first": "hv3", "second": "hv2"}


# --- ahead of time ---
def test_with_reservations_ahead_nobody_moves_before_everybody_has_one_and_the_delay_is_over() -> None:
    played = evacuation(MoveLimits(ahead=True, delay=60.0), parallel=1)
    while played.pending:
        assert played.answer().step is MoveStep.RESERVE
    assert states(played) == [MoveState.RESERVED] * 3
    assert played.orchestrator.deadline == played.now + 60.0
    played.run()
    assert states(played) == [MoveState.DONE] * 3
    copies = [do.vm for do in played.done if do.step in (MoveStep.COPY, MoveStep.LET_GO)]
    assert copies[::2] == copies[1::2], "one after the other"


def test_a_reservation_is_kept_until_it_is_used() -> None:
    played = protected()
    assert states(played) == [MoveState.RESERVED] * 2
    assert played.orchestrator.deadline is None
    played.now += 86400.0
    played.feed(Use(("vm1",)))
    played.run()
    assert states(played) == [MoveState.DONE, MoveState.RESERVED]
    assert played.hypervisors.reserved["vm2"] and not played.hypervisors.reserved["vm1"]


def test_a_reservation_is_kept_until_it_is_released() -> None:
    played = protected()
    played.feed(ReleasePlaces())
    played.run()
    assert at_home(played) and states(played) == [MoveState.HALTED] * 2


def test_a_reservation_that_lapses_is_made_elsewhere() -> None:
    played = protected()
    lost = played.orchestrator.moves[0].node
    played.hypervisors.reserved["vm1"].discard(lost)
    played.feed(StepAnswer("vm1", Lapsed(lost)))
    played.run()
    assert played.orchestrator.moves[0].state is MoveState.RESERVED
    assert played.hypervisors.reserved["vm1"] == {played.orchestrator.moves[0].node} != {lost}


# --- the unplanned ---
def test_vms_of_a_dead_node_start_where_places_are_kept_without_asking_again() -> None:
    played = protected()
    kept = {move.vm: move.node for move in played.orchestrator.moves}
    asked = len(played.done)
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    played.run()
    assert {name: played.places()[name] for name in kept} == kept
    assert [do.step for do in played.done[asked:] if do.vm == "vm1"] == [
        MoveStep.BOOT,
        MoveStep.ASSOCIATE,
        MoveStep.RESUME,
    ]


def test_a_place_that_was_only_asked_for_is_used_too() -> None:
    cluster = two_switches(VMS)
    played = start_plan(cluster, make_plan(cluster, Goal(GoalKind.PROTECT, "hv1")))
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    played.run()
    assert {played.places()[name] for name in ("vm1", "vm2")} <= {"hv2", "hv3", "hv4"}


def test_without_a_place_kept_one_is_looked_for() -> None:
    played = protected()
    played.hypervisors.die("hv2")
    played.feed(NodeLost("hv2"))
    played.run()
    assert played.places()["vm3"] in {"hv1", "hv3", "hv4"}
    assert next(do.step for do in played.done if do.vm == "vm3") is MoveStep.RESERVE


@pytest.mark.parametrize(
    "step", [MoveStep.RESERVE, MoveStep.COPY, MoveStep.SUSPEND, MoveStep.LET_GO, MoveStep.ASSOCIATE, MoveStep.RESUME]
)
@pytest.mark.parametrize("way", [Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE])
def test_a_source_that_dies_at_any_step_costs_no_vm(way: Ladder, step: MoveStep) -> None:
    played = evacuation(MoveLimits(way), parallel=1)
    assert played.until_asked(step).vm == "vm1"
    played.hypervisors.die("hv1")
    played.feed(NodeLost("hv1"))
    played.run()
    assert {played.places()[name] for name in ("vm1", "vm2", "vm3")} <= {"hv3", "hv4"}


def test_a_destination_that_dies_is_replaced() -> None:
    played = evacuation(parallel=1)
    dead = played.until_asked(MoveStep.COPY).node
    played.hypervisors.die(dead)
    asked = len(played.done) + len(played.pending)
    played.feed(NodeLost(dead))
    played.run()
    assert [do for do in played.done[asked:] if do.step is MoveStep.RESERVE and do.node == dead] == []
    assert {played.places()[name] for name in ("vm1", "vm2", "vm3")} == {"hv3", "hv4"} - {dead}


# --- and back ---
ON_THE_WAY = [MoveStep.RESERVE, MoveStep.COPY, MoveStep.SUSPEND, MoveStep.ASSOCIATE]


@pytest.mark.parametrize("step", [*ON_THE_WAY, MoveStep.LET_GO])
def test_a_halt_at_any_step_before_the_vm_runs_there_takes_everything_back(step: MoveStep) -> None:
    played = evacuation(MoveLimits(Ladder.SAFEST_EXCHANGE), parallel=3)
    played.until_asked(step)
    played.feed(HaltGoal())
    played.run()
    assert at_home(played) and states(played) == [MoveState.HALTED] * 3


def test_a_halt_once_the_vm_runs_there_clears_up_behind_it() -> None:
    played = evacuation(parallel=1)
    played.until(MoveStep.RESUME)
    played.feed(HaltGoal())
    played.run()
    assert states(played) == [MoveState.DONE, MoveState.HALTED, MoveState.HALTED]
    assert played.hypervisors.associated["vm1"] == {played.places()["vm1"]}
    assert "too late to halt" in [note.text for note in played.orchestrator.moves[0].log]


def test_undoing_moves_back_what_is_done_newest_first() -> None:
    played = evacuation(parallel=1)
    played.until(MoveStep.LET_GO)
    played.until(MoveStep.LET_GO)
    played.until_asked(MoveStep.SUSPEND)
    played.feed(HaltGoal(undo=True))
    played.run()
    assert at_home(played)
    backs = [move.vm for move in played.orchestrator.moves if move.home]
    assert backs == ["vm2", "vm1"]


def test_a_second_halt_ends_the_way_back_too() -> None:
    played = evacuation(parallel=1)
    played.until(MoveStep.LET_GO)
    played.feed(HaltGoal(undo=True))
    played.until_asked(MoveStep.COPY)
    played.feed(HaltGoal())
    played.run()
    assert played.places()["vm1"] == played.orchestrator.moves[0].node
    assert not played.hypervisors.reserved["vm1"]


def test_a_large_cluster_is_no_other_matter() -> None:
    nodes = [a_node(f"hv{number}", f"s{number % 16}", "abcd"[number % 4], 12, 65536) for number in range(256)]
    vms = [a_vm(f"vm{number}", f"hv{number % 256}", 2048, group=f"g{number % 100}") for number in range(2000)]
    links = tuple((f"s{core}", f"s{leaf}") for core in (0, 1) for leaf in range(2, 16))
    cluster = inventory(nodes, vms, links)
    played = start_plan(cluster, make_plan(cluster, Goal(GoalKind.EVACUATE, "s2"), parallel=8))
    played.run()
    assert len(states(played)) == 125 and set(states(played)) == {MoveState.DONE}
