"""``evbridge demo --paper``: the clusters of the founding paper's two pictures, drawn while VMs are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ryu_apps import testbed
from ryu_apps.cli import show_tables
from ryu_apps.cli.replay import load, perform, show_appliances, show_figures, show_gathered
from ryu_apps.picture import read_live, render

if TYPE_CHECKING:
    from ryu_apps.testbed.harness.cluster import Cluster
    from ryu_apps.testbed.replay.scenario import Scenario

#: Scenario of each picture.
SCENARIOS = {name: Path(testbed.__file__).parent / "scenarios" / f"paper-{name}.yaml" for name in ("modest", "larger")}
#: What the picture reads of a bridge.
_LIVE = ("/evb/status", "/evb/vsis")


def load_paper(which: str, nodes: int | None) -> Scenario:
    """Read the scenario of a picture; ClickException if it cannot have so many nodes."""
    return load(SCENARIOS[which], None if nodes is None else {"n": nodes})


def show_paper(console: Console, scenario: Scenario, target: Path) -> bool:
    """Run it, draw it, and print figures; returns False if a counter is not 0 or an expectation is not met."""
    from ryu_apps.testbed.replay.pauses import Pauses

    console.print(scenario.file.description, highlight=False)
    found: list[show_tables.Section] = []

    def finished(cluster: Cluster) -> None:
        answers = (cluster.controller.get(path) for path in _LIVE)
        picture = render(scenario.file.name, cluster.fabric, read_live(*answers))
        (target / "cluster.svg").write_text(picture, encoding="utf-8")
        found.extend(show_tables.vswitches(cluster.controller.get("/evb/vswitches")))

    report = perform(scenario, target, console, pauses=Pauses(finished=finished))
    console.rule("vSwitches, when the VMs had moved")
    show_tables.show(found)
    for number, migration in enumerate(report.migrations, 1):
        figures = migration.figures
        console.rule(f"{number}: {figures.vm} from {figures.source} to {figures.destination}")
        show_figures(console, [migration])
    show_appliances(console, report)
    show_gathered(console, report)
    console.print(f"picture: {target}/cluster.svg; reports, ladders and logs: {target}", highlight=False)
    return report.ok
