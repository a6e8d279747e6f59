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
from ryu_apps.rest.callers import Limit, is_loopback
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.tokens import Role, TokenFile, TokensError

LOG = logging.getLogger(__name__)


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
        from eventlet import Timeout, listen, sleep, spawn, tpool, wsgi
        from eventlet.green import ssl

    try:
        log_to_stderr()
        tokens = None if access.tokens is None else TokenFile(access.tokens)
        context = _tls(ssl, access)
        sock = listen((host, port), reuse_port=False)
        served = made(lambda seconds: Timeout(seconds, False))
    except (FormatError, TokensError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or f'{host}:{port}'}: {error.strerror}") from None
    at = sock.getsockname()
    if not is_loopback(at[0]) and (tokens is None or context is None):
        raise click.ClickException(
            f"{at[0]}:{at[1]}: other machines reach it, so that it needs --tokens, --certificate and --private-key"
        )
    scheme = "http"
    if context is not None:
        # The handshake is made with the first octets, in the green thread of the connection.
        sock, scheme = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), "https"
    click.echo(f"{scheme}://{at[0]}:{at[1]}{served.words}")

    def go_on(chore: Chore) -> None:
        while True:
            sleep(chore.interval)
            asked = chore.prepare()
            if asked is not None:
                chore.tell(tpool.execute(chore.ask, asked))

    for chore in served.chores:
        spawn(go_on, chore)
    guarded = Guard(served.application, tokens, required_role, time.time, partial(log_event, LOG))

    class Protocol(wsgi.HttpProtocol):
        def _read_request_line(self) -> bytes:
            try:
                octets: bytes = super()._read_request_line()
            except ssl.SSLError:
                # A client that does not speak TLS, or does not trust the certificate.
                octets = b""
            return octets

    wsgi.server(sock, guarded, log_output=False, socket_timeout=30, debug=False, protocol=Protocol)


def _tls(ssl: Any, access: DaemonAccess) -> Any:
    """The context for all connections; None: TLS is not wanted.

    Raises:
        OSError: a file cannot be used.
    """
    if access.certificate is None and access.private_key is None:
        return None
    if access.certificate is None or access.private_key is None:
        raise click.UsageError("--certificate and --private-key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(access.certificate, access.private_key)
    except OSError as error:
        raise click.ClickException(f"{access.certificate}: {error.strerror or error}") from None
    return context
