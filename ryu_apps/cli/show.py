"""``evbridge status``, ``vsis``, ``vsi``, ``migrations``, ``flows``, ``stations``, ``vswitches``, ``events``: a bridge
in tables.

Each asks REST.  Filters are passed on, so that the bridge says what is wrong with one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial, wraps
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from ryu_apps.cli import show_tables
from ryu_apps.cli.rest_client import RestClient, bridge_url, credentials, rest_client
from ryu_apps.cli.show_tables import Section, event_line, show
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.rest.parameters import TypeFilter, read

#: Seconds until a stream that has ended is opened again.
_AGAIN = 1.0
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _asking(command: _Command) -> Any:
    """The options of all; the command gets a client and whether JSON is wanted."""

    @wraps(command)
    def asked(rest: str, token_file: Path | None, ca_file: Path | None, **more: Any) -> Any:
        return command(rest_client(rest, token_file, ca_file), **more)

    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as REST answers.")
    return bridge_url("rest")(credentials(as_json(asked)))


def _filters(*names: str) -> Callable[[_Command], _Command]:
    """Options that are parameters of the query."""
    helps = {
        "phase": "Only those in this state of their rules, e.g. staged.",
        "port": "Only those at this port, e.g. 0x1:2.",
        "switch": "Only those at this switch, e.g. 0x1.",
        "type": "Only those of this VSI type, e.g. 1 or 1/2.",
        "vlan": "Only those of this VLAN.",
        "vsi": "Only those of this VSI.",
        "state": "Only staged, active or infrastructure rules.",
    }

    def with_options(command: _Command) -> _Command:
        for name in reversed(names):
            command = click.option(f"--{name}", metavar="TEXT", help=helps[name])(command)
        return command

    return with_options


def _path(path: str, query: dict[str, str | None]) -> str:
    given = {name: text for name, text in query.items() if text is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _print(client: RestClient, path: str, as_json: bool, sections: Callable[[Any], list[Section]]) -> None:
    found = client.get(path)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=True))
        return
    try:
        shown = sections(found)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise click.ClickException(
            f"{client.base}{path}: not the answer of this version of evbridge ({error})"
        ) from None
    show(shown)


@click.command()
@_asking
def status(client: RestClient, as_json: bool) -> None:
    """Show version, alarms, switches, and numbers of VSIs and stations."""
    _print(client, "/evb/status", as_json, show_tables.status)


@click.command()
@_filters("phase", "port", "type", "vlan", "switch")
@_asking
def vsis(client: RestClient, as_json: bool, **query: str | None) -> None:
    """List the VSIs, a line for each port that one is at.

    With --json, a VSI that is wanted at one of its ports has all of them.
    """
    _print(client, _path("/evb/vsis", query), as_json, partial(_at_wanted_ports, query))


def _at_wanted_ports(query: Mapping[str, str | None], found: list[dict[str, Any]]) -> list[Section]:
    """The lines of VSIs without those of ports that the query does not want, of which a VSI that moves has one."""
    wanted: dict[str, Any] = read({name: text for name, text in query.items() if text is not None}, {})
    return show_tables.vsis(
        {**vsi, "attachments": [at for at in vsi["attachments"] if _is_wanted(at, **wanted)]} for vsi in found
    )


def _is_wanted(
    at: dict[str, Any],
    phase: str | None = None,
    port: PortId | None = None,
    type: TypeFilter | None = None,
    vlan: int | None = None,
    switch: int | None = None,
) -> bool:
    """True if an attachment has all of these properties, as REST has chosen its VSI."""
    place = PortId(int(at["dpid"], 16), at["port_no"])
    return (
        phase in (None, at["phase"])
        and port in (None, place)
        and switch in (None, place.dpid)
        and (type is None or type.selects(at["type"] and VsiTypeKey(*map(int, at["type"].split("/")))))
        and (vlan is None or any(binding["vid"] == vlan for binding in at["bindings"]))
    )


@click.command()
@click.argument("vsi")
@_asking
def vsi(client: RestClient, as_json: bool, vsi: str) -> None:
    """Show one VSI: its ports, rules, addresses and deadlines."""
    _print(client, f"/evb/vsis/{quote(vsi, safe=':')}", as_json, show_tables.vsi)


@click.command()
@_filters("vsi", "port", "switch")
@_asking
def migrations(client: RestClient, as_json: bool, **query: str | None) -> None:
    """List the migrations that are remembered, oldest first."""
    _print(client, _path("/evb/migrations", query), as_json, show_tables.migrations)


@click.command()
@click.argument("dpid")
@_filters("state", "vsi")
@_asking
def flows(client: RestClient, as_json: bool, dpid: str, **query: str | None) -> None:
    """List the rules that the switch DPID should hold, in the order in which a frame meets them."""
    _print(client, _path(f"/evb/flows/{quote(dpid, safe='')}", query), as_json, show_tables.flows)


@click.command()
@_filters("port", "switch")
@_asking
def stations(client: RestClient, as_json: bool, **query: str | None) -> None:
    """List the station ports: link, EVB agreement, errors."""
    _print(client, _path("/evb/stations", query), as_json, show_tables.stations)


@click.command()
@_asking
def vswitches(client: RestClient, as_json: bool) -> None:
    """List the vSwitches: members, VLANs, VSIs and traffic of each."""
    _print(client, "/evb/vswitches", as_json, show_tables.vswitches)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until interrupted.")
@_filters("vsi", "port", "switch")
@_asking
def events(client: RestClient, as_json: bool, follow: bool, **query: str | None) -> None:
    """Print the log events that the bridge keeps, oldest first, a line each."""
    last = None
    for event in client.get(_path("/evb/events", query)):
        _tell(event, as_json)
        last = event["id"]
    if follow:
        try:
            _follow(client, _path("/evb/events/stream", query), last, as_json)
        except KeyboardInterrupt:
            return


def _follow(client: RestClient, path: str, last: str | None, as_json: bool) -> None:
    """Print the events of a stream, and open it again when it ends: the bridge may be restarted."""
    begun = False
    while True:
        try:
            for pushed in client.follow(path, last):
                begun = True
                if pushed.name:
                    click.echo(f"events are missing: {pushed.data['missed'] or 'the bridge was restarted'}", err=True)
                else:
                    _tell(pushed.data, as_json)
                    last = pushed.id
        except click.ClickException as error:
            if not begun:
                raise
            click.echo(error.format_message(), err=True)
        except (OSError, HTTPException, ValueError) as error:
            click.echo(f"{client.base}: {error}", err=True)
        time.sleep(_AGAIN)


def _tell(event: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(event) if as_json else event_line(event))
