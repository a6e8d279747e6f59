"""Components of an NMS: moves wait until they have staged, activated and released the VM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.vcm.goal_events import HaltGoal, MoveLimits
from ryu_apps.vcm.inventory import Inventory
from ryu_apps.vcm.loader import load_inventory
from ryu_apps.vcm.move_events import Coordination, Ladder, Lapsed, MoveStep
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from tests.worlds.vcm import PlanRun, a_vm, start_plan, two_switches

STAGE, ACTIVATE, RELEASE = MoveStep.AWAIT_STAGE, MoveStep.AWAIT_ACTIVATE, MoveStep.AWAIT_RELEASE


def cluster(*steps: str, deadline: float = 30.0) -> Inventory:
    """One VM, at hv1; its first choice is hv2."""
    awaited = Coordination("rack1", frozenset(steps), deadline) if steps else Coordination("rack1", deadline=deadline)
    return replace(two_switches([a_vm("vm1", "hv1")]), coordination=awaited)


def started(made: Inventory, way: Ladder = Ladder.MINIMIZE_LATENCY, kind: GoalKind = GoalKind.EVACUATE) -> PlanRun:
    return start_plan(made, make_plan(made, Goal(kind, "hv1")), MoveLimits(way))


def steps_of(run: PlanRun) -> list[str]:
    return [do.step.value for do in run.done]


def test_a_move_waits_at_each_step() -> None:
    latency, safest = started(cluster()), started(cluster(), Ladder.SAFEST_EXCHANGE)
    for run in (latency, safest):
        run.run()
        assert run.places() == {"vm1": "hv2"}
    begun = ["reserve", "await stage", "copy", "suspend"]
    assert steps_of(latency) == [*begun, "associate", "await activate", "resume", "let go", "await release"]
    assert steps_of(safest) == [*begun, "let go", "associate", "await activate", "resume", "await release"]


def test_it_waits_for_the_steps_that_are_named_and_for_none_without_an_nms() -> None:
    only = started(cluster("stage"))
    only.run()
    assert [step for step in steps_of(only) if step.startswith("await")] == ["await stage"]
    fixed = started(cluster("fix-up"))
    fixed.run()
    assert [step for step in steps_of(fixed) if step.startswith("await")] == ["await activate"]
    plain = started(replace(cluster(), coordination=None))
    plain.run()
    assert not [step for step in steps_of(plain) if step.startswith("await")]


def test_a_dead_node_releases_nothing_that_could_be_waited_for() -> None:
    run = started(cluster(), kind=GoalKind.FAIL_OVER)
    run.hypervisors.die("hv1")
    run.run()
    assert steps_of(run) == ["reserve", "await stage", "boot", "associate", "await activate", "resume"]


def test_components_that_cannot_stage_cost_the_reservation_and_the_vm_nothing() -> None:
    run = started(cluster())
    run.refuse = {(STAGE, "hv2"): "not ready: switches stage failed: no such VLAN"}
    run.until(STAGE)
    assert run.hypervisors.running == {"vm1": "hv1"}
    run.run()
    (move,) = run.orchestrator.moves
    assert run.places() == {"vm1": "hv3"} and move.tried == {"hv2": "not ready: switches stage failed: no such VLAN"}
    assert not run.hypervisors.reserved["vm1"] - {"hv3"}


def test_components_that_cannot_activate_bring_the_vm_back() -> None:
    run = started(cluster())
    run.refuse = {(ACTIVATE, "hv2"): "not ready"}
    run.run()
    (move,) = run.orchestrator.moves
    assert run.places() == {"vm1": "hv1"} and run.hypervisors.associated == {"vm1": {"hv1"}}
    assert move.state is MoveState.REFUSED and "hv2: not ready" in move.log[-1].text


def test_components_that_do_not_release_are_told_and_cost_nothing() -> None:
    run = started(cluster())
    run.refuse = {(RELEASE, "hv2"): "not ready"}
    run.run()
    (move,) = run.orchestrator.moves
    assert move.state is MoveState.DONE and move.log[-1].text == "done, but the source: not ready"


@pytest.mark.parametrize("step", [STAGE, ACTIVATE, RELEASE])
def test_an_executor_that_does_not_answer_is_given_the_deadline_and_its_patience(step: MoveStep) -> None:
    run = started(cluster(deadline=50.0))
    run.until_asked(step)
    lost = run.pending.pop()
    (move,) = run.orchestrator.moves
    assert run.orchestrator.deadline == run.now + 60.0
    run.run()
    assert move.tried.get("hv2") == (None if step is RELEASE else "no answer in 60 s"), lost
    assert run.places() == {"vm1": {STAGE: "hv3", ACTIVATE: "hv1", RELEASE: "hv2"}[step]}


@pytest.mark.parametrize("step", [STAGE, ACTIVATE, RELEASE])
def test_a_halt_while_it_waits(step: MoveStep) -> None:
    run = started(cluster())
    run.until_asked(step)
    run.feed(HaltGoal())
    run.run()
    assert run.places() == {"vm1": "hv2" if step is RELEASE else "hv1"} and not run.hypervisors.reserved["vm1"]


def test_a_reservation_that_lapses_meanwhile_is_given_back() -> None:
    run = started(cluster())
    run.until_asked(STAGE)
    (move,) = run.orchestrator.moves
    run.pending += move.feed(Lapsed("hv2"), run.now)
    run.run()
    assert run.places() == {"vm1": "hv3"} and move.tried == {"hv2": "the reservation has lapsed"}


INVENTORY = """\
version: 1
name: coordinated
switches: {s1: {}}
nodes: {hv1: {switch: s1, slots: 4, memory_mib: 4096}}
nms: {bridge: rack1, steps: [stage, release], deadline: 5}
vms: {}
"""


def test_an_inventory_names_the_bridge_the_steps_and_the_deadline() -> None:
    loaded, found = load_inventory("inventory.yaml", INVENTORY)
    assert loaded is not None and found == []
    assert loaded.inventory.coordination == Coordination("rack1", frozenset({"stage", "release"}), 5.0)
    whole, _ = load_inventory("inventory.yaml", INVENTORY.replace(", steps: [stage, release], deadline: 5", ""))
    assert whole is not None and whole.inventory.coordination == Coordination("rack1")
    for mistake in ("steps: []", "steps: [start]", "deadline: 0"):
        text = INVENTORY.replace("steps: [stage, release], deadline: 5", mistake)
        wrong, found = load_inventory("inventory.yaml", text)
        assert wrong is None and [diagnostic.line for diagnostic in found] == [5]


def test_reservations_that_are_kept_are_ready_at_the_components() -> None:
    run = started(cluster(), kind=GoalKind.PROTECT)
    run.run()
    assert steps_of(run) == ["reserve", "await stage"]
    assert "components are ready" in run.orchestrator.moves[0].log[-1].text
