"""``python -m bench.page REPORT... --page docs/performance.rst``: the manual's page of figures, made from reports.

Reports are what ``python -m bench`` and ``python -m bench.race`` write.  Those of the page in the manual are in
``docs/performance/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from bench.goals import GOALS, Goal, Known

#: Order of a machine's facts.
_FACTS = ("date", "processor", "cores", "load", "scheduling", "kernel", "python", "ryu", "openvswitch", "ovn", "rounds")
_HEAD = """\
Performance
===========

Made by ``python -m bench.page`` from ``docs/performance/``, the reports of ``make bench`` and ``make bench-ovn``.
All comparisons are interleaved in one run; ratios hold across machines, times do not.

Goals
-----

.. list-table::
   :header-rows: 1
   :widths: 24 12 30 34

   * - What
     - Goal
     - Measured
     - What was tried, and what is left
"""


def page(reports: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return the page of some reports, by their names."""
    found = list(reports)
    known: Known = {
        figure["title"]: {line["name"]: (line["spread"]["p50"], line["ratio"]) for line in figure["lines"]}
        for _, report in found
        for figure in report["figures"]
    }
    parts = [_HEAD, *(_row(goal, known) for goal in GOALS)]
    for name, report in found:
        parts += ["\n", *_report(name, report)]
    return "".join(parts)


def _row(goal: Goal, known: Known) -> str:
    values = {name: value.text(known) for name, value in goal.values.items()}
    shown = "; ".join(f"{name}: **{text}**" for name, text in values.items() if text is not None)
    missing = "not in these reports" if goal.values else "see right"
    return f"   * - {goal.subject}\n     - {goal.goal}\n     - {shown or missing}\n     - {goal.remark}\n"


def _report(name: str, report: dict[str, Any]) -> Iterator[str]:
    yield f"{name}\n{'-' * len(name)}\n\n"
    facts = report["circumstances"]
    yield "; ".join(f"{fact}: {facts[fact]}" for fact in _FACTS if fact in facts) + ".\n"
    for figure in report["figures"]:
        title = f"{figure['title']} ({figure['unit']})"
        yield f"\n.. list-table:: {title}\n   :header-rows: 1\n   :widths: 52 6 9 9 9 9 9\n\n"
        yield from _cells("", "n", "p50", "p90", "least", "most", "ratio")
        for line in figure["lines"]:
            spread = line["spread"]
            numbers = [f"{spread[key]:,.2f}" for key in ("p50", "p90", "least", "most")]
            ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
            yield from _cells(line["name"], str(spread["count"]), *numbers, ratio)
        notes = [*(f"aim: {aim}" for aim in figure["aims"]), *figure["notes"]]
        if notes:
            yield "\n" + "; ".join(notes) + ".\n"


def _cells(first: str, *others: str) -> Iterator[str]:
    yield f"   * - {first}".rstrip() + "\n"
    yield from (f"     - {other}".rstrip() + "\n" for other in others)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("reports", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--page", "path", default="docs/performance.rst", show_default=True, type=click.Path(path_type=Path))
def main(reports: tuple[Path, ...], path: Path) -> None:
    """Make the manual's page of figures from reports."""
    path.write_text(page((report.stem, json.loads(report.read_text())) for report in reports))


if __name__ == "__main__":
    main()
