"""REST of our daemons beside the bridge, on eventlet: tokens and roles, TLS, and who may reach it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from ryu_apps.event_log import log_event
from ryu_apps.process.logs import FormatError, log_to_stderr
from ryu_apps.rest.callers import Limit
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.tokens import Role, TokenFile, TokensError

LOG = logging.getLogger(__name__)
#: Seconds after a bug, at least.
_PAUSE = 10.0


class DaemonAccess(NamedTuple):
    """Clients that are admitted.

    Attributes:
        names: host names that a request may address, besides the addresses of the server.
        tokens: file of the tokens (``evbridge token``); None: no request needs one.
        certificate, private_key: files in PEM, for TLS.
    """

    names: tuple[str, ...] = ()
    tokens: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


class Chore(NamedTuple):
    """Work of a daemon between the requests.

    Attributes:
        interval: seconds between two rounds.
        prepare: returns what there is to ask; None: nothing, until the next round.
        ask: asks it; it may block, since it is called in a thread of its own.
        tell: is given the answer.
    """

    interval: float
    prepare: Callable[[], Any]
    ask: Callable[[Any], Any]
    tell: Callable[[Any], None]


def go_on(chore: Chore, sleep: Callable[[float], object], in_a_thread: Callable[..., Any]) -> None:
    """Do rounds of a chore for ever; what a round raises must not end the others.

    Args:
        sleep: waits so many seconds.
        in_a_thread: calls a function in a thread of its own, and returns what it returns.
    """
    pause = chore.interval
    while True:
        sleep(pause)
        pause = chore.interval
        try:
            asked = chore.prepare()
            if asked is not None:
                chore.tell(in_a_thread(chore.ask, asked))
        except Exception:
            LOG.exception("in the work between requests")
            pause = max(pause, _PAUSE)


class ServedApplication(NamedTuple):
    """A WSGI application, what is printed behind the address at which it is served, and its chores."""

    application: Any
    words: str
    chores: tuple[Chore, ...] = ()


def required_role(method: str, path: str) -> Role:
    """The role that a request needs: to read, or to change something."""
    return Role.READ if method in ("GET", "HEAD", "OPTIONS") else Role.OPERATE


def serve_daemon(made: Callable[[Limit], ServedApplication], host: str, port: int, access: DaemonAccess) -> None:
    """Serve until a signal ends the process.

    Args:
        made: returns the application, with what bounds the time in which a body has to arrive; called when the address
            is had.

    Raises:
        ClickException: a file cannot be used, the address is not available, strangers would be let in, or the
            environment names no format of logs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet warns of its deprecation at every import
        from eventlet import Timeout, sleep, spawn, tpool

        from ryu_apps.listening.listener import TcpListener
        from ryu_apps.listening.sockets import CannotListen
        from ryu_apps.listening.tls import ServerCertificate
        from ryu_apps.rest.bounded import BoundedServer

    try:
        log_to_stderr()
        tokens = None if access.tokens is None else TokenFile(access.tokens)
        files = _certificate_files(access)
        tls = None if files is None else ServerCertificate("REST", *files)
        listener = TcpListener("rest", "REST", host, port)
        served = made(lambda seconds: Timeout(seconds, False))
    except (FormatError, TokensError, CannotListen) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or f'{host}:{port}'}: {error.strerror}") from None
    if not listener.is_local and (tokens is None or tls is None):
        raise click.ClickException(
            f"{listener.place}: other machines reach it, so that it needs --tokens, --certificate and --private-key"
        )
    click.echo(f"{'http' if tls is None else 'https'}://{listener.place}{served.words}")
    for chore in served.chores:
        spawn(go_on, chore, sleep, tpool.execute)
    guarded = Guard(served.application, tokens, required_role, time.time, partial(log_event, LOG))
    BoundedServer(listener, tls, guarded)()


def _certificate_files(access: DaemonAccess) -> tuple[Path, Path] | None:
    """The certificate for all connections and its key; None: TLS is not wanted."""
    if access.certificate is None and access.private_key is None:
        return None
    if access.certificate is None or access.private_key is None:
        raise click.UsageError("--certificate and --private-key go together")
    return access.certificate, access.private_key
