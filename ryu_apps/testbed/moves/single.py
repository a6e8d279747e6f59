"""One move of one VM, driven step by step in the caller's thread."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.staged import StagedTarget
from ryu_apps.testbed.harness.station import VdptoolVsi
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused, MoveRecord
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.executor import StepExecutor
from ryu_apps.testbed.moves.observers import EvidenceRecorder, StagedPortProof, StepObserver
from ryu_apps.vcm.memory_copy import CopyPlan, copy_of_span
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import Begin, DeadlinePassed, Do, Exhausted, Halt, Ladder, MoveEvent, MoveStep, Start
from ryu_apps.vcm.move_states import MoveState

_CANCELLED = "cancelled after staging"


class SingleMove:
    """A move of one VM to one node and no other."""

    def __init__(
        self,
        cluster: Cluster,
        vsi: VdptoolVsi,
        vm: str,
        source: str,
        destination: str,
        ladder: Ladder,
        copy: CopyPlan | float = 0.3,
        *,
        abort: bool = False,
        target: StagedTarget | None = None,
        is_proven: bool = True,
        observers: Sequence[StepObserver] = (),
    ) -> None:
        """
        Args:
            source, destination: names of hypervisors.
            copy: rounds of copying the memory, and the last pages; or the seconds that it takes.
            abort: halt once the memory is copied.
            target: end system that frames injected at the staged port are sent to; None: nothing is injected.
            is_proven: there is a port for the VM at the destination meanwhile, which nothing may pass.
            observers: called before those that collect the evidence.
        """
        self._attempt: Attempt | None = None
        self._cluster, self._vsi = cluster, vsi
        self._copy = copy if isinstance(copy, CopyPlan) else copy_of_span(copy)
        self._abort = abort
        self._move = Move(vm, source, ladder, destination)
        self._destination = destination
        proof = (StagedPortProof(lambda attempt: [target]),) if is_proven else ()
        own = (*observers, EvidenceRecorder(), *proof)
        self._executor = StepExecutor(self._begin, own, lambda vm, result: None)

    def run(self) -> Attempt:
        """Drive the move to its end; after a refusal or an abort the VM is where it was.

        Returns:
            The attempt, with its evidence.

        Raises:
            TestbedError, OSError: a step has failed otherwise; what had been done is taken back.
        """
        # A move asks for one step at a time.
        steps = self._move.feed(Begin(self._destination), time.monotonic())
        while not self._move.ended:
            event = self._result(steps[0]) if steps else self._next()
            steps = self._move.feed(event, time.monotonic())
        attempt = self._attempt
        assert attempt is not None
        if attempt.error is not None and not self._is_taken_back(attempt.error):
            raise attempt.error
        if self._move.halted:
            attempt.evidence.outcome, attempt.evidence.reason = MoveOutcome.ABORTED, _CANCELLED
        elif attempt.error is not None:
            attempt.evidence.outcome, attempt.evidence.reason = MoveOutcome.REFUSED, str(attempt.error)
        return attempt

    def _result(self, do: Do) -> MoveEvent:
        result = self._executor.perform(do, self._move)
        # The halt comes before the answer: the copy is still awaited, and nothing has been suspended.
        return Halt(_CANCELLED) if self._abort and do.step is MoveStep.COPY else result

    def _next(self) -> MoveEvent:
        """Event that goes on from a state in which no step is awaited."""
        if self._move.state is MoveState.RESERVED:
            return Start()
        if self._move.state is MoveState.WAITING:
            return Halt(_CANCELLED) if self._move.halted else Exhausted("refused")
        assert self._move.deadline is not None, self._move.state
        time.sleep(max(0.0, self._move.deadline - time.monotonic()))
        return DeadlinePassed()

    def _begin(self, do: Do, owner: MoveRecord) -> Attempt:
        ways = do.source, do.node
        self._attempt = Attempt(self._cluster, do.vm, (self._vsi,), ways, self._move.way, owner, self._copy)
        return self._attempt

    def _is_taken_back(self, error: Exception) -> bool:
        return isinstance(error, MigrationRefused) and self._move.state is not MoveState.FAILED
