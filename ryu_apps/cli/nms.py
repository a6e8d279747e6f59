"""``evbridge nms``: a network management system beside bridges, and questions to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.rest_client import RestClient, credentials, rest_client
from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.nms.loader import load_nms
from ryu_apps.nms.schema import NmsFile
from ryu_apps.sources import read_sources

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG = click.argument("config", type=_FILE)
#: Columns of a table that goes to a file.
_WIDE = 160
#: Seconds for a roll-out, and between two looks; states in which it is over.
_PATIENCE, _NAP = 120.0, 0.1
_FINAL = ("done", "refused", "taken back")


@click.group()
def nms() -> None:
    """Gather statistics of bridges, and tell other components of the steps of VSIs."""


@nms.command()
@_CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8082, show_default=True, help="Port; 0: any free one.")
@click.option("--name", "names", multiple=True, help="Host name that requests may use besides the addresses.")
@click.option("--tokens", type=_FILE, help="File of the tokens that clients need (evbridge token).")
@click.option("--certificate", type=_FILE, help="Certificate for TLS, in PEM.")
@click.option("--private-key", type=_FILE, help="Its private key, in PEM.")
def serve(config: Path, host: str, port: int, **access: Any) -> None:
    """Gather statistics, call hooks, and serve the NMS's REST API.

    Beyond the loopback address tokens and TLS are needed.
    """
    from ryu_apps.nms_server.serving import serve_nms
    from ryu_apps.rest_daemon import DaemonAccess

    serve_nms(_read(config), config.parent, host, port, DaemonAccess(**access))


@nms.command()
@click.argument("vsi", required=False)
@click.option("--rest", "url", default="http://127.0.0.1:8082", show_default=True, help="REST of the NMS.")
@click.option("--since", type=float, default=3600.0, show_default=True, help="Seconds of the series of one VSI.")
@credentials
def show(vsi: str | None, url: str, since: float, token_file: Path | None, ca_file: Path | None) -> None:
    """Show the totals of all VSIs, or the series of one."""
    server = rest_client(url, token_file, ca_file)
    console = Console(width=None if Console().is_terminal else _WIDE)
    if vsi is None:
        table = Table("VSI", "bridge", "port", "from VM", "octets", "to VM", "octets")
        for found in server.get("/nms/vsis?limit=10000"):
            table.add_row(found["vsi"], found["bridge"] or "-", found["port"] or "-", *_counts(found))
    else:
        table = Table("time", "bridge", "port", "from VM", "octets", "to VM", "octets")
        for found in server.get(f"/nms/vsis/{vsi}/series?since={time.time() - since}&limit=10000"):
            when = time.strftime("%H:%M:%S", time.localtime(found["t"]))
            table.add_row(when, found["bridge"] or "-", found["port"] or "-", *_counts(found))
    console.print(table)


@nms.command("await")
@click.argument("vsi")
@click.argument("step", type=click.Choice(("stage", "activate", "fix-up", "release")))
@click.option("--bridge", required=True, help="Name of the bridge at the NMS.")
@click.option("--port", required=True, help="Port of the VSI, as 0000000000000001:1.")
@click.option("--patience", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds.")
@click.option("--rest", "url", default="http://127.0.0.1:8082", show_default=True, help="REST of the NMS.")
@credentials
def await_step(
    vsi: str,
    step: str,
    bridge: str,
    port: str,
    patience: float,
    url: str,
    token_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Wait until all hooks have done a step of a VSI at a port.

    For a cluster manager that goes on only when all components are ready.  The status is 1 if a hook has given up, or
    one is not ready in time.
    """
    server = rest_client(url, token_file, ca_file)
    path = f"/nms/vsis/{vsi}/steps?{urlencode({'bridge': bridge, 'port': port})}"
    deadline = time.monotonic() + patience
    while True:
        found = [each for each in server.get(path) if each["step"] == step]
        left = [each for each in found if each["state"] != "done"]
        failed = any(each["state"] == "failed" for each in left)
        if not left or failed or time.monotonic() > deadline:
            break
        time.sleep(_NAP)
    for each in found:
        click.echo(f"{each['hook']}: {each['state']}{': ' if each['error'] else ''}{each['error'] or ''}")
    raise SystemExit(1 if left else 0)


@nms.command("roll-out")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--rest", "url", default="http://127.0.0.1:8082", show_default=True, help="REST of the NMS.")
@click.option("--from", "bridge", help="REST of a bridge whose local VSI types are rolled out; without PATHS.")
@click.option("--from-token-file", type=_FILE, help="Token for --from.")
@click.option("--from-ca-file", type=_FILE, help="Certificate authorities of --from.")
@credentials
def roll_out(
    paths: tuple[Path, ...],
    url: str,
    bridge: str | None,
    from_token_file: Path | None,
    from_ca_file: Path | None,
    token_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Roll a set of policies out to all bridges of the NMS.

    It replaces the set that the NMS serves.  PATHS are policy files and directories of them, or an OVF descriptor with
    its network port profiles.  Each bridge checks them first; if one could not have them, or fails when it is told, all
    of them keep what they have, and the status is 1.
    """
    if bool(paths) == (bridge is not None):
        raise click.UsageError("either PATHS or --from")
    if bridge is None:
        policies = _policies(paths)
    else:
        policies = _types_of(rest_client(bridge, from_token_file, from_ca_file))
    server = rest_client(url, token_file, ca_file)
    written = [{"name": name, "text": text} for name, text in policies.items()]
    found = server.post("/nms/rollouts", {"policies": written})
    deadline = time.monotonic() + _PATIENCE
    while found["state"] not in _FINAL:
        if time.monotonic() > deadline:
            raise click.ClickException(f"roll-out {found['id']} is still {found['state']}")
        time.sleep(_NAP)
        found = server.get(f"/nms/rollouts/{found['id']}")
    for name, reasons in found["refusals"].items():
        for reason in reasons:
            click.echo(f"{name}: {reason}", err=True)
    click.echo(f"roll-out {found['id']}: {found['state']}")
    raise SystemExit(0 if found["state"] == "done" else 1)


def _policies(paths: tuple[Path, ...]) -> dict[str, str]:
    if any(path.suffix.lower() == ".ovf" for path in paths):
        from ryu_apps.cli.ovf import policies_of_package

        return policies_of_package(paths)
    sources, found = read_sources(paths)
    if has_errors(found):
        raise click.ClickException("\n".join(map(str, found)))
    return dict(sources)


def _types_of(bridge: RestClient) -> dict[str, str]:
    """Policies of the local directory of a bridge."""
    listed = [found for found in bridge.get("/evb/vsitypes") if found["source"] == "local"]
    keys = [(found["type_id"], found["version"]) for found in listed]
    return {f"{key[0]}_{key[1]}.yaml": bridge.text(f"/evb/vsitypes/{key[0]}/{key[1]}/policy") for key in keys}


def _counts(found: dict[str, Any]) -> list[str]:
    return [str(found[way][what]) for way in ("from_vm", "to_vm") for what in ("packets", "octets")]


def _read(path: Path) -> NmsFile:
    sources, found = read_sources([path])
    config = None
    if sources:
        config, found = load_nms(*sources[0])
    if config is None or has_errors(found):
        raise click.ClickException("mistakes in the configuration\n" + "\n".join(map(str, found)))
    for diagnostic in found:
        click.echo(str(diagnostic), err=True)
    return config
