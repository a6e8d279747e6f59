"""The ``evbridge`` command: a table of subcommands, each imported when it is asked for.

``evbridge run`` becomes another program and ``evbridge check`` is for editors and hooks, so neither
should wait for what ``evbridge replay`` needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click


class _Subcommand(NamedTuple):
    """``target`` is ``module:attribute``; the help stands here so that listing imports nothing."""

    target: str
    help: str


SUBCOMMANDS = {
    "run": _Subcommand("ryu_apps.cli.run:run", "Start ryu-manager with evbridge's apps."),
    "token": _Subcommand("ryu_apps.cli.token:token", "Create, list and revoke the tokens of REST clients."),
    "cluster": _Subcommand("ryu_apps.cli.cluster:cluster", "Set up and look after the servers of a shared store."),
    "check": _Subcommand("ryu_apps.cli.check:check", "Check VSI types and configuration, listing every mistake."),
    "explain": _Subcommand("ryu_apps.cli.explain:explain", "Say what happens to a frame, table by table."),
    "status": _Subcommand("ryu_apps.cli.show:status", "Show a running bridge: alarms, switches, numbers."),
    "vsis": _Subcommand("ryu_apps.cli.show:vsis", "List the VSIs of a running bridge."),
    "vsi": _Subcommand("ryu_apps.cli.show:vsi", "Show one VSI: its ports, rules, addresses and deadlines."),
    "migrations": _Subcommand("ryu_apps.cli.show:migrations", "List the migrations that a running bridge remembers."),
    "flows": _Subcommand("ryu_apps.cli.show:flows", "List the rules that a switch should hold."),
    "stations": _Subcommand("ryu_apps.cli.show:stations", "List the station ports of a running bridge."),
    "vswitches": _Subcommand("ryu_apps.cli.show:vswitches", "List the vSwitches of a running bridge."),
    "events": _Subcommand("ryu_apps.cli.show:events", "Print the log events of a running bridge, and follow them."),
    "replay": _Subcommand("ryu_apps.cli.replay:replay", "Run a migration scenario and report on it."),
    "sweep": _Subcommand("ryu_apps.cli.sweep:sweep", "Run a scenario with many values of its attributes, and plot."),
    "matrix": _Subcommand("ryu_apps.cli.matrix:matrix", "Measure the founding paper's tables, service by service."),
    "vcm": _Subcommand("ryu_apps.cli.vcm:vcm", "Plan and carry out evacuations, fail-overs and the like."),
    "nms": _Subcommand("ryu_apps.cli.nms:nms", "Gather statistics of bridges, and call hooks at steps of VSIs."),
    "station": _Subcommand(
        "ryu_apps.cli.station:station", "Run the EVB station of a hypervisor, and make calls to it."
    ),
    "topology": _Subcommand("ryu_apps.cli.topology:topology", "Show a cluster as the controller sees it."),
    "ovf": _Subcommand("ryu_apps.cli.ovf:ovf", "Import and export OVF packages with network port profiles."),
    "lab": _Subcommand("ryu_apps.cli.lab:lab", "Keep a cluster up, with a prompt for requests, moves and worksheets."),
    "demo": _Subcommand("ryu_apps.cli.demo:demo", "Move a VM between two switches, with its policy staged ahead."),
}


class LazyGroup(click.Group):
    """A group whose commands are in :data:`SUBCOMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, attribute = SUBCOMMANDS[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, subcommand.help) for name, subcommand in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evbridge")
def main() -> None:
    """Bridge side of IEEE 802.1Qbg (EVB, VDP): installs a VM's network policy before the VM arrives."""
