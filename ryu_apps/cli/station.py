"""``evbridge station``: the EVB station of a hypervisor, and the calls that its hypervisor makes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.station_hypervisors import COMMANDS
from ryu_apps.cli.station_options import CONTROL, DEADLINE, FILE, begin_logging
from ryu_apps.cli.station_vm import vm
from ryu_apps.station_daemon.client import DEFAULT_CONTROL, call

_STATE = DEFAULT_CONTROL.with_name("state.json")


@click.group()
def station() -> None:
    """The EVB station of a hypervisor.

    Speaks LLDP, ECP and VDP on the uplinks, and keeps the VSIs alive that are asked for by reserve, associate, suspend
    and release.
    """


for command in (*COMMANDS, vm):
    station.add_command(command)


@station.command("run")
@click.argument("uplinks", nargs=-1, required=True, metavar="UPLINK...")
@CONTROL
@click.option(
    "--state",
    type=FILE,
    default=_STATE,
    show_default=True,
    help="File from which the VSIs are taken up after a restart.",
)
@click.option("--rwd", type=click.IntRange(0, 31), default=21, show_default=True, help="Proposed resource wait delay.")
@click.option("--rka", type=click.IntRange(0, 31), default=20, show_default=True, help="Proposed reinit keep alive.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve metrics to Prometheus here.")
@click.option("--ovsdb", type=FILE, help="Socket of ovsdb-server, to find the ports of VMs by their iface-id.")
def run_daemon(
    uplinks: tuple[str, ...],
    control: Path,
    state: Path,
    rwd: int,
    rka: int,
    metrics: str | None,
    ovsdb: Path | None,
) -> None:
    """Run the daemon on these interfaces until SIGTERM.

    Timers are exponents as in the EVB TLV: 10 us * 2^n.
    """
    from ryu_apps.evb.topology.evb_settings import Timers
    from ryu_apps.station_daemon.daemon import DaemonSettings, StationDaemon

    if len(set(uplinks)) < len(uplinks):
        raise click.UsageError("an uplink is named twice")
    control.parent.mkdir(parents=True, exist_ok=True)
    begin_logging()
    settings = DaemonSettings(uplinks, control, state, Timers(rwd=rwd, rka=rka), metrics=_address(metrics), ovsdb=ovsdb)
    try:
        asyncio.run(StationDaemon(settings).run())
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _address(written: str | None) -> tuple[str, int] | None:
    if written is None:
        return None
    host, colon, port = written.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise click.UsageError(f"--metrics: HOST:PORT was expected, not {written!r}")
    return host.strip("[]"), int(port)


def _described(command: Any) -> Any:
    """Add the options of a first call for a VSI: those that describe it, and the M bit."""
    for option in (
        click.option("--type", "type_id", type=click.IntRange(0, 0xFFFFFF), help="VSI type."),
        click.option("--version", type=click.IntRange(0, 0xFF), help="Version of the type.  [default: 1]"),
        click.option("--manager", help="VSI manager of the type."),
        click.option("--filter", "filters", multiple=True, help="VID-MAC, or VID, VID--GROUP, VID-MAC-GROUP."),
        click.option("--address", "addresses", multiple=True, help="IP address of the VM."),
        click.option("--port", help="The VM's port at the Open vSwitch of this server."),
        click.option("--iface-id", help="The same by its external_ids:iface-id, which the daemon reads (--ovsdb)."),
        click.option("--uplink", help="Interface of the VSI.  [default: the daemon's first]"),
        click.option("--migrating", is_flag=True, help="The VM comes from another host (M bit)."),
    ):
        command = option(command)
    return command


@station.command()
@click.argument("vsi")
@_described
@DEADLINE
@CONTROL
def probe(**options: Any) -> None:
    """Ask whether a VM could come here; reserves nothing.

    Makes a plain Pre-Associate, and releases it.
    """
    _call("probe", **options)


@station.command()
@click.argument("vsi")
@_described
@DEADLINE
@CONTROL
def reserve(**options: Any) -> None:
    """Reserve for a VM that is expected here.

    Makes a Pre-Associate with Resource Reservation.
    """
    _call("reserve", **options)


@station.command()
@click.argument("vsi")
@_described
@DEADLINE
@CONTROL
def associate(**options: Any) -> None:
    """Open the network for a VM that is about to run here.

    Makes an Associate.  After a reservation VSI is enough; otherwise it needs --type and --filter.
    """
    _call("associate", **options)


@station.command()
@click.argument("vsi")
@DEADLINE
@CONTROL
def suspend(**options: Any) -> None:
    """Announce that a VM has stopped here and moves away.

    Makes an Associate with the S bit.
    """
    _call("suspend", **options)


@station.command()
@click.argument("vsi")
@DEADLINE
@CONTROL
def release(**options: Any) -> None:
    """End the VSI of a VM that is not here any more.

    Makes a De-Associate.
    """
    _call("release", **options)


@station.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the daemon.")
@CONTROL
def status(as_json: bool, control: Path) -> None:
    """List the uplinks and the VSIs."""
    answer = _made(control, {"verb": "status"}, 5.0)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for name, uplink in answer["uplinks"].items():
        click.echo(f"{name}: {'up' if uplink['up'] else 'down'}, {uplink['bridge'] or 'no bridge'}")
    for vsi in answer["vsis"]:
        granted = ", ".join(vsi.get("filters", ()))
        click.echo(f"  {vsi['vsi']}  {vsi['state']}  {vsi['uplink']}  {granted or vsi.get('reason', '')}".rstrip())


def _call(verb: str, vsi: str, deadline: float, control: Path, **options: Any) -> None:
    """Make a call and print its answer; exit status 1 if it is no success."""
    written = {"verb": verb, "vsi": vsi, "deadline": deadline} | _given(**options)
    answer = _made(control, written, deadline)
    click.echo(json.dumps(answer))
    raise SystemExit(0 if answer["ok"] else 1)


def _given(type_id: int | None = None, **options: Any) -> dict[str, Any]:
    """The options that have been given, by their keys in a call."""
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items() if value}
    return given if type_id is None else {"type": type_id, **given}


def _made(control: Path, written: dict[str, Any], patience: float) -> dict[str, Any]:
    try:
        return call(control, written, patience)
    except OSError as error:
        raise click.ClickException(
            f"{control}: {error.strerror or error}; is `evbridge station run` running?"
        ) from None
