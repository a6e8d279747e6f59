"""``evbridge cluster``: servers of the shared store, by ``ovsdb-tool`` and ``ovs-appctl``."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ryu_apps.cli.cluster_status import ClusterStatus, read_status
from ryu_apps.cli.cluster_transfer import transfer

#: Databases: the records of bridges, and the directory of pods.
STORE, DIRECTORY = "Evbridge", "Evbridge_Pods"
_SCHEMAS = Path(__file__).parents[1] / "stores/ovsdb"
#: Seconds that a server has for an answer, and the cluster for letting a server go.
_ANSWER, _LEAVING = 5, 30.0
_SAID = re.compile(r"^ovs-appctl: .*: server returned an error$", re.MULTILINE)
#: Answer of a server that has left its cluster.
_UNKNOWN = "unknown cluster"
_ADDRESS = re.compile(r"(tcp|ssl):(.+):(\d+)|unix:/.+")


class _Address(click.ParamType):
    """An address of a server for the other servers."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not _ADDRESS.fullmatch(value):
            self.fail(f"{value!r} is not like tcp:10.0.0.1:6642, ssl:10.0.0.1:6642 or unix:/run/store.raft", param, ctx)
        return value


_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EVBRIDGE_STORE_FILE",
    default="/var/lib/evbridge-store/store.db",
    show_default=True,
    show_envvar=True,
    help="The database of this server.",
)
_address = click.option(
    "--address", type=_Address(), required=True, help="Address of this server for the other servers (not for bridges)."
)
_socket = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="EVBRIDGE_STORE_SOCKET",
    default="/run/evbridge-store/store.ctl",
    show_default=True,
    show_envvar=True,
    help="Control socket of this server (--unixctl of ovsdb-server).",
)


_database = click.option(
    "--directory", "database", flag_value=DIRECTORY, default=STORE, help="Of the directory of pods, not of a store."
)


@click.group()
def cluster() -> None:
    """Set up and look after the servers of a store that bridges share.

    Each server is an ovsdb-server; init and join make its database, before it is started.
    """


cluster.add_command(transfer)


@cluster.command()
@_address
@_file
@click.option(
    "--election-timer",
    type=click.IntRange(100, 600_000),
    default=1000,
    show_default=True,
    help="Milliseconds without a leader after which servers elect one.",
)
@_database
def init(address: str, file: Path, election_timer: int, database: str) -> None:
    """Make the database of the first server of a new cluster."""
    _refuse_existing(file)
    schema = str(_SCHEMAS / f"{database.lower()}.ovsschema")
    _tool("ovsdb-tool", "create-cluster", f"--election-timer={election_timer}", str(file), schema, address)
    click.echo(f"{file} is the first server of a new cluster, at {address}: start ovsdb-server with it")


@cluster.command()
@_address
@_file
@_database
@click.argument("members", nargs=-1, required=True, type=_Address())
def join(address: str, file: Path, members: tuple[str, ...], database: str) -> None:
    """Make the database of a further server.

    MEMBERS are addresses of servers of the cluster, some or all.
    """
    _refuse_existing(file)
    if address in members:
        raise click.ClickException(f"{address} is the address of this server: name others")
    _tool("ovsdb-tool", "join-cluster", str(file), database, address, *members)
    click.echo(f"{file} joins the cluster of {', '.join(members)} when ovsdb-server is started with it")


@cluster.command()
@_socket
@_database
def status(socket: Path, database: str) -> None:
    """Show the cluster as this server sees it.

    Exits 1 without a leader.
    """
    seen = _status(socket, database)
    for line in seen.lines():
        click.echo(line)
    if not seen.works:
        raise SystemExit(1)


@cluster.command()
@_socket
@_database
@click.option("--server", help="Remove another server, which is lost for good: an identifier that status shows.")
def leave(socket: Path, server: str | None, database: str) -> None:
    """Take this server out of the cluster for good.

    The others go on without it, and fewer of them are a majority.  To come back it needs a new database (join).
    """
    seen = _status(socket, database)
    if not seen.works:
        raise click.ClickException(f"the server is {seen.status}, and no leader is known: nothing can be changed")
    if server is not None:
        _kick(socket, database, seen, server)
        return
    if len(seen.servers) == 1:
        raise click.ClickException("it is the only server: end it, and remove its database")
    _control(socket, "cluster/leave", database)
    _wait(lambda: _has_left(socket, database), "the others have not confirmed that it leaves")
    click.echo("left the cluster: end ovsdb-server, and remove its database")


def _has_left(socket: Path, database: str) -> bool:
    try:
        return _status(socket, database).status == "left cluster"
    except click.ClickException as error:
        # Then the server has nothing to do with the database any more.
        return _UNKNOWN in error.message


def _kick(socket: Path, database: str, seen: ClusterStatus, server: str) -> None:
    if all(server[:4] != member.id for member in seen.servers):
        raise click.ClickException(f"the cluster has no server {server}")
    if seen.server_id.startswith(server):
        raise click.ClickException(f"{server} is this server: leave without --server")
    _control(socket, "cluster/kick", database, server)
    _wait(
        lambda: all(server[:4] != member.id for member in _status(socket, database).servers),
        f"{server} is still a member",
    )
    click.echo(f"{server} is not a member any more")


def _wait(condition: Callable[[], bool], failure: str) -> None:
    until = time.monotonic() + _LEAVING
    while not condition():
        if time.monotonic() > until:
            raise click.ClickException(f"{failure} within {_LEAVING:.0f} s")
        time.sleep(0.1)


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise click.ClickException(
            f"{file} exists: a server keeps its database, or has left and is made anew without it"
        )
    if not file.parent.is_dir():
        raise click.ClickException(f"{file.parent} is not a directory")


def _status(socket: Path, database: str) -> ClusterStatus:
    try:
        return read_status(_control(socket, "cluster/status", database))
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _control(socket: Path, *command: str) -> str:
    return _tool("ovs-appctl", f"--timeout={_ANSWER}", f"--target={socket.absolute()}", *command)


def _tool(program: str, *arguments: str) -> str:
    """Run a program of Open vSwitch; returns what it says."""
    try:
        done = subprocess.run((program, *arguments), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise click.ClickException(f"{program} is missing: it is in Debian's package openvswitch-common") from None
    if done.returncode:
        # With a reason of the server, the last line says only that there is one.
        reason = _SAID.sub("", done.stderr).strip()
        raise click.ClickException(reason or f"{program} failed")
    return done.stdout
