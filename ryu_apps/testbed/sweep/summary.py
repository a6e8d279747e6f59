"""Results of a sweep by point: samples, medians with their intervals, and the table for people.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ryu_apps.testbed.sweep.intervals import MedianInterval, median_interval
from ryu_apps.testbed.sweep.plan import label_of
from ryu_apps.testbed.sweep.record import Row


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one point and one migration of the scenario.

    Attributes:
        key: values of the parameters.
        migration: its number; 0 if the scenario has one only.
        rows: at least one.
    """

    key: tuple[str, ...]
    migration: int
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """The values with their names, and the migration if there are several."""
        return self.label_without(())

    def label_without(self, left_out: Sequence[str]) -> str:
        """The label without some of the parameters."""
        names = self.rows[0].names
        kept = [(name, value) for name, value in zip(names, self.key, strict=True) if name not in left_out]
        words = [label_of([name for name, _ in kept], [value for _, value in kept])] if kept else []
        words += [f"migration {self.migration}"] if self.migration else []
        return ", ".join(words) or "all"

    def sample(self, figure: str) -> list[float]:
        """A figure of each row that has it."""
        return [value for row in self.rows if (value := row.number(figure)) is not None]


def groups(rows: Iterable[Row]) -> list[Group]:
    """Rows by point and migration, in the order of the points' values."""
    found: dict[tuple[tuple[str, ...], int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.key, row.migration), []).append(row)
    several = any(migration > 1 for _, migration in found)
    made = [Group(key, migration if several else 0, tuple(members)) for (key, migration), members in found.items()]
    return sorted(made, key=lambda group: ([_order(value) for value in group.key], group.migration))


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before other values by name."""
    number = as_number(value)
    return (1, 0.0, value) if number is None else (0, number, value)


def as_number(value: str) -> float | None:
    """The number that a value of a parameter is, if it is one."""
    try:
        return float(value)
    except ValueError:
        return None


def summary(names: Sequence[str], rows: Iterable[Row], figures: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table: a line for each point and migration, with the medians of some figures."""
    found = groups(rows)
    several = any(group.migration for group in found)
    head = [*names, *(["migration"] if several else []), "moves", "failed", *figures]
    lines = []
    for group in found:
        failed = sum(bool(row.values["failures"]) for row in group.rows)
        samples = [group.sample(figure) for figure in figures]
        medians = [interval_text(median_interval(sample) if sample else None) for sample in samples]
        migration = [str(group.migration)] if several else []
        lines.append([*group.key, *migration, str(len(group.rows)), str(failed), *medians])
    return head, lines


def interval_text(found: MedianInterval | None) -> str:
    """A median and its interval in three significant digits or more."""
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{_digits(found.median)} [-]"
    return f"{_digits(found.median)} [{_digits(found.low)}, {_digits(found.high)}]"


def _digits(value: float) -> str:
    # From 999.5 on three digits would be written as 1e+03.
    return f"{value:.0f}" if abs(value) >= 999.5 or value == int(value) else f"{value:.3g}"
