"""``evbridge matrix``: the founding paper's tables, measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ryu_apps.cli.stage import errors_in_a_line, private_namespaces

if TYPE_CHECKING:
    from ryu_apps.testbed.matrix.record import MatrixRecord
    from ryu_apps.testbed.matrix.run import Case
    from ryu_apps.testbed.matrix.tables import MatrixTable


#: Columns of a table that goes to a file.
_WIDE = 200
#: Memberships of one VSI are limited to so many, and a proxy to four times as many connections.
_MOST = 1000
#: Exit statuses.
BROKEN, DISAGREES = 1, 3


@click.command()
@click.option(
    "--live", "sizes", type=click.IntRange(0, _MOST), multiple=True, help="Live connections; may be repeated."
)
@click.option(
    "--suspension",
    "suspensions",
    type=click.FloatRange(0, 60),
    multiple=True,
    help="Seconds from the final suspend to the end of the last pages; may be repeated.",
)
@click.option("--service", "services", multiple=True, help="Only this row of the tables; may be repeated.")
@click.option(
    "--cells",
    "patterns",
    multiple=True,
    help="Only cells of such names, SERVICE-LIVE-LADDER-TRIGGER-SECONDS with * and ?; may be repeated.",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=1, show_default=True, help="Moves of each cell.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for matrix.json, matrix.rst and the logs; cells that it has are not measured again."
    "  [default: reports/matrix-TIME]",
)
@click.option(
    "--against",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Record whose verdicts are compared.  [default: the manual's]",
)
def matrix(
    sizes: tuple[int, ...],
    suspensions: tuple[float, ...],
    services: tuple[str, ...],
    patterns: tuple[str, ...],
    rounds: int,
    output: Path | None,
    against: Path | None,
) -> None:
    """Move a VM under every service, ladder and trigger, and print the founding paper's tables.

    Each service is moved with 0, 10, 100 and 1,000 live connections or memberships (--live: others); one whose state
    comes while the VM runs is suspended for 0.05, 0.2, 1 and 5 s (--suspension: others).  A run that is interrupted
    goes on with the same --output.  Needs root.  Exits 1 if a connection broke, a forbidden frame passed
    or a move was not completed, 3 if a verdict is not that of the record.
    """
    private_namespaces()
    from ryu_apps.testbed.matrix.play import SIZES, SUSPENSIONS, all_cases
    from ryu_apps.testbed.matrix.record import SHOWN, open_record, read_record

    _check(services)
    target = output or Path("reports") / f"matrix-{time.strftime('%Y%m%d-%H%M%S')}"
    target.mkdir(parents=True, exist_ok=True)
    cases = all_cases(sizes or SIZES, suspensions or SUSPENSIONS, rounds, patterns)
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with errors_in_a_line(None):
        recorded = read_record(against or SHOWN)
        record = open_record(target / "matrix.json")
    with errors_in_a_line(target / "logs"):
        wanted = [case for case in cases if not services or case.workload.service in services]
        _measure([case for case in wanted if case.key not in record.keys], record, target, console)
    _show(record, target, console)
    status = judge(record, recorded, console)
    raise SystemExit(status if {case.key for case in wanted} <= record.keys else BROKEN)


def _check(services: Sequence[str]) -> None:
    from ryu_apps.testbed.matrix.play import WORKLOADS

    known = [workload.service for workload in WORKLOADS]
    if unknown := sorted(set(services) - set(known)):
        raise click.BadParameter(f"no service {', '.join(unknown)}; there are: {', '.join(known)}")


def _measure(wanted: Sequence[Case], record: MatrixRecord, target: Path, console: Console) -> None:
    """Run what is missing; the record is written after each move."""
    from ryu_apps.testbed.matrix.play import IncompleteCase, play

    if not wanted:
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("matrix", total=len(wanted))
        for result in play(wanted, target, lambda words: progress.update(task, description=words)):
            if isinstance(result, IncompleteCase):
                record.incomplete.append(str(result))
                console.print(str(result), style="red", highlight=False)
            else:
                record.cells.append(result)
            record.write(target / "matrix.json")
            progress.advance(task)


def _show(record: MatrixRecord, target: Path, console: Console) -> None:
    from ryu_apps.testbed.matrix.play import WORKLOADS
    from ryu_apps.testbed.matrix.tables import as_text, tables

    made = tables(record.cells, WORKLOADS)
    for table in made.values():
        _print(console, table)
    text = f"{record.conditions}\n\n" + "\n".join(map(as_text, made.values()))
    (target / "matrix.rst").write_text(text, encoding="utf-8")
    console.print(f"matrix: {target}/matrix.json, {target}/matrix.rst", highlight=False)


def _print(console: Console, found: MatrixTable) -> None:
    table = Table(title=found.title, title_justify="left")
    for head in found.head:
        table.add_column(head, overflow="fold")
    for row in found.rows:
        table.add_row(*row)
    console.print(table)


def judge(record: MatrixRecord, recorded: MatrixRecord, console: Console) -> int:
    """Print what broke, and the verdicts that the record does not share; return the exit status."""
    from ryu_apps.testbed.matrix.verdicts import disagreements, verdicts

    failed = [cell for cell in record.cells if cell.broken or cell.trespassed]
    for cell in failed:
        words = f"{cell.row}, {cell.trigger} trigger, round {cell.round}: {cell.broken} broken"
        words += f", {cell.trespassed} trespassed"
        console.print(words, style="red", highlight=False)
    differing = disagreements(verdicts(recorded.cells), verdicts(record.cells))
    for difference in differing:
        console.print(str(difference), style="yellow", highlight=False)
    if failed:
        return BROKEN
    return DISAGREES if differing else 0
