"""Ryu's web server with bounds: on connections, and on the time that a request may take to arrive.

Ryu's own server shares its port with any other process (SO_REUSEPORT), ends with the first error of ``accept``, and
waits for a request, and for its body, for ever.
"""

from __future__ import annotations

import io
import logging
import socket as sockets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import eventlet.wsgi
from eventlet import hubs
from ryu.app import wsgi
from ryu.lib import hub

from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.listening.listener import AcceptedConnection, TcpListener
from ryu_apps.listening.sockets import CannotListen, hang_up
from ryu_apps.listening.tls import ServerCertificate, encrypt
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.resources import required_role
from ryu_apps.rest.tokens import TokenFile, TokensError

LOG = logging.getLogger(__name__)

#: Seconds for TLS to be agreed.
HANDSHAKE = 5.0
#: Seconds for a request line and the headers, for a body, between two requests of one connection, and without
#: progress while an answer is sent.
HEAD, BODY, IDLE, STUCK = 10.0, 10.0, 60.0, 30.0


class _GoneError(BaseException):
    """The client reads no answer any more.  Not an Exception: eventlet would log a traceback for each."""


class _Answer(io.RawIOBase):
    """Octets for a client, until its connection breaks."""

    def __init__(self, socket: Any) -> None:
        super().__init__()
        self._socket = socket
        self._gone = False

    def writable(self) -> bool:
        """As of the base class."""
        return True

    def write(self, octets: Any) -> int:
        """As of the base class; octets left in buffers are dropped when the client has gone."""
        if not self._gone:
            try:
                self._socket.sendall(octets)
            except OSError:
                self._gone = True
                raise _GoneError from None
        return len(octets)


class _Protocol(eventlet.wsgi.HttpProtocol):
    """HTTP with deadlines; the last item of the connection's state is the :class:`AcceptedConnection`."""

    def setup(self) -> None:
        """As of the base class."""
        self._timer: Any = None
        self._next = HEAD
        super().setup()
        self.wfile = io.BufferedWriter(_Answer(self.connection), self.wbufsize)

    def finish(self) -> None:
        """As of the base class."""
        self._within(None)
        super().finish()

    def _within(self, seconds: float | None, how: int = sockets.SHUT_RDWR) -> None:
        """Set the time, in seconds, in which the next octets have to be read; None: no limit."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else hubs.get_hub().schedule_call_global(seconds, self._late, how)

    def _late(self, how: int) -> None:
        self._timer = None
        hang_up(self.connection, how)

    def _read_request_line(self) -> Any:
        self._within(self._next)
        line = super()._read_request_line()
        self._within(HEAD)
        self._next = IDLE
        return line

    def parse_request(self) -> bool:
        """As of the base class, which takes headers that end with the connection for whole."""
        head, line = self.rfile, b"-"

        def readline(size: int = -1) -> bytes:
            nonlocal line
            line = type(head).readline(head, size)
            return line

        head.readline = readline
        return super().parse_request() and line != b""

    def get_environ(self) -> dict[str, Any]:
        """As of the base class, which calls this when the headers are there."""
        environ: dict[str, Any] = super().get_environ()
        if environ["wsgi.input"].chunked_input or environ["wsgi.input"].content_length:
            # Only the receiving half is shut, so that a client whose body does not come still gets status 408.
            self._within(BODY, sockets.SHUT_RD)
        else:
            self._within(None)
        if "HTTP_UPGRADE" in environ:
            self.connection.settimeout(None)
        return environ

    def handle_one_response(self) -> None:
        """As of the base class; meanwhile the connection is not closed in favour of new ones."""
        inside, connection = self.conn_state[3:]
        inside.hold(connection)
        super().handle_one_response()
        inside.hold(connection, yields=True)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Settings and event log of the bridge of the same process.

    Attributes:
        access: who may send requests.
        base: directory that the paths of ``access`` are relative to.
        report: records an event.
    """

    access: RestAccess = RestAccess()
    base: Path = Path()
    report: Callable[[LogEvent], None] = lambda _: None


class _Requests:
    """Log of eventlet's server: a line for each request, of which Prometheus alone causes two in 15 seconds."""

    def write(self, message: str) -> None:
        LOG.debug(message.rstrip("\n"))


class RestServer:
    """A server that listens from its construction on, and serves when it is called.

    Args:
        application: for WSGI.
        around: the bridge of the same process.

    Raises:
        CannotListen: the address cannot be had, a file cannot be used, or strangers would be let in.
    """

    def __init__(self, application: Any, around: Surroundings) -> None:
        access = around.access
        tokens = _tokens(around.base, access)
        self._tls = _tls(around.base, access)
        self.listener = TcpListener("rest", "REST", wsgi.CONF.wsapi_host, wsgi.CONF.wsapi_port)
        if not self.listener.is_local and (tokens is None or self._tls is None):
            raise CannotListen(
                f"REST: {self.listener.place}: other machines reach it, so that it needs rest.tokens, rest.certificate "
                "and rest.private_key in evbridge.yaml"
            )
        LOG.info("REST on %s%s", self.listener.place, " over TLS" if self._tls else "")
        application = Guard(application, tokens, required_role, time.time, around.report)
        self._server = eventlet.wsgi.Server(
            self.listener.server,
            self.listener.server.getsockname(),
            application,
            _Requests(),
            debug=False,
            socket_timeout=STUCK,
        )

    def __call__(self) -> None:
        """Accept for ever."""
        while True:
            connection = self.listener.accept()
            hub.spawn(self._serve, connection)

    def _serve(self, connection: AcceptedConnection) -> None:
        inside = self.listener.inside
        state = [connection.address, connection.socket, eventlet.wsgi.STATE_IDLE, inside, connection]
        connection.socket.settimeout(STUCK)
        try:
            if self._tls is not None:
                encrypt(self._tls.context(), connection, HANDSHAKE)
                state[1] = connection.socket
            _Protocol(state, self._server)
        except (OSError, _GoneError) as error:
            LOG.debug("REST: %s: %s", connection.address, error)
        finally:
            inside.leave(connection)
            connection.socket.close()


def install(around: Callable[[], Surroundings]) -> None:
    """Have Ryu serve its WSGI applications with :class:`RestServer`.

    Args:
        around: called when all apps are loaded.
    """

    def made(application: Any) -> RestServer:
        try:
            return RestServer(application, around())
        except CannotListen as error:
            raise SystemExit(f"evbridge cannot start: {error}") from None

    wsgi.WSGIServer = made


def _tokens(base: Path, access: RestAccess) -> TokenFile | None:
    if access.tokens is None:
        return None
    try:
        return TokenFile(base / access.tokens)
    except TokensError as error:
        raise CannotListen(f"REST: {error}") from None


def _tls(base: Path, access: RestAccess) -> ServerCertificate | None:
    """The certificate for all connections, None: TLS is not configured."""
    if access.certificate is None or access.private_key is None:
        return None
    return ServerCertificate("REST", base / access.certificate, base / access.private_key)
