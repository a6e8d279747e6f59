"""Measurements as comparable numbers: percentiles, ratios, a table, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Spread:
    """A sample; all in the unit of the sample."""

    count: int
    p50: float
    p90: float
    p99: float
    least: float
    most: float

    @classmethod
    def of(cls, sample: Iterable[float]) -> Spread:
        ordered = sorted(sample)
        if not ordered:
            raise ValueError("an empty sample")

        def at(share: float) -> float:
            return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

        return cls(len(ordered), at(0.5), at(0.9), at(0.99), ordered[0], ordered[-1])


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table.

    Attributes:
        name: what was measured.
        spread: how it came out.
        ratio: its median against the figure's yardstick, None for the yardstick itself.
    """

    name: str
    spread: Spread
    ratio: float | None = None


@dataclass(slots=True)
class Figure:
    """One question and its answer.

    Attributes:
        title: the question.
        unit: of all spreads.
        aims: what the project wants to reach, for the reader.
        notes: what else has to be said.
    """

    title: str
    unit: str
    lines: list[Line] = field(default_factory=list)
    aims: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """Print it as a table."""
        table = Table(title=f"{self.title} ({self.unit})", title_justify="left", title_style="bold")
        table.add_column("", no_wrap=True)
        for name in ("n", "p50", "p90", "p99", "least", "most", "ratio"):
            table.add_column(name, justify="right")
        for line in self.lines:
            one = line.spread
            numbers = [f"{value:,.2f}" for value in (one.p50, one.p90, one.p99, one.least, one.most)]
            table.add_row(line.name, str(one.count), *numbers, "" if line.ratio is None else f"{line.ratio:.2f}")
        console.print(table)
        for remark in (*(f"aim: {aim}" for aim in self.aims), *self.notes):
            console.print(f"  {remark}", highlight=False)
        console.print()


def write_json(path: Path, figures: Iterable[Figure], circumstances: Mapping[str, object]) -> None:
    """Everything, for machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"circumstances": circumstances, "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(content, indent=2) + "\n")
