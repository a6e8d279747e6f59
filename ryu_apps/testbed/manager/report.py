"""Report of a goal on a cluster: the moves of every VM, their figures and the verdict.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ryu_apps.testbed.measurement.appliances import ApplianceReport
from ryu_apps.testbed.measurement.figures import Figures, cell
from ryu_apps.testbed.measurement.measure import Seen, figures
from ryu_apps.testbed.measurement.ties import Tie
from ryu_apps.testbed.measurement.verdict import Expectation, failures
from ryu_apps.testbed.moves.attempt import Attempt


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """A VM's way to one node.

    Attributes:
        way: ladder, or ``restart``.
        home: a way back, because everything was to be undone.
        failures: what is not as it has to be, in words.
    """

    way: str
    home: bool
    figures: Figures
    failures: tuple[str, ...]


def attempt_report(attempt: Attempt, seen: Seen) -> AttemptReport:
    """Report of one attempt from its observations."""
    found = figures(seen)
    wanted = Expectation(outcome=attempt.evidence.outcome)
    return AttemptReport(attempt.ladder.value, attempt.owner.home, found, tuple(failures(found, wanted)))


@dataclass(frozen=True, slots=True)
class VmReport:
    """Report of one VM.

    Attributes:
        source: where it was.
        planned: the first choice, None if there was no place.
        node: where it is now; None: nowhere.
        state: of its last move, in the orchestrator's words; ``stayed`` if it had none.
        reason: why it is not where it should be; empty otherwise.
        tried: nodes that did not work, and why.
        log: (seconds since the beginning, node, words).
        lost: datagrams lost that policy lets through, of a VM that stayed; must be 0.
        ties: to proxies of switches that it has left.
        networks: of a VM without a VID of its own, the network that the bridge has answered, by node.
    """

    vm: str
    source: str
    planned: str | None
    node: str | None
    state: str
    reason: str = ""
    tried: dict[str, str] = field(default_factory=dict)
    log: tuple[tuple[float, str, str], ...] = ()
    lost: int = 0
    networks: dict[str, str] = field(default_factory=dict)
    ties: tuple[Tie, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """Report of a goal.

    Attributes:
        unmet: conditions of the goal that are not met, in words.
        attempts: in order of time.
        rules_left: rules that the switches hold when all VMs are gone, and did not before; must be 0.
        seconds: from the first step to the last.
        appliances: traffic through the firewalls in VMs.
    """

    inventory: str
    goal: str
    station: str
    vms: tuple[VmReport, ...]
    attempts: tuple[AttemptReport, ...]
    unmet: tuple[str, ...] = ()
    rules_left: int = 0
    seconds: float = 0.0
    appliances: tuple[ApplianceReport, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """All that is not as it has to be, in words."""
        return tuple(_failures(self))

    @property
    def ok(self) -> bool:
        """The goal is met, and all must-be-zero counters are 0."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """Return a value for ``json.dump``."""
        return {
            "inventory": self.inventory,
            "goal": self.goal,
            "station": self.station,
            "ok": self.ok,
            "failures": list(self.failures),
            "seconds": self.seconds,
            "rules_left": self.rules_left,
            "vms": [asdict(vm) for vm in self.vms],
            "appliances": [asdict(appliance) for appliance in self.appliances],
            "attempts": [{**asdict(attempt), "figures": attempt.figures.as_json()} for attempt in self.attempts],
        }


def _failures(report: ClusterReport) -> Iterator[str]:
    yield from report.unmet
    for attempt in report.attempts:
        move = f"{attempt.figures.vm} to {attempt.figures.destination}"
        yield from (f"{move}: {words}" for words in attempt.failures)
    for appliance in report.appliances:
        yield from appliance.failures
    for vm in report.vms:
        if vm.lost:
            yield f"{vm.vm} has lost {vm.lost} datagrams although it stayed where it was"
    if report.rules_left:
        yield f"{report.rules_left} rules were left when all VMs were gone"


#: Columns of the table for people: (head, figure).
_COLUMNS = (
    ("staging ms", "stage_ms"),
    ("associate ms", "associate_ms"),
    ("blackout ms", "blackout_ms"),
    ("sent", "sent"),
    ("lost", "lost"),
    ("rules staged", "rules_staged"),
)
HEAD = ("VM", "from", "to", "way", "outcome", *(head for head, _ in _COLUMNS))


def rows(report: ClusterReport) -> list[tuple[str, ...]]:
    """The table's body, a row an attempt."""
    return [_row(attempt) for attempt in report.attempts]


def _row(attempt: AttemptReport) -> tuple[str, ...]:
    found = attempt.figures
    way = f"{attempt.way}, back" if attempt.home else attempt.way
    cells = (cell(found, name) for _, name in _COLUMNS)
    return (found.vm, found.source, found.destination, way, found.outcome.value, *cells)


def remarks(report: ClusterReport) -> Iterator[str]:
    """Networks that the bridge has chosen, ties to proxies, refusals, VMs at another node than planned, appliances."""
    for vm in report.vms:
        if vm.networks:
            yield f"{vm.vm}: " + "; ".join(f"{network} at {node}" for node, network in vm.networks.items())
        yield from (f"{vm.vm}: {tie}" for tie in vm.ties)
        for node, reason in vm.tried.items():
            yield f"{vm.vm}: not at {node}: {reason}"
        moved = vm.node is not None and vm.node != vm.source
        if moved and vm.planned is not None and vm.planned != vm.node:
            yield f"{vm.vm}: is at {vm.node} in place of {vm.planned}"
    yield from (appliance.words for appliance in report.appliances)


def verdict(report: ClusterReport) -> str:
    """One line for people."""
    return "; ".join(report.failures) or "the goal is met; all must-be-zero counters are 0"


def as_text(report: ClusterReport) -> str:
    """The report for people, as it is written to a file."""
    body = [HEAD, *rows(report)]
    widths = [max(len(row[column]) for row in body) for column in range(len(HEAD))]
    lines = [f"{report.inventory}: {report.goal}, {report.station} stations, {report.seconds:.1f} s", ""]
    lines += [_line(row, widths) for row in body]
    more = list(remarks(report))
    return "\n".join([*lines, "", *more, *([""] if more else []), verdict(report)]) + "\n"


def _line(row: Iterable[str], widths: list[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
