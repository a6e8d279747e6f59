"""The step executor: observers around each step, results of steps, and what is a defect."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ryu_apps.testbed.harness.shell import CommandError
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolVsi
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused, MoveRecord
from ryu_apps.testbed.moves.evidence import Evidence, MoveOutcome
from ryu_apps.testbed.moves.executor import StepExecutor
from ryu_apps.testbed.moves.observers import StepCallbacks, StepObserver
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import Do, GrantedNetwork, Ladder, MoveStep, StepDone, StepFailed

GRANTED = VdptoolAnswer(True, "", 1.0, 1.5)


VSI = VdptoolVsi("00000000-0000-4000-8000-000000000001", 1, 1, ("0-52:54:00:aa:00:01",))


class Guest:
    name = "vm1"


class ScriptedAttempt(Attempt):
    """An attempt without a cluster: hypervisors write down what they are asked for, and fail as scripted."""

    def __init__(self, log: list[str], failures: dict[str, Exception]) -> None:
        self.evidence = Evidence()
        self.error = None
        self.ladder = Ladder.MINIMIZE_LATENCY
        self.vm: Any = Guest()
        self.vsis = (VSI,)
        self._log, self._failures = log, failures

    def _act(self, action: str) -> VdptoolAnswer:
        self._log.append(action)
        if action in self._failures:
            raise self._failures[action]
        return GRANTED

    def reserve(self) -> VdptoolAnswer:
        return self._act("reserve")

    def copy(self) -> Iterator[str]:
        self._act("copy")
        yield "copy memory"

    def suspend(self) -> None:
        self._act("suspend")

    def hand_over(self) -> None:
        self._act("hand over")

    def resume(self) -> None:
        self._act("resume")

    def release(self) -> None:
        self._act("release")


class Watching(StepObserver):
    def __init__(self, log: list[str], name: str) -> None:
        self._log, self._name = log, name

    def _note(self, words: str) -> None:
        self._log.append(f"{self._name}: {words}")

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        self._note(f"before {step.value}")

    def suspended(self, attempt: Attempt) -> None:
        self._note("suspended")

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        self._note(f"after {step.value}{', answered' if answer is GRANTED else ''}")

    def failed(self, step: MoveStep, attempt: Attempt, error: Exception) -> None:
        self._note(f"failed {step.value}: {error}")

    def ended(self, attempt: Attempt) -> None:
        self._note("ended")


class Scene:
    def __init__(self, failures: dict[str, Exception] | None = None, *names: str) -> None:
        self.log: list[str] = []
        self.results: queue.SimpleQueue[StepDone | StepFailed] = queue.SimpleQueue()
        observers = [Watching(self.log, name) for name in names]

        def begin(do: Do, owner: MoveRecord) -> Attempt:
            return ScriptedAttempt(self.log, failures or {})

        self.executor = StepExecutor(begin, observers, lambda vm, result: self.results.put(result))
        self.owner = Move("vm1", "hv1", Ladder.MINIMIZE_LATENCY)

    def do(self, step: MoveStep) -> StepDone | StepFailed:
        return self.executor.perform(Do("vm1", step, "hv5", "hv1"), self.owner)


def test_the_network_of_an_answer_is_part_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = replace(GRANTED, filters=("200-52:54:00:aa:00:01",))
    monkeypatch.setattr(ScriptedAttempt, "reserve", lambda attempt: answer)
    assert Scene().do(MoveStep.RESERVE) == StepDone(MoveStep.RESERVE, "hv5", GrantedNetwork(200))


def test_observers_are_called_in_their_order_around_what_hypervisors_do() -> None:
    scene = Scene(None, "a", "b")
    assert scene.do(MoveStep.RESERVE) == StepDone(MoveStep.RESERVE, "hv5")
    assert scene.log == [
        "a: before reserve",
        "b: before reserve",
        "reserve",
        "a: after reserve, answered",
        "b: after reserve, answered",
    ]


def test_between_suspension_and_hand_over_the_vm_is_seen_suspended() -> None:
    scene = Scene(None, "a")
    scene.do(MoveStep.RESERVE)
    scene.log.clear()
    scene.do(MoveStep.SUSPEND)
    assert scene.log == ["a: before suspend", "suspend", "a: suspended", "hand over", "a: after suspend"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(MigrationRefused("no room"), MoveOutcome.REFUSED), (CommandError("ip: no device"), MoveOutcome.ABORTED)],
)
def test_an_attempt_without_a_reservation_has_ended(error: Exception, outcome: MoveOutcome) -> None:
    scene = Scene({"reserve": error}, "a")
    assert scene.do(MoveStep.RESERVE) == StepFailed(MoveStep.RESERVE, "hv5", str(error))
    assert scene.log[1:] == ["reserve", f"a: failed reserve: {error}", "a: ended"]
    (attempt,) = scene.executor.attempts
    assert (attempt.evidence.outcome, attempt.evidence.reason) == (outcome, str(error))
    assert attempt.error is error


@pytest.mark.parametrize(
    ("step", "outcome"), [(MoveStep.RESUME, MoveOutcome.COMPLETED), (MoveStep.RELEASE, MoveOutcome.ABORTED)]
)
def test_an_attempt_ends_where_the_vm_runs_or_the_node_is_given_up(step: MoveStep, outcome: MoveOutcome) -> None:
    scene = Scene(None, "a")
    scene.do(MoveStep.RESERVE)
    scene.do(step)
    assert scene.log[-2:] == [f"a: after {step.value}", "a: ended"]
    assert scene.executor.attempts[0].evidence.outcome is outcome
    assert scene.executor.attempts[0].evidence.marks.ended > 0


def test_a_defect_is_raised_where_the_step_is_performed_here() -> None:
    scene = Scene({"copy": KeyError("vm1")})
    scene.do(MoveStep.RESERVE)
    with pytest.raises(KeyError, match="vm1"):
        scene.do(MoveStep.COPY)


def test_a_defect_in_a_thread_is_an_answer_and_is_kept() -> None:
    defect = KeyError("vm1")
    scene = Scene({"copy": defect})
    for step in (MoveStep.RESERVE, MoveStep.COPY):
        scene.executor.submit(Do("vm1", step, "hv5", "hv1"), scene.owner)
    scene.executor.close()
    assert scene.results.get(timeout=5) == StepDone(MoveStep.RESERVE, "hv5")
    assert scene.results.get(timeout=5) == StepFailed(MoveStep.COPY, "hv5", "KeyError: 'vm1'")
    assert scene.executor.defects == [defect]


def called(log: list[str], word: str) -> Callable[[], None]:
    return lambda: log.append(word)


def test_callbacks_are_for_staged_copying_and_suspended() -> None:
    log: list[str] = []
    callbacks = StepCallbacks(called(log, "staged"), called(log, "copying"), called(log, "suspended"))
    attempt = ScriptedAttempt([], {})
    executor = StepExecutor(lambda do, owner: attempt, (callbacks,), lambda vm, result: None)
    for step in (MoveStep.RESERVE, MoveStep.COPY, MoveStep.SUSPEND, MoveStep.RESUME):
        executor.perform(Do("vm1", step, "hv5", "hv1"), Move("vm1", "hv1", Ladder.MINIMIZE_LATENCY))
    assert log == ["staged", "copying", "suspended"]
