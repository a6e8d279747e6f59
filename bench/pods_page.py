"""``python -m bench.pods_page REPORT --page FILE``: tables of the manual, made from a report.

A report is what ``python -m bench.pods`` writes.  ``docs/scale.rst`` includes ``docs/performance/scale/pods.txt``.
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


def page(report: dict[str, Any]) -> str:
    """Return the tables of a report, below the facts of its run."""
    facts, pods = report["circumstances"], report["pods"]
    programs = f"Linux {facts['kernel']}, CPython {facts['python']}, {facts['openvswitch']}"
    cores = f"{facts['cores']} cores with a load of {facts['load']} before it"
    head = f"Measured on {facts['date']}, one run: {facts['processor']}, {cores}, {programs}.\n"
    title = f"{facts['pods']} pods of {facts['leaves']} leaves and {facts['nodes']} nodes, {pods['vsis']:,} VSIs"
    return "\n".join([head, *_table([title, "p50 / p99"], _pods(pods)), "", *_directories(report["directory"]), ""])


def _pods(pods: dict[str, Any]) -> Iterator[list[str]]:
    for name, words in _LATENCIES.items():
        yield [words, _spread(pods[name])]
    yield [f"{pods['at_once']} moves between pods at once, all of them (s)", f"{pods['at_once_s']:.2f}"]
    yield ["Bridge, memory for each VSI (KB)", f"{pods['memory_kb']:.1f}"]


def _directories(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = [
        ["The directory", *(f"{row['servers']} server{'s' if row['servers'] > 1 else ''}" for row in rows)],
        ["Owners in it", *(f"{row['owners']:,}" for row in rows)],
        ["Claims a second", *(f"{row['a_second']:,.0f}" for row in rows)],
        ["One claim, p50 / p99 (ms)", *(_spread(row["alone_ms"]) for row in rows)],
        ["Server that leads, memory (MB)", *(f"{row['server_mb']:,.0f}" for row in rows)],
    ]
    yield from _table(columns[0], columns[1:])


def _spread(spread: dict[str, float]) -> str:
    return f"{spread['p50']:.1f} / {spread['p99']:.1f}"


def _table(head: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    for row in (head, *rows):
        yield from (f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("report", type=click.Path(exists=True, path_type=Path))
@click.option("--page", "path", required=True, type=click.Path(path_type=Path))
def main(report: Path, path: Path) -> None:
    """Write the tables of a report."""
    path.write_text(page(json.loads(report.read_text())), encoding="utf-8")


if __name__ == "__main__":
    main()
