"""A move that shows what each rung of its ladder changes, and in step mode waits before it."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.model import Phase
from ryu_apps.testbed.harness.station import VdptoolAnswer
from ryu_apps.testbed.lab.bench import Bench
from ryu_apps.testbed.lab.notebook import Experiment, Notebook
from ryu_apps.testbed.lab.rules import Snapshot, change_lines
from ryu_apps.testbed.lab.verbs import LineError
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.observers import StepObserver
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.vcm.move_events import Ladder, MoveStep

#: Seconds that the copy of the memory takes: for people who watch the page.
_COPY = 0.5
#: Rules of a state that are shown after a rung.
SHOWN = 6
#: Rungs before which a move may be halted: up to the last that can be taken back.
_REVOCABLE = frozenset({MoveStep.RESERVE, MoveStep.COPY, MoveStep.SUSPEND, MoveStep.ASSOCIATE, MoveStep.RESUME})
_WORDS = {
    MoveStep.RESERVE: "Pre-Associate with Resource Reservation at {destination}",
    MoveStep.COPY: "copy the memory from {source} to {destination}; the VM runs on",
    MoveStep.SUSPEND: "suspend the VM at {source}, hand the last pages over to {destination}",
    MoveStep.ASSOCIATE: "Associate at {destination}",
    MoveStep.RESUME: "let the VM run at {destination}",
    MoveStep.LET_GO: "De-Associate at {source}",
    MoveStep.RELEASE: "De-Associate at {destination}, where the VM never ran",
    MoveStep.RETURN: "back to {source}",
}


class MoveHalted(MigrationRefused):
    """The move was halted at the prompt; what had been done is taken back."""


#: Called before a rung with the text for people, and whether the move may be halted there; False halts it.
Pause = Callable[[str, bool], bool]


class RungObserver(StepObserver):
    """Records the rules before and after each rung, and prints the difference.

    Attributes:
        rules: those of all switches after the last rung.
    """

    def __init__(self, bench: Bench, notebook: Notebook, say: Callable[[str], None], pause: Pause | None) -> None:
        """
        Args:
            pause: called before each rung; None: there is no pause.
        """
        self._bench, self._notebook, self._say, self._pause = bench, notebook, say, pause
        # While a move waits at a rung nothing else changes rules: those after a rung are those before the next one.
        self.rules: Snapshot = bench.settled()
        self._number = 0

    def before(self, step: MoveStep, attempt: Attempt) -> None:
        """Wait, if asked to.

        Raises:
            MoveHalted: the answer was to halt.
        """
        self._number += 1
        text = f"rung {self._number}, {step.value}: {_words(step, attempt)}"
        may_halt = _may_halt(step, attempt)
        if self._pause is None:
            self._say(text)
        elif not self._pause(text, may_halt):
            raise MoveHalted(f"halted before {step.value}")

    def after(self, step: MoveStep, attempt: Attempt, answer: VdptoolAnswer | None) -> None:
        """Print and record the difference."""
        self._note(step, attempt, "done", "")

    def failed(self, step: MoveStep, attempt: Attempt, error: Exception) -> None:
        """Print and record the reason."""
        self._say(f"  {step.value} was not done: {error}")
        self._note(step, attempt, "halted" if isinstance(error, MoveHalted) else "refused", str(error))

    def _note(self, step: MoveStep, attempt: Attempt, outcome: str, detail: str) -> None:
        before, self.rules = self.rules, self._bench.settled()
        for line in change_lines(before, self.rules, SHOWN):
            self._say(f"  {line}")
        words = (attempt.vm.name, attempt.destination.name, attempt.ladder.value, step.value)
        self._notebook.note(Experiment("rung", words, outcome, detail, before, self.rules, self._bench.switches))


def _words(step: MoveStep, attempt: Attempt) -> str:
    return _WORDS[step].format(source=attempt.source.name, destination=attempt.destination.name)


def _may_halt(step: MoveStep, attempt: Attempt) -> bool:
    is_exchange = step is MoveStep.LET_GO and attempt.ladder is Ladder.SAFEST_EXCHANGE
    return step in _REVOCABLE or is_exchange


def migrate(bench: Bench, vm: str, destination: str, ladder: Ladder, observer: RungObserver) -> tuple[MoveOutcome, str]:
    """Move a VM along a ladder; returns the outcome and its reason.

    Raises:
        LineError: it is there already, or not associated where it is.
        TestbedError: a step has failed otherwise; what had been done is taken back.
    """
    source = bench.home(vm)
    if source == destination:
        raise LineError(f"{vm} is at {destination} already")
    if (vm, source, Phase.ACTIVE.value) not in set(bench.attachments()):
        raise LineError(f"{vm} is not associated at {source}, where it runs: assoc {vm} {source}")
    vsi = bench.vms[vm].vsi
    move = SingleMove(
        bench.cluster, vsi, vm, source, destination, ladder, _COPY, is_proven=False, observers=(observer,)
    )
    evidence = move.run().evidence
    return evidence.outcome, evidence.reason
