"""What a goal on a cluster came to: every VM's way, its figures, and whether the zeros are zeros.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ryu_apps.testbed.replay.report import Figures, cell


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


@dataclass(frozen=True, slots=True)
class VmReport:
    """What became of a VM.

    Attributes:
        source: where it was.
        planned: the first choice, None if there was no place.
        node: where it is now; None: nowhere.
        state: of its last move, in the orchestrator's words; ``stayed`` if it had none.
        reason: why it is not where it should be; empty otherwise.
        tried: nodes that did not work, and why.
        story: (seconds since the beginning, node, words).
        lost: datagrams lost that policy lets through, of a VM that stayed; must be 0.
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


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """A goal, and what it came to.

    Attributes:
        unmet: what the goal wants and is not so, in words.
        attempts: in order of time.
        rules_left: rules that the switches hold when all VMs are gone, and did not before; must be 0.
        seconds: from the first step to the last.
    """

    inventory: str
    goal: str
    station: str
    vms: tuple[VmReport, ...]
    attempts: tuple[AttemptReport, ...]
    unmet: tuple[str, ...] = ()
    rules_left: int = 0
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that is not as it has to be."""
        return tuple(_failures(self))

    @property
    def ok(self) -> bool:
        """The goal is met and the zeros are zeros."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return {
            "inventory": self.inventory,
            "goal": self.goal,
            "station": self.station,
            "ok": self.ok,
            "failures": list(self.failures),
            "seconds": self.seconds,
            "rules_left": self.rules_left,
            "vms": [asdict(one) for one in self.vms],
            "attempts": [_attempt_json(one) for one in self.attempts],
        }


def _failures(report: ClusterReport) -> Iterator[str]:
    yield from report.unmet
    for one in report.attempts:
        yield from (f"{one.figures.vm} to {one.figures.destination}: {words}" for words in one.failures)
    for vm in report.vms:
        if vm.lost:
            yield f"{vm.vm} has lost {vm.lost} datagrams although it stayed where it was"
    if report.rules_left:
        yield f"{report.rules_left} rules were left when all VMs were gone"


def _attempt_json(one: AttemptReport) -> dict[str, Any]:
    figures = {**asdict(one.figures), "outcome": one.figures.outcome.value}
    figures |= {"lost": one.figures.lost, "blackout_ms": one.figures.blackout_ms}
    return {**asdict(one), "figures": figures}


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
    return [_row(one) for one in report.attempts]


def _row(one: AttemptReport) -> tuple[str, ...]:
    figures = one.figures
    way = f"{one.way}, back" if one.home else one.way
    cells = (cell(figures, name) for _, name in _COLUMNS)
    return (figures.vm, figures.source, figures.destination, way, figures.outcome.value, *cells)


def remarks(report: ClusterReport) -> Iterator[str]:
    """Refusals, and who took another place than planned."""
    for one in report.vms:
        for node, reason in one.tried.items():
            yield f"{one.vm}: not at {node}: {reason}"
        moved = one.node is not None and one.node != one.source
        if moved and one.planned is not None and one.planned != one.node:
            yield f"{one.vm}: is at {one.node} in place of {one.planned}"


def verdict(report: ClusterReport) -> str:
    """One line for people."""
    return "; ".join(report.failures) or "the goal is met, the zeros are zeros"


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
