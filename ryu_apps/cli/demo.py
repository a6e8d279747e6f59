"""``evbridge demo``: both ladders of the founding paper on one screen, with the rules as the switch has them.

With ``--page`` a cluster whose VMs move until Ctrl-C, behind the live page of its controller.
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
from ryu_apps.cli.replay import load, perform, show_figures, show_ladder
from ryu_apps.cli.stage import errors_in_a_line, performance, private_namespaces

if TYPE_CHECKING:
    from ryu_apps.testbed.replay.report import MigrationReport

SCENARIOS = ("minimize-latency", "safest-exchange")
_SHIPPED = Path(testbed.__file__).parent / "scenarios"
#: Rules of one dump that fit a screen.
SHOWN = 14
#: The scenario whose VMs move behind the live page, and the port of its controller's REST inside.
WATCHED, _REST = "shop", 8080


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for reports and ladders.")
@click.option("--page", is_flag=True, help="Keep the cluster up, with VMs that move, and show its live page.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="With --page: port of the page."
)
def demo(output: Path | None, page: bool, port: int) -> None:
    """Move a VM between two switches, with its policy staged ahead.

    Runs both ladders with a TCP stream and a 1 ms probe across the move.  Needs root.  Exits 0 only if all
    must-be-zero counters are 0 and all expectations are met.

    With --page VMs move to and fro until Ctrl-C, and a browser shows it.
    """
    target = output or Path("reports") / f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    console = Console()
    if page:
        _show_page(target, port, console)
        return
    private_namespaces()
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
    raise SystemExit(0 if all(report.ok for report in reports) else 1)


def _show_page(output: Path, port: int, console: Console) -> None:
    """Keep a cluster up until an interrupt; its page is at a port outside its namespaces."""
    from ryu_apps.testbed.harness.port_relay import PortRelay, listen
    from ryu_apps.testbed.replay.shuttle import shuttle

    scenario = load(_SHIPPED / f"{WATCHED}.yaml")
    with errors_in_a_line(output / "logs"):
        listener = listen(port)
    private_namespaces()

    def ready(_: object) -> None:
        console.print(f"The live page: [bold]http://127.0.0.1:{port}/[/]  (Ctrl-C ends the demo)", highlight=False)

    output.mkdir(parents=True, exist_ok=True)
    with (
        suppress(KeyboardInterrupt),
        PortRelay(listener, _REST),
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
