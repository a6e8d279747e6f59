"""Observers of steps: evidence of a move, and the proof that nothing passes the staged port."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ryu_apps.testbed.harness.staged import StagedPort, StagedTarget
from ryu_apps.testbed.harness.station import VdptoolAnswer
from ryu_apps.testbed.ladder.model import LadderStep, Lane
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused
from ryu_apps.vcm.move_events import Ladder, MoveStep


class StepObserver:
    """Observer of the steps of attempts; every method does nothing unless it is overridden.

    Observers of a step are called in their order, in the thread that carries the step out.
    """

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Called before the hypervisors act."""

    def copying(self, attempt: Attempt, words: str) -> None:
        """Called within COPY, before each round; ``words``: of what, its number, MiB and time."""

    def suspended(self, attempt: Attempt) -> None:
        """Called within SUSPEND: the VM has stopped, its interface is still at the source."""

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Called after a step that has succeeded; ``answer`` is that of the bridge, if it was asked."""

    def failed(self, step: MoveStep, attempt: Attempt, error: Exception) -> None:
        """Called after a step that was refused or has failed."""

    def ended(self, attempt: Attempt) -> None:
        """Called once the VM runs at the destination, or the destination is given up."""


def _nothing() -> None:
    """Default of the callbacks."""


@dataclass(frozen=True, slots=True)
class StepCallbacks(StepObserver):
    """Functions that are called on the way.

    Attributes:
        on_staged: the destination has granted the reservation.
        on_copying: the copy begins; the VM runs at the source, its rules are staged at the destination.
        on_suspended: the VM runs nowhere.
    """

    on_staged: Callable[[], None] = _nothing
    on_copying: Callable[[], None] = _nothing
    on_suspended: Callable[[], None] = _nothing

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Call ``on_copying``."""
        if step is MoveStep.COPY:
            self.on_copying()

    def suspended(self, attempt: Attempt) -> None:
        """Call ``on_suspended``."""
        self.on_suspended()

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Call ``on_staged``."""
        if step is MoveStep.RESERVE:
            self.on_staged()


class EvidenceRecorder(StepObserver):
    """Instants, flow dumps and the lines of the ladder diagram."""

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Note instants that precede a step, and what the cluster manager asks for."""
        evidence, vm = attempt.evidence, attempt.vm
        match step:
            case MoveStep.RESERVE:
                evidence.marks.begun = time.monotonic()
                evidence.dumps["before"] = attempt.dump()
                types = ", ".join(f"{vsi.type_id} version {vsi.version}" for vsi in attempt.vsis)
                many = "s" if len(attempt.vsis) > 1 else ""
                self._note(attempt, Lane.VCM, Lane.DESTINATION, f"prepare {vm.name}, VSI type{many} {types}")
            case MoveStep.COPY:
                self._note(attempt, Lane.VCM, Lane.SOURCE, f"migrate {vm.name} to {attempt.destination.name}")
            case MoveStep.CANCEL:
                self._note(attempt, Lane.VCM, Lane.DESTINATION, "cancel the migration")
            case MoveStep.SUSPEND:
                self._note(attempt, Lane.SOURCE, Lane.VM, "final suspend")
                evidence.marks.suspended = time.monotonic()
            case MoveStep.LET_GO:
                self._note(attempt, Lane.VCM, Lane.SOURCE, "let go of the VM's resources")
            case MoveStep.BOOT:
                words = f"{attempt.source.name} is dead: start {vm.name} anew"
                self._note(attempt, Lane.VCM, Lane.DESTINATION, words)
            case MoveStep.ASSOCIATE:
                evidence.marks.associating = time.monotonic()
            case MoveStep.AWAIT_STAGE | MoveStep.AWAIT_ACTIVATE | MoveStep.AWAIT_RELEASE:
                self._note(attempt, Lane.VCM, Lane.VCM, f"NMS: {step.value} of components")

    def copying(self, attempt: Attempt, words: str) -> None:
        """Note a round of copying."""
        self._note(attempt, Lane.SOURCE, Lane.DESTINATION, words)

    def suspended(self, attempt: Attempt) -> None:
        """Note the last pages."""
        self._note(attempt, Lane.SOURCE, Lane.DESTINATION, attempt.last_words)

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Note answers, at the instant at which they came."""
        evidence = attempt.evidence
        answered = answer.answered if answer is not None else None
        match step:
            case MoveStep.RESERVE:
                words = "migration is possible, resources reserved"
                self._note(attempt, Lane.DESTINATION, Lane.VCM, words, answered)
                evidence.dumps["staged"] = attempt.dump()
            case MoveStep.SUSPEND:
                self._note(attempt, Lane.DESTINATION, Lane.VCM, "holds the last pages")
            case MoveStep.LET_GO if attempt.ladder is Ladder.SAFEST_EXCHANGE:
                words = "let go" if answer is None or answer.granted else f"let go: {answer.reason}"
                self._note(attempt, Lane.SOURCE, Lane.VCM, words, answered)
                self._note(attempt, Lane.VCM, Lane.DESTINATION, "source has let go: associate")
            case MoveStep.AWAIT_STAGE | MoveStep.AWAIT_ACTIVATE | MoveStep.AWAIT_RELEASE:
                self._note(attempt, Lane.VCM, Lane.VCM, "NMS: all components are ready")
            case MoveStep.LET_GO:
                self._note(attempt, Lane.SOURCE, Lane.VCM, "let go" if answer else "nothing left to let go of")
            case MoveStep.RESUME:
                evidence.marks.resumed = time.monotonic()
                words = "start" if attempt.ladder is Ladder.RESTART else "resume"
                self._note(attempt, Lane.DESTINATION, Lane.VM, words, evidence.marks.resumed)

    def failed(self, step: MoveStep, attempt: Attempt, error: Exception) -> None:
        """Note a refusal, or components that are not ready."""
        if step in (MoveStep.AWAIT_STAGE, MoveStep.AWAIT_ACTIVATE, MoveStep.AWAIT_RELEASE):
            self._note(attempt, Lane.VCM, Lane.VCM, f"NMS: {error}")
        if isinstance(error, MigrationRefused):
            self._note(attempt, Lane.DESTINATION, Lane.VCM, f"refused: {error}")

    def ended(self, attempt: Attempt) -> None:
        """Note that the move has succeeded, and the rules of the switch as they are then."""
        if attempt.evidence.marks.resumed and attempt.associated is not None:
            words = "migration succeeded"
            self._note(attempt, Lane.DESTINATION, Lane.VCM, words, attempt.associated.answered)
            attempt.evidence.dumps["active"] = attempt.dump()

    def _note(self, attempt: Attempt, origin: Lane, target: Lane, text: str, t: float | None = None) -> None:
        attempt.evidence.steps.append(LadderStep(time.monotonic() if t is None else t, origin, target, text))


class StagedPortProof(StepObserver):
    """Ports for the VM at the destination while the VM still runs at the source; nothing may pass them.

    The hypervisor makes them before it asks for the reservation, and the VM's own ports take their place.
    """

    def __init__(self, targets: Callable[[Attempt], Sequence[StagedTarget | None]]) -> None:
        """
        Args:
            targets: end system that injected frames are sent to, for each interface; None: nothing is injected there.
        """
        self._targets = targets
        self._ports: dict[Attempt, list[StagedPort]] = {}

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Make the ports before RESERVE; take them off the edge before a VM is booted in their place."""
        if step is MoveStep.RESERVE:
            destination = attempt.destination
            watcher = attempt.cluster.watcher
            made = [
                StagedPort(destination.namespace, destination.edge, face, watcher) for face in attempt.vm.interfaces
            ]
            self._ports[attempt] = made
            for port, target in zip(made, self._targets(attempt), strict=False):
                if target is not None:
                    port.inject(target)
        elif step is MoveStep.BOOT:
            self._disconnect(attempt)

    def suspended(self, attempt: Attempt) -> None:
        """Take the ports off the edge."""
        self._disconnect(attempt)

    def ended(self, attempt: Attempt) -> None:
        """Delete the ports, and keep what had arrived there."""
        self._disconnect(attempt)
        evidence = attempt.evidence
        # After Associate the switch floods to these ports as to any other at the edge.
        until = evidence.marks.associating or float("inf")
        for port in self._ports.pop(attempt, ()):
            evidence.injected += port.injected
            evidence.at_staged_port += [sighting for sighting in port.remove() if sighting.t <= until]

    def _disconnect(self, attempt: Attempt) -> None:
        for port in self._ports.get(attempt, ()):
            port.disconnect()
