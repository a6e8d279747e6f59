"""``evbridge token``: tokens of REST clients in the file that evbridge.yaml names (``rest.tokens``)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import click

from ryu_apps.rest.tokens import Role, Token, TokensError, new_token, read_tokens

_FILE = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="EVBRIDGE_TOKENS",
    default="/etc/evbridge/tokens",
    show_default=True,
    show_envvar=True,
    help="File of the tokens.",
)
_HEADING = "# name:role:expires:SHA-256 of the token"


@click.group()
def token() -> None:
    """Create, list and revoke the tokens of REST clients.

    A running evbridge reads the file again when it has changed.
    """


@token.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    required=True,
    help="read: GET alone.  operate: take VSIs off, set back ends and totals.  admin: everything.",
)
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="First day on which it is not accepted, UTC.")
@_FILE
def create(name: str, role: str, expires: datetime | None, file: Path) -> None:
    """Create the token NAME and print it.  It is shown this once: the file has its hash."""
    known = _known(file) if file.exists() else []
    if any(entry.name == name for entry in known):
        raise click.ClickException(f"{file} has a token {name} already; revoke it first")
    try:
        text, made = new_token(name, Role.of(role), expires.date() if expires else None)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if made.has_expired(time.time()):
        raise click.ClickException(f"a token that expires on {made.expires} is never accepted")
    _write(file, [*known, made])
    click.echo(text)


@token.command("list")
@_FILE
def list_(file: Path) -> None:
    """List names, roles and dates of expiry."""
    for entry in _known(file):
        expired = " (expired)" if entry.has_expired(time.time()) else ""
        click.echo(f"{entry.name:20} {entry.role!s:8} {entry.expires or 'does not expire'}{expired}")


@token.command()
@click.argument("name")
@_FILE
def revoke(name: str, file: Path) -> None:
    """Remove the token NAME; the next request with it is refused."""
    known = _known(file)
    left = [entry for entry in known if entry.name != name]
    if len(left) == len(known):
        raise click.ClickException(f"{file} has no token {name}")
    _write(file, left)


def _known(file: Path) -> list[Token]:
    try:
        return read_tokens(file)
    except TokensError as error:
        raise click.ClickException(str(error)) from None


def _write(file: Path, tokens: Iterable[Token]) -> None:
    """Write the file as a whole: a bridge that reads meanwhile sees the old one or the new one.

    Every user may read it: the account of a bridge is often not that of the operator, and hashes of 256 random bits
    disclose nothing.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    written = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in (_HEADING, *map(str, tokens)))
            stream.flush()
            os.fsync(stream.fileno())
        written.chmod(0o644)
        written.replace(file)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
