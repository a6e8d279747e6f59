"""``evbridge topology``: a cluster's description as the controller's configuration, as a picture, and for Mininet.

Mininet's cluster and the controller's configuration come from one description: Python, or a file like evbridge.yaml.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.check import examine
from ryu_apps.cli.rest_client import RestClient, credentials, rest_client
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.picture import QUIET, Live, LiveError, read_live, render
from ryu_apps.topologies import catalogue, from_file
from ryu_apps.topologies.mininet_topo import EndSystem, oddities, systems_of


@click.command()
@click.argument("name")
@click.option("--set", "settings", multiple=True, metavar="NAME=NUMBER", help="A parameter of the topology, e.g. n=8.")
@click.option(
    "--policies",
    multiple=True,
    help="Path of the VSI types, relative to the configuration; may be repeated.  [default: policies; a file's own]",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the cluster; the configuration is written only with -o.",
)
@click.option(
    "--rest",
    metavar="URL",
    help="With --svg: draw VSIs and link states of a running controller, such as http://127.0.0.1:8080.",
)
@credentials
@click.option(
    "--mininet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the cluster for topologies/from_file.py; the configuration only with -o.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="HOST=IP/LENGTH",
    help="With --mininet: the address of an end system, e.g. client=10.0.100.2/24; may be repeated.",
)
def topology(
    name: str,
    settings: tuple[str, ...],
    policies: tuple[str, ...],
    output: Path | None,
    svg: Path | None,
    rest: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    mininet: Path | None,
    addresses: tuple[str, ...],
) -> None:
    """Write the controller's configuration for a cluster, draw it, or have Mininet build it.

    NAME is a module of topologies/ (two_switch, multi_switch), a Python file with a function fabric(), or a YAML
    file like evbridge.yaml, which is checked with its policies as evbridge check does.
    """
    if rest is not None and svg is None:
        raise click.UsageError("--rest is of use with --svg alone")
    if addresses and mininet is None:
        raise click.UsageError("--address is of use with --mininet alone")
    arguments = parameters(settings)
    config, hosts = describe(name, arguments)
    if policies:
        config = replace(config, policies=policies)
    if mininet is not None:
        mininet.write_text(for_mininet(config.fabric, hosts, addresses), encoding="utf-8")
    if svg is not None:
        title = " ".join([name, *(f"{parameter}={number}" for parameter, number in arguments.items())])
        live = ask(rest_client(rest, token_file, ca_file), config.fabric) if rest else QUIET
        svg.write_text(render(title, config.fabric, live), encoding="utf-8")
    if output is not None:
        output.write_text(dump_config(config), encoding="utf-8")
    elif svg is None and mininet is None:
        click.echo(dump_config(config), nl=False)


def parameters(settings: tuple[str, ...]) -> dict[str, int]:
    """``n=8`` as ``{"n": 8}``.

    Raises:
        ClickException: not a name and a number.
    """
    try:
        return {name: int(number) for name, number in (setting.split("=", 1) for setting in settings)}
    except ValueError:
        raise click.BadParameter("NAME=NUMBER was expected, such as n=8", param_hint="--set") from None


def describe(name: str, arguments: dict[str, int]) -> tuple[BridgeConfig, tuple[EndSystem, ...]]:
    """The configuration of a topology, and its end systems as far as they are known.

    Raises:
        ClickException: no such topology, or none with such parameters; a file has mistakes, which have been printed.
    """
    if name.endswith((".yaml", ".yml")):
        if arguments:
            raise click.UsageError(f"--set: {name} has no parameters")
        return _described_by(Path(name)), ()
    try:
        fabric, hosts = catalogue.describe(name, **arguments)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return BridgeConfig(fabric, ("policies",)), hosts


def _described_by(path: Path) -> BridgeConfig:
    config, found = examine(path)
    for diagnostic in found:
        click.echo(str(diagnostic), err=True)
    if config is None:
        raise click.ClickException(f"{path} cannot be used")
    return config


def for_mininet(fabric: Fabric, hosts: tuple[EndSystem, ...], addresses: tuple[str, ...]) -> str:
    """The file that topologies/from_file.py reads.

    Raises:
        ClickException: Mininet could not build it; an address is invalid, or of no end system.
    """
    odd = list(oddities(fabric))
    if odd:
        raise click.ClickException("\n".join(odd))
    given = dict(_address(address) for address in addresses)
    systems = systems_of(fabric, hosts, given)
    strangers = set(given) - {system.name for system in systems}
    if strangers:
        raise click.BadParameter(f"there is no end system {min(strangers)!r}", param_hint="--address")
    return str(from_file.written(fabric, systems))


def _address(given: str) -> tuple[str, str]:
    name, _, address = given.partition("=")
    try:
        if "/" not in address:
            raise ValueError("HOST=IP/LENGTH was expected, such as client=10.0.100.2/24")
        return name, str(IPv4Interface(address))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None


def ask(client: RestClient, fabric: Fabric) -> Live:
    """Return the live state of a controller; warn of VSIs at ports that the fabric does not have.

    Raises:
        ClickException: it does not answer, or is none.
    """
    live = _read(client.get("/evb/status"), client.get("/evb/vsis"), client.base)
    strangers = sum(fabric.interface(marker.port) is None for marker in live.markers)
    if strangers:
        click.echo(f"{client.base}: VSIs at ports that this topology does not have: {strangers}", err=True)
    return live


def _read(status: Any, vsis: Any, base: str) -> Live:
    try:
        return read_live(status, vsis)
    except LiveError as error:
        raise click.ClickException(f"{base}: {error}") from None
