"""HTTP with bounds: on connections, and on the time that a request may take to arrive.

eventlet's own server ends with the first error of ``accept``, such as the want of a descriptor, and waits for a request
for as long as a client likes.
"""

from __future__ import annotations

import io
import logging
import socket as sockets
from typing import Any

import eventlet.wsgi
from eventlet import hubs
from ryu.lib import hub

from ryu_apps.listening.listener import AcceptedConnection, TcpListener
from ryu_apps.listening.sockets import hang_up
from ryu_apps.listening.tls import ServerCertificate, encrypt

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


class _Requests:
    """Log of eventlet's server: a line for each request, of which Prometheus alone causes two in 15 seconds."""

    def write(self, message: str) -> None:
        LOG.debug(message.rstrip("\n"))


class BoundedServer:
    """A server of HTTP, which serves when it is called.

    Args:
        listener: its address, and the bounds on connections.
        tls: its certificate; None: it serves without TLS.
        application: for WSGI.
    """

    def __init__(self, listener: TcpListener, tls: ServerCertificate | None, application: Any) -> None:
        self.listener = listener
        self._tls = tls
        self._server = eventlet.wsgi.Server(
            listener.server, listener.server.getsockname(), application, _Requests(), debug=False, socket_timeout=STUCK
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
