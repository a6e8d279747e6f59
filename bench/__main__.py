"""``python -m bench``: all figures, as tables and as JSON.  Never a verdict; see bench/__init__.py."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from bench import floods, gate, groups, meters, response, services, staging, starting, stores, tls, triggers
from bench.figures import Figure, write_json
from bench.machine import machine
from bench.rig import evbridge, private_ovs, reference

_PARTS = (
    "response",
    "staging",
    "gate",
    "services",
    "floods",
    "groups",
    "triggers",
    "starting",
    "stores",
    "meters",
    "tls",
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rounds",
    default=200,
    show_default=True,
    help="Of (a), (d); a quarter in (e), a tenth in (b), (c), (f), (g), (j).",
)
@click.option("--only", type=click.Choice(_PARTS), multiple=True, help="Measure only this part; may be repeated.")
@click.option("--json", "path", default="reports/bench.json", show_default=True, type=click.Path(path_type=Path))
def main(rounds: int, only: tuple[str, ...], path: Path) -> None:
    """Measure evbridge against a bare program on the same Open vSwitch, in one interleaved run."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print("Ratios hold across machines, times do not.  Starting Open vSwitch, evbridge and the yardstick ...\n")
    parts = only or _PARTS
    figures: list[Figure] = []
    few, circumstances = max(rounds // 10, 3), machine() | {"rounds": rounds}
    with (
        tempfile.TemporaryDirectory() as folder,
        private_ovs() as ovs,
        reference(ovs) as yardstick,
        evbridge(ovs) as (station, ends),
    ):
        log = Path(folder, "stream.log")
        if "response" in parts:
            figures.append(response.measure(station, yardstick, rounds))
            figures[-1].show(console)
        if "staging" in parts:
            figures += staging.measure(ovs, station, few, log)
            for figure in figures[-3:]:
                figure.show(console)
        if "gate" in parts:
            figures.append(gate.measure(ovs, station, yardstick, few, log))
            figures[-1].show(console)
        if "services" in parts:
            figures.append(services.measure(station, rounds))
            figures[-1].show(console)
        if "floods" in parts:
            figures.append(floods.measure(ovs, station, max(rounds // 4, few), log))
            figures[-1].show(console)
        if "groups" in parts:
            figures.append(groups.measure(ovs, station, ends, few))
            figures[-1].show(console)
        if "triggers" in parts:
            for connections in triggers.SUSPENSIONS:
                # A move of 10,000 connections takes a minute.
                figures += triggers.measure(ovs, few if connections < triggers.MANY else max(few // 5, 3), connections)
                for figure in figures[-2:]:
                    figure.show(console)
        if "starting" in parts:
            # A start takes seconds.
            figures += starting.measure(max(few // 5, 3))
            for figure in figures[-2:]:
                figure.show(console)
        if "meters" in parts:
            figures += meters.measure(few, log)
            for figure in figures[-2:]:
                figure.show(console)
    if "stores" in parts:
        figures.append(stores.measure(rounds))
        figures[-1].show(console)
    if "tls" in parts:
        figures.append(tls.measure(rounds))
        figures[-1].show(console)
    write_json(path, figures, circumstances)
    console.print(f"As JSON: {path}")


if __name__ == "__main__":
    main()
