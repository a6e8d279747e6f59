"""``evbridge topology``: a cluster's description as the controller's configuration, and as a picture.

What Mininet builds from ``topologies/NAME.py`` and what the controller is told come from one description.
"""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import click

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.picture import QUIET, Live, LiveError, read_live, render
from topologies import catalogue

#: Seconds until a controller is given up.
_PATIENCE = 10.0


@click.command()
@click.argument("name")
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="A parameter of the topology, e.g. n=8.")
@click.option(
    "--policies",
    multiple=True,
    default=("policies",),
    show_default=True,
    help="Where the VSI types are, relative to the configuration; may be repeated.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it; no configuration without -o.",
)
@click.option(
    "--rest",
    metavar="URL",
    help="With --svg: what a running controller says of VSIs and links, such as http://127.0.0.1:8080.",
)
def topology(
    name: str,
    settings: tuple[str, ...],
    policies: tuple[str, ...],
    output: Path | None,
    svg: Path | None,
    rest: str | None,
) -> None:
    """Write the controller's configuration for a cluster, or draw it.

    NAME is a module of topologies/ (two_switch, multi_switch) or a Python file with a function fabric().
    """
    if rest is not None and svg is None:
        raise click.UsageError("--rest is of use with --svg alone")
    arguments = parameters(settings)
    fabric = describe(name, arguments)
    if svg is not None:
        title = " ".join([name, *(f"{one}={number}" for one, number in arguments.items())])
        svg.write_text(render(title, fabric, ask(rest, fabric) if rest else QUIET), encoding="utf-8")
    text = dump_config(BridgeConfig(fabric, policies))
    if output is not None:
        output.write_text(text, encoding="utf-8")
    elif svg is None:
        click.echo(text, nl=False)


def parameters(settings: tuple[str, ...]) -> dict[str, int]:
    """``n=8`` as ``{"n": 8}``.

    Raises:
        ClickException: not a name and a number.
    """
    try:
        return {name: int(number) for name, number in (setting.split("=", 1) for setting in settings)}
    except ValueError:
        raise click.BadParameter("NAME=NUMBER was expected, such as n=8", param_hint="--set") from None


def describe(name: str, arguments: dict[str, int]) -> Fabric:
    """The fabric of a topology.

    Raises:
        ClickException: no such topology, or none with such parameters.
    """
    try:
        return catalogue.describe(name, **arguments).fabric
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def ask(url: str, fabric: Fabric) -> Live:
    """What goes on at a controller; tells of what is at ports that the fabric does not have.

    Raises:
        ClickException: it does not answer, or is none.
    """
    base = url.rstrip("/")
    live = _read(_get(f"{base}/evb/status"), _get(f"{base}/evb/vsis"), base)
    strangers = sum(fabric.interface(marker.port) is None for marker in live.markers)
    if strangers:
        click.echo(f"{base}: VSIs at ports that this topology does not have: {strangers}", err=True)
    return live


def _read(status: Any, vsis: Any, base: str) -> Live:
    try:
        return read_live(status, vsis)
    except LiveError as error:
        raise click.ClickException(f"{base}: {error}") from None


def _get(url: str) -> Any:
    # Not by way of a proxy that the environment names: controllers are on the loopback or nearby.
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=_PATIENCE) as answer:
            return json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise click.ClickException(f"{url}: {error}") from None
