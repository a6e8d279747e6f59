"""``python -m bench.pods_page REPORT... --page FILE``: tables of the manual, made from reports.

Reports are what ``python -m bench.pods`` writes.  ``docs/scale.rst`` includes ``docs/performance/scale/pods.txt``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

_LATENCIES = {
    "first_ms": "Associate to answer, no pod has the VSI (ms)",
    "within_ms": "Associate, from another node of the pod (ms)",
    "state_ms": "Pre-Associate, from another pod (ms)",
    "between_ms": "Associate, from another pod (ms)",
    "gap_ms": "of it, from one gate to the other (ms)",
}


def page(reports: Iterable[dict[str, Any]]) -> str:
    """Return the tables of reports: that of the pods has a column for each, that of the directory the last one's."""
    found = list(reports)
    runs = [report["pods"] for report in found if "pods" in report]
    lines = [*_runs(run["circumstances"] for run in runs), "", *_table(_pods(runs)), ""]
    for report in found[-1:] if "directory" in found[-1] else []:
        part = report["directory"]
        lines += [*_runs([part["circumstances"]]), "", *_table(_directories(part["figures"])), ""]
    return "\n".join(lines)


def _runs(circumstances: Iterable[dict[str, Any]]) -> Iterator[str]:
    for facts in circumstances:
        cores = f"{facts['cores']} cores with a load of {facts['load']} before it"
        programs = f"Linux {facts['kernel']}, CPython {facts['python']}, {facts['openvswitch']}"
        yield f"Measured on {facts['date']}, one run: {facts['processor']}, {cores}, {programs}."


def _pods(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
    sizes = runs[0]["circumstances"]
    figures = [run["figures"] for run in runs]
    head = f"{sizes['pods']} pods of {sizes['leaves']} leaves, {sizes['spines']} spines and {sizes['nodes']} nodes"
    yield [head, *(f"{each['vsis']:,} VSIs, p50 / p99" for each in figures)]
    for name, words in _LATENCIES.items():
        yield [words, *(_spread(each[name]) for each in figures)]
    yield [
        f"{figures[0]['at_once']} moves between pods at once, all of them (s)",
        *(f"{each['at_once_s']:.2f}" for each in figures),
    ]
    yield ["Bridge, memory for each VSI (KB)", *(f"{each['memory_kb']:.1f}" for each in figures)]


def _directories(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    yield ["The directory", *(f"{row['servers']} server{'s' if row['servers'] > 1 else ''}" for row in rows)]
    yield ["Owners in it", *(f"{row['owners']:,}" for row in rows)]
    yield ["Claims a second", *(f"{row['a_second']:,.0f}" for row in rows)]
    yield ["One claim, p50 / p99 (ms)", *(_spread(row["alone_ms"]) for row in rows)]
    yield ["Server that leads, memory (MB)", *(f"{row['server_mb']:,.0f}" for row in rows)]


def _spread(spread: dict[str, float]) -> str:
    return f"{spread['p50']:.1f} / {spread['p99']:.1f}"


def _table(rows: Iterable[list[str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in rows:
        yield from (f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("reports", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--page", "path", required=True, type=click.Path(path_type=Path))
def main(reports: tuple[Path, ...], path: Path) -> None:
    """Write the tables of reports."""
    path.write_text(page(json.loads(report.read_text()) for report in reports), encoding="utf-8")


if __name__ == "__main__":
    main()
