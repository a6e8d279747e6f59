"""``evbridge sweep``: a scenario over and over with other values of its attributes, a table and plots."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ryu_apps.cli.stage import errors_in_a_line, private_namespaces

if TYPE_CHECKING:
    from ryu_apps.testbed.sweep.plan import Plan, PlannedRun
    from ryu_apps.testbed.sweep.record import SweepRecord

#: Columns of a table that goes to a file.
_WIDE = 160
#: Figures of the table and of the plots.
_SHOWN = ("blackout_ms", "associate_ms", "stage_ms")


@click.command()
@click.argument("scenario", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE,...",
    help="Attribute of the scenario and its values, such as rules=10,100 or vms.vm1.vlan=100,200; may be repeated.",
)
@click.option("--repeat", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Rounds of each point.")
@click.option(
    "--figure",
    "figures",
    multiple=True,
    help=f"Figure of the report for table and plots; may be repeated.  [default: {', '.join(_SHOWN)}]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the runs.")
@click.option("--no-plots", is_flag=True, help="Draw nothing.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the table, the plots and the reports; runs that it has are not measured again."
    "  [default: reports/sweep-NAME-TIME]",
)
def sweep(
    scenario: Path,
    settings: tuple[str, ...],
    repeat: int,
    figures: tuple[str, ...],
    seed: int,
    no_plots: bool,
    output: Path | None,
) -> None:
    """Run a migration scenario with every combination of values, several times, and compare.

    Short names of attributes: rules (ACL rules towards the VM), n (hypervisors), ladder and copy_ms of all migrations,
    interval_ms of all flows; any other has its path in the file, with * for every item.

    A sweep that is interrupted goes on with the same --output.  Needs root, unless all runs are there.  Exits 1 if a
    run could not be measured, a must-be-zero counter is not 0 or an expectation is not met.
    """
    target = output or Path("reports") / f"sweep-{scenario.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    shown = _figures(figures)
    with errors_in_a_line(None):
        plan = _plan(scenario, settings, repeat, seed)
        record = _open(target, plan)
    with errors_in_a_line(target / "runs"):
        plots = not no_plots and _can_draw(console)
        missing = [run for run in plan.runs if run.key not in record.measured]
        console.print(f"{len(plan.runs)} runs, {len(plan.runs) - len(missing)} of them measured", highlight=False)
        if missing:
            private_namespaces()
            _measure(missing, record, console)
        _show(record, shown, console)
        if plots:
            _draw(record, shown, console)
    console.print(f"sweep: {target}/sweep.csv, sweep.json", highlight=False)
    raise SystemExit(_status(plan, record, target, console))


def _plan(scenario: Path, settings: Sequence[str], repeat: int, seed: int) -> Plan:
    from ryu_apps.testbed.sweep.parameters import read_parameter
    from ryu_apps.testbed.sweep.plan import plan_sweep

    return plan_sweep(scenario, list(map(read_parameter, settings)), repeat, seed)


def _figures(wanted: Sequence[str]) -> Sequence[str]:
    from ryu_apps.testbed.sweep.record import MEASURED

    if unknown := sorted(set(wanted) - set(MEASURED)):
        raise click.BadParameter(f"no figure {', '.join(unknown)}; there are: {', '.join(MEASURED)}")
    return tuple(dict.fromkeys(wanted)) or _SHOWN


def _open(target: Path, plan: Plan) -> SweepRecord:
    from ryu_apps.testbed.environment import environment
    from ryu_apps.testbed.sweep.record import open_record

    return open_record(target, plan, environment())


def _can_draw(console: Console) -> bool:
    from ryu_apps.testbed.sweep.style import MISSING, available

    if not available():
        words = f"{MISSING}; then the same command with the same --output"
        console.print(words, style="yellow", highlight=False, markup=False, soft_wrap=True)
    return available()


def _measure(missing: Sequence[PlannedRun], record: SweepRecord, console: Console) -> None:
    """Carry out what is missing; the record is written after each run."""
    from ryu_apps.testbed.sweep.run import IncompleteRun, measure

    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sweep", total=len(missing))
        results = measure(missing, record.folder, lambda words: progress.update(task, description=words))
        with closing(results):
            for result in results:
                if isinstance(result, IncompleteRun):
                    record.note_incomplete(str(result))
                    console.print(str(result), style="red", highlight=False, markup=False, soft_wrap=True)
                else:
                    record.add(result)
                progress.advance(task)


def _show(record: SweepRecord, figures: Sequence[str], console: Console) -> None:
    from ryu_apps.testbed.sweep.summary import summary

    head, lines = summary(record.names, record.rows, figures)
    caption = "median [95 % confidence interval of the median from order statistics; - with fewer than 6 values]"
    table = Table(title=f"sweep of {record.head['scenario']}", title_justify="left", caption=caption)
    for name in head:
        table.add_column(name, justify="left" if name in record.names else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _draw(record: SweepRecord, figures: Sequence[str], console: Console) -> None:
    from ryu_apps.testbed.sweep.plots import draw

    for figure in figures:
        drawn = draw(record.rows, figure, record.folder)
        names = ", ".join(path.name for path in drawn if path.suffix == ".pdf")
        console.print(
            f"plots: {record.folder}/plots: {names or f'none of {figure}'} (and .png)", highlight=False, soft_wrap=True
        )


def _status(plan: Plan, record: SweepRecord, target: Path, console: Console) -> int:
    """Say what is wrong; returns the exit status."""
    failed = [row for row in record.rows if row.values["failures"]]
    for row in failed:
        words = f"{target}/{row.folder}, migration {row.migration}: {row.values['failures']}"
        console.print(words, style="red", highlight=False, markup=False, soft_wrap=True)
    missing = len({run.key for run in plan.runs} - record.measured)
    if missing:
        words = f"{missing} runs are missing; the same command with --output {target} goes on"
        console.print(words, style="red", highlight=False, soft_wrap=True)
    return 1 if failed or missing else 0
