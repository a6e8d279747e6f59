"""``evbridge nms``: a network management system beside bridges, and questions to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ryu_apps.cli.rest_client import credentials, rest_client
from ryu_apps.evb.policy.diagnostic import has_errors
from ryu_apps.nms.loader import load_nms
from ryu_apps.nms.schema import NmsFile
from ryu_apps.sources import read_sources

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CONFIG = click.argument("config", type=_FILE)
#: Columns of a table that goes to a file.
_WIDE = 160


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
