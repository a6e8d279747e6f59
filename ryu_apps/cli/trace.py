"""The part of ``evbridge replay`` that plays traces."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.stage import performance, private_namespaces, this_namespace
from ryu_apps.evb.policy.diagnostic import Diagnostic, utf8
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.topologies import multi_switch
from ryu_apps.vcm.trace import TraceEntry, Width, day, read_trace, write_trace

if TYPE_CHECKING:
    from ryu_apps.testbed.replay.trace import DayReport

_SPINES = 2


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """Options of a trace.

    Attributes:
        file: the trace; None: a day of ``width`` made from ``seed``.
        nodes: of a cluster of leaves with eight to sixteen nodes each, and two spines.
        seconds: that it takes.
        output: folder for the trace, the report and the logs.
    """

    file: Path | None
    seed: int
    nodes: int
    width: Width
    seconds: float
    output: Path | None


def replay_trace(wanted: TraceOptions, root_namespace: bool) -> bool:
    """Replay a trace behind a progress display, and say what it came to.

    Returns:
        True if all must-be-zero counters are 0.

    Raises:
        ClickException: every mistake of the file, or why the cluster did not come up.
    """
    from ryu_apps.testbed.environment import environment

    fabric = multi_switch.fabric(leaves=min(max(wanted.nodes // 8, 2), 16), spines=_SPINES, n=wanted.nodes)
    entries = _entries(wanted, fabric)
    if root_namespace:
        this_namespace()
    else:
        private_namespaces()
    name = wanted.file.stem if wanted.file else f"day-{wanted.seed}"
    target = wanted.output or Path("reports") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    target.mkdir(parents=True, exist_ok=True)
    (target / "trace.csv").write_text(write_trace(entries), encoding="utf-8")
    console = Console()
    report = _play(name, entries, fabric, wanted.seconds, target, console)
    seed = None if wanted.file else wanted.seed
    written = {**report.as_json(), "seed": seed, "environment": environment()}
    (target / "report.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    _show(report, console)
    console.print(f"trace and report: {target}/trace.csv, report.json", highlight=False)
    return report.ok


def _entries(wanted: TraceOptions, fabric: Fabric) -> list[TraceEntry]:
    names = [interface.name for port in fabric.ports(Role.STATION) if (interface := fabric.interface(port)) is not None]
    if wanted.file is None:
        return day(wanted.seed, names, wanted.width)
    text = utf8(str(wanted.file), wanted.file.read_bytes())
    if isinstance(text, Diagnostic):
        raise click.ClickException(str(text))
    entries, mistakes = read_trace(str(wanted.file), text, names)
    if mistakes:
        raise click.ClickException("\n".join(["mistakes in the trace", *map(str, mistakes)]))
    return entries


def _play(
    name: str, entries: list[TraceEntry], fabric: Fabric, seconds: float, target: Path, console: Console
) -> DayReport:
    from ryu_apps.testbed.replay.trace import replay_trace as play

    with performance(name, console, target / "logs") as tell:
        return play(entries, fabric, multi_switch.END_SYSTEMS, seconds, target / "logs", tell)


def _show(report: DayReport, console: Console) -> None:
    happened = ", ".join(f"{times} {what}" for what, times in report.entries.items() if times)
    console.print(f"{happened or 'nothing'} in {report.seconds:.1f} s", highlight=False, soft_wrap=True)
    console.print(
        f"at most {report.most_vsis} VSIs, {report.most} at work at a time, {report.late_s:.2f} s late", highlight=False
    )
    table = Table("", "times", "Pre-Associate to answer p50 / p99 (ms)", "Associate to answer p50 / p99 (ms)")
    for how, done in report.by_how():
        staged, associated = (sorted(times) for times in ([d.stage_ms for d in done], [d.associate_ms for d in done]))
        table.add_row(how, str(len(done)), _spread(staged), _spread(associated))
    console.print(table)
    counters = {
        "refused": len(report.refused),
        "misplaced": report.misplaced,
        "staged and left": report.staged_left,
        "rules left": report.rules_left,
    }
    style = "green" if report.ok else "red"
    console.print(", ".join(f"{number} {words}" for words, number in counters.items()), style=style, highlight=False)
    for words in report.refused[:10]:
        console.print(words, style="red", highlight=False, soft_wrap=True)


def _spread(ordered: list[float]) -> str:
    if not ordered:
        return "-"
    return f"{ordered[len(ordered) // 2]:.1f} / {ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]:.1f}"
