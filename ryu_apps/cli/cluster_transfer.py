"""``evbridge cluster transfer``: the lead of a cluster of bridges goes to another member."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.rest_client import RestClient, bridge_url, credentials, rest_client

#: Seconds for which another member is waited for, and between two looks.
_PATIENCE, _NAP = 15.0, 0.05


@click.command()
@bridge_url("url")
@click.option("--to", "successor", help="Name of the member that is to lead.  [default: any]")
@credentials
def transfer(url: str, successor: str | None, token_file: Path | None, ca_file: Path | None) -> None:
    """Have the leader give the lead to another member.

    Waits until that member leads.
    """
    bridge = rest_client(url, token_file, ca_file)
    before = _status(bridge)
    if not before["leads"]:
        leads = f"{before['leader']} does" if before["leader"] else "no leader is known"
        raise click.ClickException(f"{before['name']} does not lead: {leads}")
    bridge.post("/evb/cluster/transfer", {} if successor is None else {"to": successor})
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        now = _status(bridge)
        if now["leader"] not in (None, before["name"]):
            click.echo(f"{now['leader']} leads in place of {before['name']}")
            return
        time.sleep(_NAP)
    raise click.ClickException(f"no other member leads after {_PATIENCE:g} s")


def _status(bridge: RestClient) -> dict[str, Any]:
    status: dict[str, Any] | None = bridge.get("/evb/status")["cluster"]
    if status is None:
        raise click.ClickException(f"{bridge.base} is no member of a cluster")
    return status
