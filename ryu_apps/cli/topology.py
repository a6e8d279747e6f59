"""``evbridge topology``: a cluster's description as the controller's configuration.

What Mininet builds from ``topologies/NAME.py`` and what the controller is told come from one description.
"""

from __future__ import annotations

from pathlib import Path

import click

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from topologies import catalogue


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
def topology(name: str, settings: tuple[str, ...], policies: tuple[str, ...], output: Path | None) -> None:
    """Write the controller's configuration for a cluster.

    NAME is a module of topologies/ (two_switch, multi_switch) or a Python file with a function fabric().
    """
    text = dump_config(BridgeConfig(describe(name, parameters(settings)), policies))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


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
