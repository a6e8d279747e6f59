"""``evbridge station``: the commands that hypervisors run, or that run between two of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.station_options import CONTROL, DEADLINE, FILE, begin_logging
from ryu_apps.station_daemon.client import DEFAULT_CONTROL


@click.command()
@click.option("--source", required=True, type=FILE, help="QMP socket of the QEMU in which the guest runs.")
@click.option("--destination", required=True, type=FILE, help="QMP socket of the QEMU that waits: -incoming and -S.")
@click.option("--uri", required=True, help="Where the waiting QEMU expects the migration, as in -incoming.")
@click.option("--source-control", type=FILE, default=DEFAULT_CONTROL, show_default=True, help="Source's station.")
@click.option(
    "--destination-control", type=FILE, default=DEFAULT_CONTROL, show_default=True, help="Destination's station."
)
@click.option("--vsi", "vsis", required=True, multiple=True, help="A VSI of the guest, as the JSON object of a call.")
@click.option("--postcopy", is_flag=True, help="Run the guest at its destination before all of its memory is there.")
@DEADLINE
def qmp(
    source: Path,
    destination: Path,
    uri: str,
    source_control: Path,
    destination_control: Path,
    vsis: tuple[str, ...],
    postcopy: bool,
    deadline: float,
) -> None:
    """Migrate a guest between two QEMUs.

    The network is reserved before the copy begins, and open before the guest runs.  Sockets of another host are
    forwarded, by ssh -L for example.  Exits 1 if the guest has not moved.
    """
    from ryu_apps.station_daemon.qmp import CopyStopped, GatedMove, GuestLost, Host, MoveFailed, MoveSettings

    ends = Host(source, source_control), Host(destination, destination_control)
    settings = MoveSettings(*ends, uri, tuple(map(_vsi, vsis)), postcopy, patience=deadline)
    began = time.monotonic()
    try:
        asyncio.run(GatedMove(settings, lambda step: click.echo(f"{time.monotonic() - began:8.3f} {step}")).run())
    except MoveFailed as error:
        raise click.ClickException(f"not migrated: {error}") from None
    except CopyStopped as error:
        raise click.ClickException(
            f"{error}: the guest and its network are at the destination; recover the copy (migrate-recover there, "
            "migrate with resume at the source), and do not continue the guest at its source"
        ) from None
    except GuestLost as error:
        raise click.ClickException(f"{error}; if it does not run there, continue it at its source") from None
    except OSError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{time.monotonic() - began:8.3f} done")


_MAPPING = click.option("--mapping", type=FILE, help="JSON file with the VSIs of domains without metadata.")


@click.command("libvirt-hook")
@click.argument("arguments", nargs=-1, required=True, metavar="DOMAIN OPERATION SUB-OPERATION EXTRA")
@_MAPPING
@CONTROL
def libvirt_hook(arguments: tuple[str, ...], mapping: Path | None, control: Path) -> None:
    """Serve as the hook /etc/libvirt/hooks/qemu.

    Reads the domain's XML from the standard input.  Exits 1, with the reason, if what libvirt is about to do has to
    end.
    """
    from ryu_apps.station_daemon.domain import vsis_of
    from ryu_apps.station_daemon.libvirt_hook import HOOKS
    from ryu_apps.station_daemon.vm_calls import HookRefused, StationCalls

    operation = arguments[1:3]
    if operation not in HOOKS:
        return
    try:
        vsis = vsis_of(sys.stdin.read(), mapping)
        HOOKS[operation](StationCalls(control, vsis))
    except (HookRefused, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@click.command("libvirt")
@click.option("--uri", default="qemu:///system", show_default=True, help="The libvirtd of this host.")
@_MAPPING
@CONTROL
def libvirt_events(uri: str, mapping: Path | None, control: Path) -> None:
    """Follow the events of libvirt, and make the calls.

    Suspends domains that stop to move away, and associates those that run.  Runs beside the daemon and the hook, until
    SIGTERM.
    """
    try:
        from ryu_apps.station_daemon.libvirt_events import LibvirtEvents
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}; install libvirt-python, or Debian's python3-libvirt") from None
    begin_logging()
    LibvirtEvents(uri, control, mapping).run()


_PVE = click.option(
    "--pve",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/etc/pve"),
    show_default=True,
    help="Configuration of the Proxmox cluster.",
)
_RUN = click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/run/qemu-server"),
    show_default=True,
    help="Folder with the process IDs of the VMs.",
)


@click.command("proxmox-hook")
@click.argument("vmid", type=click.IntRange(min=1))
@click.argument("phase")
@_PVE
@_RUN
@CONTROL
def proxmox_hook(vmid: int, phase: str, pve: Path, run: Path, control: Path) -> None:
    """Serve as hookscript of Proxmox VE.

    Reserves, associates and releases.  Exits 1, with the reason, if the start or the migration of the VM has to end.
    """
    from ryu_apps.station_daemon.proxmox import Place, ProxmoxVm, serve
    from ryu_apps.station_daemon.vm_calls import HookRefused

    try:
        # Empty at an ordinary start.
        serve(ProxmoxVm(vmid, Place(pve, run), control), phase, bool(os.environ.get("PVE_MIGRATED_FROM")))
    except (HookRefused, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _vsi(written: str) -> dict[str, Any]:
    try:
        vsi = json.loads(written)
    except ValueError:
        vsi = None
    if not isinstance(vsi, dict) or not isinstance(vsi.get("vsi"), str):
        raise click.UsageError(f"--vsi: a JSON object with the key vsi was expected, not {written!r}")
    return vsi


COMMANDS = (qmp, libvirt_hook, libvirt_events, proxmox_hook)
