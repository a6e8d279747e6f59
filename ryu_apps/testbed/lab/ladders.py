"""Worksheet 2: a move rung by rung, by both ladders, halted, and by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ryu_apps.testbed.lab.notebook import Experiment, Notebook
from ryu_apps.testbed.lab.sightings import difference, has_body, number_changed, open_at
from ryu_apps.testbed.lab.worksheet import Question, Worksheet
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.vcm.move_events import Ladder, MoveStep

_VM = "vm1"
_QUICK, _SAFE = Ladder.MINIMIZE_LATENCY.value, Ladder.SAFEST_EXCHANGE.value


class Climb(NamedTuple):
    """A move with its rungs."""

    move: Experiment
    rungs: tuple[Experiment, ...]

    @property
    def destination(self) -> str:
        """The destination's switch."""
        return self.move.homes[self.move.words[1]]

    def after(self, step: MoveStep) -> str | None:
        """The step of the rung behind that of a step."""
        steps = [rung.words[3] for rung in self.rungs]
        here = steps.index(step.value) if step.value in steps else len(steps)
        return steps[here + 1] if here + 1 < len(steps) else None


def _climbs(notebook: Notebook) -> Iterator[Climb]:
    """The moves of a record, the newest first."""
    found: list[Climb] = []
    rungs: list[Experiment] = []
    for experiment in notebook.experiments:
        if experiment.verb == "rung":
            rungs.append(experiment)
        elif experiment.verb == "migrate":
            found.append(Climb(experiment, tuple(rungs)))
            rungs = []
    return reversed(found)


def _completed(ladder: str, value: Callable[[Climb], str | None]) -> Callable[[Notebook], str | None]:
    """An answer about the newest completed move of the VM to another switch along a ladder."""

    def compute(notebook: Notebook) -> str | None:
        for climb in _climbs(notebook):
            vm, _, way, _ = climb.move.words
            completed = climb.move.outcome == MoveOutcome.COMPLETED.value
            if completed and (vm, way) == (_VM, ladder) and open_at(climb.move.before, _VM) != [climb.destination]:
                return value(climb)
        return None

    return compute


def _added(rung: Experiment, switch: str) -> int:
    return len(difference(rung, switch).added)


def _largest(climb: Climb) -> Experiment:
    return max(climb.rungs, key=lambda rung: _added(rung, climb.destination))


def _added_by(step: MoveStep) -> Callable[[Climb], str | None]:
    def value(climb: Climb) -> str | None:
        rungs = [rung for rung in climb.rungs if rung.words[3] == step.value]
        return str(_added(rungs[0], climb.destination)) if rungs else None

    return value


def _source_is_free(climb: Climb) -> str | None:
    """The step after which the source's switch has no body of the VM."""
    sources = open_at(climb.move.before, _VM)
    for rung in climb.rungs:
        if not any(has_body(rung.after[switch], _VM) for switch in sources):
            return rung.words[3]
    return None


def _nowhere(climb: Climb) -> str:
    return str(sum(not open_at(rung.after, _VM) for rung in climb.rungs))


def _halted(value: Callable[[Climb], str]) -> Callable[[Notebook], str | None]:
    def compute(notebook: Notebook) -> str | None:
        for climb in _climbs(notebook):
            halted = any(rung.outcome == "halted" and rung.words[3] == MoveStep.ASSOCIATE.value for rung in climb.rungs)
            if halted and climb.move.words[0] == _VM:
                return value(climb)
        return None

    return compute


def _changed(climb: Climb) -> str:
    return str(number_changed(climb.move.before, climb.move.after))


def _by_hand(notebook: Notebook) -> str | None:
    """Rules that the former switch has lost by an Associate at another switch."""
    for request in notebook.newest("assoc", _VM):
        here = request.homes[request.words[1]]
        former = [switch for switch in open_at(request.before, _VM) if switch != here]
        if request.outcome == "granted" and former:
            return str(len(difference(request, former[0]).removed))
    return None


_STEPPED = ("step on", "migrate vm1 hv2")
_BACK = ("migrate vm1 hv1 safest-exchange",)
_HALTING = ("migrate vm1 hv2", "'halt' at the rung 'associate'")

LADDERS = Worksheet(
    "2",
    "ladders",
    (
        Question(
            "2.1",
            ("assoc vm1 hv1", *_STEPPED),
            "At which rung does the switch of the destination get the most rules?",
            "rung",
            _completed(_QUICK, lambda climb: _largest(climb).words[3]),
            "compare the lines with '+' under the switch of the destination, rung by rung",
        ),
        Question(
            "2.2",
            _STEPPED,
            "How many rules does this rung add there?",
            "number",
            _completed(_QUICK, lambda climb: str(_added(_largest(climb), climb.destination))),
            "'and N more' counts too; the line of the switch has the numbers before and after",
        ),
        Question(
            "2.3",
            _STEPPED,
            "How many rules does 'associate' add there?",
            "number",
            _completed(_QUICK, _added_by(MoveStep.ASSOCIATE)),
            "count the lines with '+' under the switch of the destination at that rung",
        ),
        Question(
            "2.4",
            _STEPPED,
            "Which rung follows 'suspend'?",
            "rung",
            _completed(_QUICK, lambda climb: climb.after(MoveStep.SUSPEND)),
            "the numbers of the rungs",
        ),
        Question(
            "2.5",
            _STEPPED,
            "After how many rungs does no switch let the frames of vm1 in?",
            "number",
            _completed(_QUICK, _nowhere),
            "a switch lets them in while it has a rule of INGRESS with dl_src=52:54:00:aa:00:01",
        ),
        Question(
            "2.6",
            _STEPPED,
            "After which rung has the switch of the source no body of vm1 any more?",
            "rung",
            _completed(_QUICK, _source_is_free),
            "look for lines with '-' under the switch of the source: who has asked for it?",
        ),
        Question(
            "2.7",
            _BACK,
            "The other ladder: which rung follows 'suspend' now?",
            "rung",
            _completed(_SAFE, lambda climb: climb.after(MoveStep.SUSPEND)),
            "the numbers of the rungs",
        ),
        Question(
            "2.8",
            _BACK,
            "After how many rungs does no switch let the frames of vm1 in?",
            "number",
            _completed(_SAFE, _nowhere),
            "compare with 2.5: what does the safety cost?",
        ),
        Question(
            "2.9",
            _HALTING,
            "How many rules, of all switches, differ from those before the move?",
            "number",
            _halted(_changed),
            "the last lines of the move",
        ),
        Question(
            "2.10",
            _HALTING,
            "At which hypervisor does vm1 run afterwards?",
            "hypervisor",
            _halted(lambda climb: climb.move.words[3]),
            "'nodes' shows it",
        ),
        Question(
            "2.11",
            ("preassoc vm1 hv2", "plug vm1 hv2", "assoc vm1 hv2"),
            "A move by hand, without a De-Associate.  How many rules has the source's switch lost by it?",
            "number",
            _by_hand,
            "the lines with '-' under the switch of the source",
        ),
    ),
)
