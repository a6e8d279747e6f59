"""The record of a sweep: ``sweep.csv``, a line for each migration, and ``sweep.json``, what was asked for.

Both are complete after each run, so that a sweep goes on where it was interrupted.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.evidence import Marks
from ryu_apps.testbed.replay.report import MigrationReport, ReplayReport
from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.plan import Plan, PlannedRun

TABLE, HEAD, SCENARIO = "sweep.csv", "sweep.json", "scenario.yaml"

#: Columns that say which migration a line is about, behind those of the parameters.
_IDENTITY = ("round", "migration", "failures")
#: Figures, and two that are computed from them.
FIGURES = (*(found.name for found in fields(Figures) if found.name != "streams_broken"), "lost", "blackout_ms")
_WORDS = ("vm", "ladder", "source", "destination", "outcome", "reason")
#: Figures that are numbers.
MEASURED = tuple(name for name in FIGURES if name not in _WORDS)
_MARKS = tuple(found.name for found in fields(Marks))
_ENVIRONMENT = ("date", "load", "cores", "kernel", "python", "evbridge", "ryu", "openvswitch", "lldpad")

#: Key of a run: the values of the parameters, and the round.
RunKey = tuple[tuple[str, ...], int]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        values: texts by column.
        names: of the parameters.
    """

    values: dict[str, str]
    names: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Values of the parameters."""
        return tuple(self.values[name] for name in self.names)

    @property
    def run(self) -> RunKey:
        """Key of the run."""
        return self.key, int(self.values["round"])

    @property
    def migration(self) -> int:
        """Number of the migration in the scenario, from 1."""
        return int(self.values["migration"])

    @property
    def folder(self) -> str:
        """Folder of the run's report, below that of the sweep."""
        return self.values["folder"]

    def number(self, column: str) -> float | None:
        """A figure; None where nothing was measured."""
        text = self.values[column]
        return float(text) if text else None


def columns(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of the table; a figure that has the name of a parameter is there once, as the parameter."""
    figures = [name for name in FIGURES if name not in names]
    return (*names, *_IDENTITY, *figures, *_MARKS, *_ENVIRONMENT, "folder")


def rows_of(run: PlannedRun, report: ReplayReport) -> list[Row]:
    """The lines of one run."""
    names = run.point.names
    point = dict(zip(names, run.point.key, strict=True))
    return [
        Row(_values(run, report, number, migration) | point, names)
        for number, migration in enumerate(report.migrations, 1)
    ]


def _values(run: PlannedRun, report: ReplayReport, number: int, migration: MigrationReport) -> dict[str, str]:
    found: dict[str, Any] = {**migration.figures.as_json(), **asdict(migration.marks), **report.environment}
    found |= {"round": run.round, "migration": number, "folder": run.folder}
    found |= {"failures": "; ".join(migration.failures)}
    return {name: _text(found.get(name)) for name in columns(run.point.names)}


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


@dataclass(slots=True)
class SweepRecord:
    """Results so far.

    Attributes:
        folder: of the sweep.
        head: the content of ``sweep.json``.
        rows: in the order in which they were measured.
    """

    folder: Path
    head: dict[str, Any]
    names: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    @property
    def measured(self) -> set[RunKey]:
        """Runs that need not be repeated."""
        return {row.run for row in self.rows}

    def add(self, rows: Iterable[Row]) -> None:
        """Add the lines of a run, and write the table."""
        self.rows += rows
        self._write()

    def note_incomplete(self, words: str) -> None:
        """Note a run that could not be measured; it is measured again when the sweep goes on."""
        self.head["incomplete"].append(words)
        self._write()

    def _write(self) -> None:
        table = io.StringIO()
        writer = csv.DictWriter(table, columns(self.names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.values for row in self.rows)
        _replace(self.folder / TABLE, table.getvalue())
        _replace(self.folder / HEAD, json.dumps(self.head, indent=2) + "\n")


def open_record(folder: Path, plan: Plan, environment: dict[str, Any]) -> SweepRecord:
    """Begin the record of a sweep, or continue that of the same scenario with the same parameters.

    More values and more rounds than before are no other sweep.

    Raises:
        SweepError: the folder has another sweep, or something that is no record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(parameter.name for parameter in plan.parameters)
    record = SweepRecord(folder, _head(plan, environment), names)
    if (folder / HEAD).exists():
        _continue(record, plan)
    else:
        _replace(folder / SCENARIO, plan.text)
    record._write()
    return record


def _head(plan: Plan, environment: dict[str, Any]) -> dict[str, Any]:
    return {
        "scenario": plan.path.name,
        "parameters": {parameter.name: list(parameter.values) for parameter in plan.parameters},
        "repeat": plan.repeat,
        "seed": plan.seed,
        "environments": [environment],
        "incomplete": [],
    }


def _continue(record: SweepRecord, plan: Plan) -> None:
    """Take over what the folder has."""
    folder = record.folder
    try:
        former = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        text = (folder / SCENARIO).read_text(encoding="utf-8")
        names, seed = tuple(former["parameters"]), former["seed"]
        record.head = _merged(former, record.head)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SweepError(f"{folder / HEAD} is no record of evbridge sweep: {error}") from error
    if text != plan.text:
        raise SweepError(f"{folder} has a sweep of another scenario; {folder / SCENARIO} is what was measured")
    if names != record.names:
        there, wanted = (", ".join(found) or "none" for found in (names, record.names))
        raise SweepError(f"{folder} has a sweep with the parameters {there}, not {wanted}")
    if seed != plan.seed:
        raise SweepError(f"{folder} has a sweep with the seed {seed}, not {plan.seed}")
    record.rows = read_rows(folder / TABLE, names)


def _merged(former: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """The head of a sweep that goes on: what either has asked for, on all machines."""
    parameters = {
        name: [*former["parameters"][name], *(value for value in values if value not in former["parameters"][name])]
        for name, values in head["parameters"].items()
        if name in former["parameters"]
    }
    environments = [*former["environments"], *head["environments"]]
    repeat, incomplete = max(former["repeat"], head["repeat"]), list(former["incomplete"])
    merged = {"parameters": parameters, "repeat": repeat, "environments": environments, "incomplete": incomplete}
    return {**head, **merged}


def read_rows(path: Path, names: tuple[str, ...]) -> list[Row]:
    """Read a table; migrations of a run of which not all are there are left out.

    Raises:
        SweepError: it is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = [Row(values, names) for values in reader]
            head = tuple(reader.fieldnames or ())
        numbers = Counter(row.run for row in rows)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SweepError(f"{path} is no table of evbridge sweep: {error}") from error
    if head != columns(names):
        raise SweepError(f"{path} has other columns than evbridge sweep writes")
    most = max(numbers.values(), default=0)
    return [row for row in rows if numbers[row.run] == most]


def _replace(path: Path, text: str) -> None:
    """Replace a file at once: an interrupt leaves the old one or the new one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
