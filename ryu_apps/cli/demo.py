"""``evbridge demo``: both ladders of the founding paper on one screen, with the rules as the switch has them.

With ``--cluster`` one ladder on three bridges, of which the leader is killed.  With ``--page`` a cluster whose VMs move
until Ctrl-C, behind the live page of its controller.  With ``--paper`` a cluster of the paper's pictures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from ryu_apps import testbed
from ryu_apps.cli.demo_paper import load_paper, show_paper
from ryu_apps.cli.replay import load, perform, show_figures, show_ladder
from ryu_apps.cli.stage import errors_in_a_line, performance, private_namespaces
from ryu_apps.evb.config.service_sections import MAX_PATIENCE, MIN_PATIENCE, PATIENCE

if TYPE_CHECKING:
    from ryu_apps.testbed.replay.report import MigrationReport

SCENARIOS = ("minimize-latency", "safest-exchange")
_SHIPPED = Path(testbed.__file__).parent / "scenarios"
#: Rules of one dump that fit a screen.
SHOWN = 14
#: The scenario whose VMs move behind the live page.
WATCHED = "shop"


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for reports and ladders.")
@click.option("--cluster", "of_three", is_flag=True, help="Three bridges; the leader is killed during the move.")
@click.option(
    "--patience",
    type=click.FloatRange(MIN_PATIENCE, MAX_PATIENCE),
    default=PATIENCE,
    show_default=True,
    help="With --cluster: patience of the bridges, seconds; a busy machine needs more.",
)
@click.option("--page", is_flag=True, help="Keep the cluster up, with VMs that move, and show its live page.")
@click.option(
    "--paper", type=click.Choice(("modest", "larger")), help="A cluster of the founding paper, with vSwitches, drawn."
)
@click.option("--nodes", type=click.IntRange(1), help="With --paper: nodes, 8 to 32 or 32 to 256.  [default: 8 or 32]")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="With --page: port of the page."
)
def demo(
    output: Path | None,
    of_three: bool,
    patience: float,
    page: bool,
    paper: str | None,
    nodes: int | None,
    port: int,
) -> None:
    """Move a VM between two switches, with its policy staged ahead.

    Runs both ladders with a TCP stream and a 1 ms probe across the move; with --cluster one of them, and kills the
    bridge that leads.  Needs root.  Exits 0 only if all must-be-zero counters are 0 and all expectations are met.

    With --page VMs move to and fro until Ctrl-C, and a browser shows it.  With --paper they move between VEPAs and
    vSwitches of all kinds, through a firewall in a VM and a load balancer.
    """
    target = output or Path("reports") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console()
    if page and of_three:
        raise click.UsageError("--page and --cluster exclude each other")
    if paper is not None and (page or of_three):
        raise click.UsageError("--paper excludes --page and --cluster")
    if nodes is not None and paper is None:
        raise click.UsageError("--nodes is of use with --paper alone")
    if paper is not None:
        chosen = load_paper(paper, nodes)
        private_namespaces()
        raise SystemExit(0 if show_paper(console, chosen, target) else 1)
    if page:
        _show_page(target, port, console)
        return
    private_namespaces()
    raise SystemExit(0 if (_of_three(console, target, patience) if of_three else _of_one(console, target)) else 1)


def _of_one(console: Console, target: Path) -> bool:
    """Run both ladders on one bridge; returns False if a counter is not 0 or an expectation is not met."""
    reports = []
    for name in SCENARIOS:
        console.rule(name)
        scenario = load(_SHIPPED / f"{name}.yaml")
        console.print(scenario.file.description, highlight=False)
        report = perform(scenario, target / name, console)
        for migration in report.migrations:
            _show_rules(console, migration)
            show_ladder(console, migration)
        reports.append(report)
    console.rule("figures")
    show_figures(console, [migration for report in reports for migration in report.migrations])
    console.print(f"reports, ladders (SVG, Mermaid) and logs: {target}", highlight=False)
    return all(report.ok for report in reports)


def _of_three(console: Console, target: Path, patience: float) -> bool:
    """Run a ladder on three bridges whose leader is killed; as :func:`_of_one`, and no bystander has lost a packet."""
    from ryu_apps.testbed.replay.take_over import replay_with_take_over

    scenario = load(_SHIPPED / f"{SCENARIOS[0]}.yaml")
    with performance("three bridges", console, target / "logs") as tell:
        report, taken = replay_with_take_over(scenario, target, patience, tell)
    for migration in report.migrations:
        show_ladder(console, migration)
    show_figures(console, list(report.migrations))
    lines = (
        f"{taken.former} led and was killed (SIGKILL) while the memory of the VM was copied",
        f"{taken.successor} leads and serves all switches after {taken.seconds:.2f} s",
        f"VMs that were not moved sent {taken.sent:,} datagrams meanwhile and lost {taken.lost}, which must be 0",
        f"report, ladder and logs: {target}",
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    return report.ok and not taken.lost


def _show_page(output: Path, port: int, console: Console) -> None:
    """Keep a cluster up until an interrupt; its page is at a port outside its namespaces."""
    from ryu_apps.testbed.harness.controller import REST_PORT
    from ryu_apps.testbed.harness.port_relay import PortRelay, listen
    from ryu_apps.testbed.replay.shuttle import shuttle

    scenario = load(_SHIPPED / f"{WATCHED}.yaml")
    with errors_in_a_line(None):
        listener = listen(port)
    private_namespaces()

    def ready(_: object) -> None:
        console.print(f"The live page: [bold]http://127.0.0.1:{port}/[/]  (Ctrl-C ends the demo)", highlight=False)

    output.mkdir(parents=True, exist_ok=True)
    with (
        suppress(KeyboardInterrupt),
        PortRelay(listener, REST_PORT),
        performance(WATCHED, console, output / "logs") as tell,
    ):
        shuttle(scenario, output, tell, ready)


def _show_rules(console: Console, migration: MigrationReport) -> None:
    figures = migration.figures
    after = [line for line in migration.active if line not in set(migration.staged)]
    console.print(
        f"\n[bold]Staged at {figures.destination}'s switch before Associate[/] (ovs-ofctl dump-flows): the body"
    )
    _show(console, migration.staged)
    console.print("\n[bold]Added by Associate[/]: the gate, the only rules that write the body's metadata")
    _show(console, after)


def _show(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        console.print(f" {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f" ... and {len(lines) - SHOWN} more", highlight=False)
