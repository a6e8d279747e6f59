"""``evbridge matrix``: the founding paper's tables, measured."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ryu_apps.cli.stage import errors_in_a_line, private_namespaces

if TYPE_CHECKING:
    from ryu_apps.testbed.matrix.run import Cell
    from ryu_apps.testbed.matrix.tables import MatrixTable as Found


#: Columns of a table that goes to a file.
_WIDE = 160


@click.command()
@click.option("--live", "sizes", type=click.IntRange(min=0), multiple=True, help="Live connections; may be repeated.")
@click.option("--service", "services", multiple=True, help="Only this row of the tables; may be repeated.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for matrix.json, matrix.rst and the logs.  [default: reports/matrix-TIME]",
)
def matrix(sizes: tuple[int, ...], services: tuple[str, ...], output: Path | None) -> None:
    """Move a VM under every service, ladder and trigger, and print the founding paper's three tables.

    Each service is moved with 0, 10, 100 and 1,000 live connections or memberships (--live: others).
    Needs root.  Exits 0 only if no connection broke and no forbidden frame passed.
    """
    private_namespaces()
    from ryu_apps.testbed.matrix.play import SIZES, WORKLOADS, all_cases, play
    from ryu_apps.testbed.matrix.tables import tables

    unknown = set(services) - {workload.service for workload in WORKLOADS}
    if unknown:
        known = ", ".join(workload.service for workload in WORKLOADS)
        raise click.BadParameter(f"no service {', '.join(sorted(unknown))}; there are: {known}")
    target = output or Path("reports") / f"matrix-{time.strftime('%Y%m%d-%H%M%S')}"
    target.mkdir(parents=True, exist_ok=True)
    wanted = [case for case in all_cases(sizes or SIZES) if not services or case.workload.service in services]
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    cells: list[Cell] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("matrix", total=len(wanted))
        with errors_in_a_line(target / "logs"):
            for cell in play(wanted, target, lambda words: progress.update(task, description=words)):
                cells.append(cell)
                progress.advance(task)
    for found in tables(cells):
        _show(console, found)
    _write(target, cells)
    console.print(f"matrix: {target}/matrix.json, {target}/matrix.rst", highlight=False)
    failed = [cell for cell in cells if cell.broken or cell.trespassed]
    for cell in failed:
        console.print(
            f"{cell.service}, {cell.live} live, {cell.ladder}, {cell.trigger} trigger: {cell.broken} broken,"
            f" {cell.trespassed} trespassed",
            style="red",
            highlight=False,
        )
    raise SystemExit(1 if failed else 0)


def _show(console: Console, found: Found) -> None:
    table = Table(title=found.title, title_justify="left")
    for head in found.head:
        table.add_column(head, overflow="fold")
    for row in found.rows:
        table.add_row(*row)
    console.print(table)


def _write(target: Path, cells: list[Cell]) -> None:
    from ryu_apps.testbed.matrix.tables import as_text, tables

    machine = {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
    body = {"machine": machine, "cells": [cell.as_json() for cell in cells]}
    (target / "matrix.json").write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    text = f"Measured on {machine['date']} on {machine['cores']} cores.\n\n" + "\n".join(map(as_text, tables(cells)))
    (target / "matrix.rst").write_text(text, encoding="utf-8")
