"""Execution of the steps of moves: those of a VM in their order, those of different VMs at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused, MoveRecord, granted_network
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepObserver
from ryu_apps.testbed.moves.preparation import Preparations
from ryu_apps.vcm.move_events import Do, MoveStep, StepDone, StepFailed

#: Waits for components at a step; called with the attempt, and what says that the wait is not wanted any more.
AwaitComponents = Callable[[MoveStep, Attempt, Callable[[], bool]], None]
#: Called with the VM and the result of each step.
StepReport = Callable[[str, StepDone | StepFailed], None]


class StepExecutor:
    """Carries out the steps that a move asks for.

    Attributes:
        attempts: all of them, in the order in which they began.
        deaths: when which node died, monotonic seconds.
        defects: exceptions that are defects of this code; their steps have failed.
    """

    def __init__(
        self,
        begin: Callable[[Do, MoveRecord], Attempt],
        observers: Sequence[StepObserver],
        report: StepReport,
        preparations: Preparations | None = None,
        components: AwaitComponents | None = None,
    ) -> None:
        """
        Args:
            begin: makes the attempt that RESERVE begins.
            observers: called in this order.
            report: called by :meth:`submit`'s thread.
            preparations: carries out what precedes a reservation; None: the moves have nothing of the kind.
            components: raises :class:`TestbedError` if they are not ready; None: no move waits for any.
        """
        self.attempts: list[Attempt] = []
        self.deaths: dict[str, float] = {}
        self.defects: list[BaseException] = []
        self._begin = begin
        self._observers = tuple(observers)
        self._report = report
        self._preparations = preparations
        self._components = components
        self._waits: dict[str, threading.Event] = {}
        self._workers: dict[str, ThreadPoolExecutor] = {}

    def submit(self, do: Do, owner: MoveRecord) -> None:
        """Carry a step out in the VM's own thread; the result goes to the report."""
        if do.step is MoveStep.CANCEL:
            self._newest(do.vm).cancel()  # at once: the thread is busy with the copy
        if do.vm in self._waits:
            self._waits[do.vm].set()  # a step that is asked for meanwhile ends the wait
        if do.vm not in self._workers:
            self._workers[do.vm] = ThreadPoolExecutor(1, thread_name_prefix=do.vm)
        self._workers[do.vm].submit(self._work, do, owner)

    def perform(self, do: Do, owner: MoveRecord) -> StepDone | StepFailed:
        """Carry a step out in this thread."""
        if self._preparations is not None and self._preparations.concern(do):
            return self._prepare(self._preparations, do)
        if do.step is MoveStep.RESERVE:
            self.attempts.append(self._begin(do, owner))
            if self._preparations is not None:
                self._preparations.hand_over(self.attempts[-1])
        attempt = self._newest(do.vm)
        try:
            self._call(lambda observer: observer.before(do.step, attempt))
            answer = _STEPS[do.step](self, attempt)
            self._call(lambda observer: observer.after(do.step, attempt, answer))
            if do.step in _ENDS:
                self._end(attempt, *_ENDS[do.step])
        except (TestbedError, OSError) as error:
            self._fail(do.step, attempt, error)
            return StepFailed(do.step, do.node, str(error))
        return StepDone(do.step, do.node, granted_network(attempt.vsi, answer))

    def holds_reservation(self, vm: str) -> bool:
        """Ask the station at the VM's newest destination for all of its reservations."""
        attempt = self._newest(vm)
        return all(attempt.destination.station.holds(VdptoolMode.PREASSOCIATE_RR, vsi) for vsi in attempt.vsis)

    def close(self) -> None:
        """Wait for steps that are being carried out."""
        for worker in self._workers.values():
            worker.shutdown()

    def _prepare(self, preparations: Preparations, do: Do) -> StepDone | StepFailed:
        try:
            return StepDone(do.step, do.node, preparations.perform(do))
        except (TestbedError, OSError) as error:
            return StepFailed(do.step, do.node, str(error))

    def _work(self, do: Do, owner: MoveRecord) -> None:
        try:
            result = self.perform(do, owner)
        except BaseException as error:
            # The move waits for an answer; the defect itself is raised where the executor is used.
            self.defects.append(error)
            result = StepFailed(do.step, do.node, f"{type(error).__name__}: {error}")
        self._report(do.vm, result)

    def _newest(self, vm: str) -> Attempt:
        return next(attempt for attempt in reversed(self.attempts) if attempt.vm.name == vm)

    def _call(self, method: Callable[[StepObserver], None]) -> None:
        for observer in self._observers:
            method(observer)

    def _fail(self, step: MoveStep, attempt: Attempt, error: Exception) -> None:
        attempt.error = attempt.error or error
        self._call(lambda observer: observer.failed(step, attempt, error))
        if step is MoveStep.RESERVE:
            outcome = MoveOutcome.REFUSED if isinstance(error, MigrationRefused) else MoveOutcome.ABORTED
            self._end(attempt, outcome, str(error))

    def _end(self, attempt: Attempt, outcome: MoveOutcome, reason: str) -> None:
        self._call(lambda observer: observer.ended(attempt))
        evidence = attempt.evidence
        evidence.outcome, evidence.reason = outcome, reason
        evidence.marks.ended = time.monotonic()

    # --- steps that are more than one action ---
    def _await(self, step: MoveStep, attempt: Attempt) -> None:
        wait = self._waits[attempt.vm.name] = threading.Event()
        assert self._components is not None
        try:
            self._components(step, attempt, wait.is_set)
        finally:
            del self._waits[attempt.vm.name]

    def _copy(self, attempt: Attempt) -> None:
        for words in attempt.copy():
            for observer in self._observers:
                observer.copying(attempt, words)

    def _suspend(self, attempt: Attempt) -> None:
        attempt.suspend()
        self._call(lambda observer: observer.suspended(attempt))
        attempt.hand_over()

    def _boot(self, attempt: Attempt) -> None:
        attempt.evidence.marks.suspended = self.deaths[attempt.source.name]
        attempt.boot()


#: Steps that end an attempt, with its outcome and the reason.
_ENDS = {MoveStep.RESUME: (MoveOutcome.COMPLETED, ""), MoveStep.RELEASE: (MoveOutcome.ABORTED, "taken back")}
_STEPS: dict[MoveStep, Callable[[StepExecutor, Attempt], VdptoolAnswer | None]] = {
    MoveStep.RESERVE: lambda executor, attempt: attempt.reserve(),
    MoveStep.COPY: StepExecutor._copy,
    MoveStep.CANCEL: lambda executor, attempt: attempt.cancel(),
    MoveStep.SUSPEND: StepExecutor._suspend,
    MoveStep.LET_GO: lambda executor, attempt: attempt.let_go(),
    MoveStep.BOOT: StepExecutor._boot,
    MoveStep.ASSOCIATE: lambda executor, attempt: attempt.associate(),
    MoveStep.RESUME: lambda executor, attempt: attempt.resume(),
    MoveStep.RELEASE: lambda executor, attempt: attempt.release(),
    MoveStep.RETURN: lambda executor, attempt: attempt.return_vm(),
    MoveStep.DISCARD: lambda executor, attempt: attempt.discard(),
    MoveStep.AWAIT_STAGE: lambda executor, attempt: executor._await(MoveStep.AWAIT_STAGE, attempt),
    MoveStep.AWAIT_ACTIVATE: lambda executor, attempt: executor._await(MoveStep.AWAIT_ACTIVATE, attempt),
    MoveStep.AWAIT_RELEASE: lambda executor, attempt: executor._await(MoveStep.AWAIT_RELEASE, attempt),
}
