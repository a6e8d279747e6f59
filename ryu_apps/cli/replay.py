"""``evbridge replay``: run a migration scenario or a trace on a cluster of its own; are the zeros zeros?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.stage import performance, private_namespaces, this_namespace
from ryu_apps.vcm.trace import Width

if TYPE_CHECKING:
    from ryu_apps.testbed.replay.report import MigrationReport, ReplayReport
    from ryu_apps.testbed.replay.scenario import Scenario

OPENFLOW_REST = "ryu.app.ofctl_rest"


@click.command()
@click.argument("scenario", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--day", "seed", type=int, help="Instead of a file: a day made from this seed, written to the folder.")
@click.option("--nodes", type=click.IntRange(2, 256), default=16, show_default=True, help="Of a trace's cluster.")
@click.option(
    "--vms", type=click.IntRange(1, 4096), default=64, show_default=True, help="With --day: at a time, about."
)
@click.option("--moves", type=click.IntRange(min=0), default=200, show_default=True, help="With --day: of single VMs.")
@click.option("--evacuations", type=click.IntRange(min=0), default=8, show_default=True, help="With --day: of nodes.")
@click.option("--failures", type=click.IntRange(min=0), default=4, show_default=True, help="With --day: of nodes.")
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="That a trace takes.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report and the ladders.  [default: reports/NAME-TIME]",
)
@click.option("--root-namespace", is_flag=True, help="Build the cluster in this namespace, where you can get at it.")
@click.option("--ofctl-rest", is_flag=True, help=f"Load {OPENFLOW_REST} beside evbridge's apps.")
def replay(
    scenario: Path | None,
    seed: int | None,
    nodes: int,
    vms: int,
    moves: int,
    evacuations: int,
    failures: int,
    seconds: float,
    output: Path | None,
    root_namespace: bool,
    ofctl_rest: bool,
) -> None:
    """Run a migration scenario (.yaml) or a trace (.csv, or --day) and report on it.

    Needs root.  Exits 0 only if nothing leaked, nothing was left behind and every expectation held.
    """
    if (scenario is None) == (seed is None):
        raise click.UsageError("a file or --day, one of them")
    if scenario is None or scenario.suffix == ".csv":
        from ryu_apps.cli.trace import TraceOptions, replay_trace

        width = Width(vms, moves, evacuations, failures, room=max(2 * vms // nodes, 2))
        wanted = TraceOptions(scenario, seed or 0, nodes, width, seconds, output)
        raise SystemExit(0 if replay_trace(wanted, root_namespace) else 1)
    if root_namespace:
        this_namespace()
    else:
        private_namespaces()
    loaded = load(scenario)
    target = output or Path("reports") / f"{loaded.file.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console()
    report = perform(loaded, target, console, ofctl_rest)
    for number, migration in enumerate(report.migrations, 1):
        show_ladder(console, migration)
        show_figures(console, [migration])
        console.print(f"ladder: {target}/{number}-{migration.figures.vm}.ladder.svg, .mmd, .txt", highlight=False)
    console.print(f"report: {target}/report.json", highlight=False)
    raise SystemExit(0 if report.ok else 1)


def load(path: Path) -> Scenario:
    """Read a scenario; ClickException with every mistake."""
    from ryu_apps.testbed.replay.scenario import ScenarioError, load_scenario

    try:
        return load_scenario(path)
    except ScenarioError as error:
        raise click.ClickException(f"mistakes in the scenario\n{error}") from None


def perform(scenario: Scenario, output: Path, console: Console, ofctl_rest: bool = False) -> ReplayReport:
    """Run a scenario behind a progress display."""
    from ryu_apps.testbed.harness.controller import APPS
    from ryu_apps.testbed.replay.player import replay as run_scenario

    apps = (*APPS, OPENFLOW_REST) if ofctl_rest else APPS
    with performance(scenario.file.name, console, output / "logs") as tell:
        return run_scenario(scenario, output, tell, apps)


def show_ladder(console: Console, migration: MigrationReport) -> None:
    """Print the ladder so that a terminal need not break its lines; as it is where there is none."""
    from ryu_apps.testbed.ladder.text import folded

    ladder = folded(migration.ladder, console.width) if console.is_terminal else migration.ladder
    console.print()
    console.print(ladder, markup=False, highlight=False, soft_wrap=True)


def show_figures(console: Console, migrations: list[MigrationReport]) -> None:
    """Print the figures, one column a migration, and everything that is not as it has to be."""
    from ryu_apps.testbed.replay.report import ROWS, cell, services_told

    table = Table("", *(one.figures.ladder for one in migrations), "")
    for words, name, unit in ROWS:
        table.add_row(words, *(cell(one.figures, name) for one in migrations), unit)
    table.add_row("outcome", *(one.figures.outcome.value for one in migrations), "")
    console.print(table)
    for one in migrations:
        verdict = "; ".join(one.failures) or "the zeros are zeros, every expectation held"
        style = "red" if one.failures else "green"
        if one.services:
            console.print(f"{one.figures.ladder}: {services_told(one)}", highlight=False, soft_wrap=True)
        console.print(f"{one.figures.ladder}: {verdict}", style=style, highlight=False, soft_wrap=True)
