"""``evbridge replay``: run a migration scenario or a trace on a cluster of its own, and report on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.stage import performance, private_namespaces, this_namespace
from ryu_apps.vcm.trace import Width

if TYPE_CHECKING:
    from ryu_apps.testbed.harness.cluster import Cluster
    from ryu_apps.testbed.replay.pauses import Pauses
    from ryu_apps.testbed.replay.report import MigrationReport, ReplayReport
    from ryu_apps.testbed.replay.scenario import Scenario

OPENFLOW_REST = "ryu.app.ofctl_rest"


@click.command()
@click.argument("scenario", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--day", "seed", type=int, help="Make a trace of a day from this seed instead of reading a file.")
@click.option(
    "--nodes", type=click.IntRange(2, 256), default=16, show_default=True, help="Number of nodes (traces only)."
)
@click.option(
    "--vms",
    type=click.IntRange(1, 4096),
    default=64,
    show_default=True,
    help="With --day: about this many VMs at a time.",
)
@click.option(
    "--moves", type=click.IntRange(min=0), default=200, show_default=True, help="With --day: moves of single VMs."
)
@click.option(
    "--evacuations", type=click.IntRange(min=0), default=8, show_default=True, help="With --day: evacuations of nodes."
)
@click.option(
    "--failures", type=click.IntRange(min=0), default=4, show_default=True, help="With --day: failures of nodes."
)
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Duration of a trace.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report and the ladders.  [default: reports/NAME-TIME]",
)
@click.option(
    "--root-namespace", is_flag=True, help="Build the cluster in this network namespace, where it can be inspected."
)
@click.option("--pause", is_flag=True, help="In each migration, wait for Enter when the VM's rules are staged.")
@click.option("--keep", is_flag=True, help="Keep the cluster up after the last migration, until Enter.")
@click.option("--pcap", is_flag=True, help="Capture every uplink (pcapng, wall clock); needs dumpcap.")
@click.option("--nms", is_flag=True, help="Run evbridge nms serve on the host nms, and show what it has gathered.")
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
    pause: bool,
    keep: bool,
    pcap: bool,
    nms: bool,
    ofctl_rest: bool,
) -> None:
    """Run a migration scenario (.yaml) or a trace (.csv, or --day) and report on it.

    Needs root.  Exits 0 only if all must-be-zero counters are 0 and all expectations are met.
    """
    if (scenario is None) == (seed is None):
        raise click.UsageError("a file or --day is needed, and not both")
    if scenario is None or scenario.suffix == ".csv":
        if pause or keep or pcap or nms:
            raise click.UsageError("--pause, --keep, --pcap and --nms are for scenarios")
        from ryu_apps.cli.trace import TraceOptions, replay_trace

        width = Width(vms, moves, evacuations, failures, room=max(2 * vms // nodes, 2))
        wanted = TraceOptions(scenario, seed or 0, nodes, width, seconds, output)
        raise SystemExit(0 if replay_trace(wanted, root_namespace) else 1)
    if root_namespace:
        this_namespace()
    else:
        private_namespaces()
    loaded = load(scenario, {"nms": True} if nms else None)
    target = output or Path("reports") / f"{loaded.file.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console()
    report = perform(loaded, target, console, ofctl_rest, _pauses(console, pause, keep), pcap)
    for number, migration in enumerate(report.migrations, 1):
        show_ladder(console, migration)
        show_figures(console, [migration])
        console.print(f"ladder: {target}/{number}-{migration.figures.vm}.ladder.svg, .mmd, .txt", highlight=False)
    show_appliances(console, report)
    show_gathered(console, report)
    console.print(f"report: {target}/report.json", highlight=False)
    raise SystemExit(0 if report.ok else 1)


def _pauses(console: Console, pause: bool, keep: bool) -> Pauses:
    from ryu_apps.testbed.replay.pauses import Pauses, inspection

    def wait(words: str, cluster: Cluster) -> None:
        console.print(f"{words}.  From another shell of root:", highlight=False)
        for command in inspection(cluster):
            console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)
        console.print("Enter goes on.")
        sys.stdin.readline()

    waits = {
        **({"staged": partial(wait, "The VM's rules are staged; it still runs at the source")} if pause else {}),
        **({"finished": partial(wait, "All migrations are over; the VMs are where they are")} if keep else {}),
    }
    return Pauses(**waits)


def load(path: Path, given: Mapping[str, object] | None = None) -> Scenario:
    """Read a scenario, perhaps with other values of ``cluster``; ClickException with every mistake."""
    from ryu_apps.testbed.replay.scenario import ScenarioError, load_scenario

    try:
        return load_scenario(path, given or {})
    except ScenarioError as error:
        raise click.ClickException(f"mistakes in the scenario\n{error}") from None


def perform(
    scenario: Scenario,
    output: Path,
    console: Console,
    ofctl_rest: bool = False,
    pauses: Pauses | None = None,
    pcap: bool = False,
) -> ReplayReport:
    """Run a scenario behind a progress display."""
    from ryu_apps.testbed.harness.controller import APPS
    from ryu_apps.testbed.replay.pauses import NO_PAUSES
    from ryu_apps.testbed.replay.player import replay as run_scenario

    apps = (*APPS, OPENFLOW_REST) if ofctl_rest else APPS
    with performance(scenario.file.name, console, output / "logs") as tell:
        return run_scenario(scenario, output, tell, apps, pauses or NO_PAUSES, pcap)


def show_ladder(console: Console, migration: MigrationReport) -> None:
    """Print the ladder diagram, folded to the width of a terminal if there is one."""
    from ryu_apps.testbed.ladder.text import folded

    ladder = folded(migration.ladder, console.width) if console.is_terminal else migration.ladder
    console.print()
    console.print(ladder, markup=False, highlight=False, soft_wrap=True)


def show_appliances(console: Console, report: ReplayReport) -> None:
    """Print what has gone through each appliance, a line each."""
    for appliance in report.appliances:
        style = "red" if appliance.failures else "green"
        console.print(appliance.words, style=style, highlight=False, soft_wrap=True)


def show_gathered(console: Console, report: ReplayReport) -> None:
    """Print what the NMS knows of each VM, a line each, if there is one."""
    for vm in report.gathered:
        counts = ", ".join(f"{number} {name}" for name, number in vm.counts.items())
        parts = [" -> ".join(vm.places), counts, "steps " + ", ".join(vm.steps) if vm.steps else "", *vm.failures]
        words = f"NMS, {vm.vm}: {'; '.join(filter(None, parts)) or 'it has not moved, and has no statistics'}"
        console.print(words, style="red" if vm.failures else "green", highlight=False, soft_wrap=True)


def show_figures(console: Console, migrations: list[MigrationReport]) -> None:
    """Print the figures, one column a migration, and the verdict of each."""
    from ryu_apps.testbed.measurement.figures import ROWS, cell
    from ryu_apps.testbed.measurement.verdict import ALL_MET
    from ryu_apps.testbed.replay.report import services_text

    table = Table("", *(migration.figures.ladder for migration in migrations), "")
    for words, name, unit in ROWS:
        table.add_row(words, *(cell(migration.figures, name) for migration in migrations), unit)
    table.add_row("outcome", *(migration.figures.outcome.value for migration in migrations), "")
    console.print(table)
    for migration in migrations:
        ladder, verdict = migration.figures.ladder, "; ".join(migration.failures) or ALL_MET
        style = "red" if migration.failures else "green"
        if migration.services:
            console.print(f"{ladder}: {services_text(migration)}", highlight=False, soft_wrap=True)
        console.print(f"{ladder}: {verdict}", style=style, highlight=False, soft_wrap=True)
