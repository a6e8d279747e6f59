"""Plots of a sweep: a figure of the migrations by each parameter, its distribution, and packets around the move."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ryu_apps.testbed.sweep.around import Around, around
from ryu_apps.testbed.sweep.errors import SweepError
from ryu_apps.testbed.sweep.intervals import median_interval
from ryu_apps.testbed.sweep.record import Row
from ryu_apps.testbed.sweep.style import COLOURS, MARKERS, MISSING, MOST_LINES, available, legend, new_figure, save
from ryu_apps.testbed.sweep.summary import Group, as_number, groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Numbers of which the largest is so many times the smallest are on a logarithmic axis.
_WIDE = 20
#: Milliseconds of the shortest gaps that are shown; those between packets that have waited together are shorter.
_SHORTEST = 0.05
#: Words of parameters and figures on an axis; others have their names.
_WORDS = {
    "rules": "ACL rules towards the VM",
    "n": "hypervisors",
    "copy_ms": "copy of the memory (ms)",
    "interval_ms": "interval of the packets (ms)",
    "blackout_ms": "blackout (ms)",
    "associate_ms": "Associate to response (ms)",
    "stage_ms": "Pre-Associate to response (ms)",
    "handover_ms": "VM stopped to Associate (ms)",
    "rules_staged": "rules staged",
    "lost": "datagrams lost",
}


def draw(rows: Sequence[Row], figure: str, folder: Path) -> list[Path]:
    """Draw all plots of one figure of the migrations.

    Args:
        folder: of the sweep; the plots are in ``plots`` below it.

    Raises:
        SweepError: matplotlib is missing.
    """
    if not available():
        raise SweepError(MISSING)
    found = [group for group in groups(rows) if group.sample(figure)]
    if not found:
        return []
    target = folder / "plots"
    target.mkdir(exist_ok=True)
    drawn = {f"by-{quote(name, safe='')}": by_parameter(found, name, figure) for name in _varied(found)}
    drawn["cumulative"] = cumulative(found, figure)
    typical = [packets for group in found[:MOST_LINES] if (packets := around(group, figure, folder)) is not None]
    if typical:
        drawn["sequence"] = sequence(typical)
    return [path for name, made in drawn.items() for path in save(made, target / f"{figure}-{name}")]


def _varied(found: Sequence[Group]) -> list[str]:
    """Parameters with more than one value."""
    names = found[0].rows[0].names
    return [name for place, name in enumerate(names) if len({group.key[place] for group in found}) > 1]


# --- by a parameter ---
def by_parameter(found: Sequence[Group], name: str, figure: str) -> Figure:
    """Medians with their intervals, and every migration: a line for each combination of the other parameters.

    More combinations than can be told apart are one line of all migrations.
    """
    labels = list(dict.fromkeys(group.label_without([name]) for group in found))
    pooled = len(labels) > MOST_LINES
    values = list(dict.fromkeys(_value(group, name) for group in sorted(found, key=lambda group: _size(group, name))))
    places = _places(values)
    with new_figure() as (made, (axes,)):
        for number, label in enumerate(["all"] if pooled else labels):
            members = [group for group in found if pooled or group.label_without([name]) == label]
            samples: dict[float, list[float]] = {}
            for group in members:
                samples.setdefault(places[_value(group, name)], []).extend(group.sample(figure))
            _draw_medians(axes, number, label, dict(sorted(samples.items())), "-" if _are_numbers(values) else "")
        _scale(axes, values, places)
        axes.set_xlabel(_WORDS.get(name, name))
        axes.set_ylabel(_WORDS.get(figure, figure))
        legend(made, axes)
    return made


def _value(group: Group, name: str) -> str:
    return group.key[group.rows[0].names.index(name)]


def _size(group: Group, name: str) -> float:
    number = as_number(_value(group, name))
    return float("inf") if number is None else number


def _are_numbers(values: Sequence[str]) -> bool:
    return None not in map(as_number, values)


def _places(values: Sequence[str]) -> dict[str, float]:
    """Places on the axis: the numbers themselves, or one after the other if not all are numbers."""
    numbers = map(float, values if _are_numbers(values) else range(len(values)))
    return dict(zip(values, numbers, strict=True))


def _draw_medians(axes: Axes, number: int, label: str, samples: dict[float, list[float]], line: str) -> None:
    colour, marker = COLOURS[number], MARKERS[number]
    found = [median_interval(sample) for sample in samples.values()]
    below = [0.0 if each.low is None else each.median - each.low for each in found]
    above = [0.0 if each.high is None else each.high - each.median for each in found]
    medians = [each.median for each in found]
    axes.errorbar(
        list(samples),
        medians,
        yerr=[below, above],
        color=colour,
        marker=marker,
        capsize=2.5,
        label=label,
        zorder=3,
        ls=line,
    )
    dots = [(place, value) for place, sample in samples.items() for value in sample]
    axes.plot([x for x, _ in dots], [y for _, y in dots], ".", color=colour, alpha=0.3, markersize=2.5, zorder=2)


def _scale(axes: Axes, values: Sequence[str], places: dict[str, float]) -> None:
    if not _are_numbers(values):
        axes.set_xticks(list(places.values()), list(values))
        axes.margins(x=0.15)
    elif min(places.values()) > 0 and max(places.values()) >= _WIDE * min(places.values()):
        axes.set_xscale("log")
        axes.set_xticks(list(places.values()), list(values))
        axes.minorticks_off()
    axes.set_ylim(bottom=0)


# --- distribution ---
def cumulative(found: Sequence[Group], figure: str) -> Figure:
    """Share of the migrations whose figure is at most so much: a line for each point, or one if there are many."""
    lines = [(group.label, group.sample(figure)) for group in found]
    if len(lines) > MOST_LINES:
        lines = [("all", [value for _, sample in lines for value in sample])]
    with new_figure() as (made, (axes,)):
        for number, (label, sample) in enumerate(lines):
            axes.ecdf(sample, label=label, color=COLOURS[number])
        axes.set_xlabel(_WORDS.get(figure, figure))
        axes.set_ylabel("share of moves")
        legend(made, axes)
    return made


# --- packets ---
def sequence(typical: Sequence[Around]) -> Figure:
    """Packets that arrive around the move, and the gaps between them; time is 0 when the VM stops."""
    with new_figure(panels=2) as (made, (upper, lower)):
        for number, packets in enumerate(typical):
            colour = COLOURS[number]
            upper.plot(*_both(packets.arrivals), ".", color=colour, markersize=2, label=packets.label)
            lower.plot(*_both(packets.gaps), ".", color=colour, markersize=2)
        upper.set_ylabel("packet number")
        lower.set_ylabel("gap before it (ms)")
        lower.set_yscale("log")
        lower.set_ylim(bottom=_SHORTEST)
        directions = " / ".join(direction for direction, _ in groupby(packets.direction for packets in typical))
        lower.set_xlabel(f"time since the VM stopped (ms)\n{directions}")
        legend(made, upper, marker_scale=3)
    return made


def _both(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]
