"""HTTP with VSI managers, other pods, and the bridges of an NMS: the only client of ours that leaves the machine.

Every answer is bounded in time and size.  Certificates are verified.  A redirection is followed on the same scheme,
host and port only.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

_MAX_REDIRECTIONS = 3
_PIECE = 65_536
#: Octets of our token.
_LONGEST_TOKEN = 1000
_USUAL_PORTS = {"http": 80, "https": 443}


class Server(Protocol):
    """Limits and credentials for a server.

    Attributes:
        timeout: seconds.
        max_size: octets of an answer.
        ca_file: certificates that authenticate it, None for those that the system trusts.
        token_file: file with the token that authenticates us, None for none.
    """

    @property
    def timeout(self) -> float: ...
    @property
    def max_size(self) -> int: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def token_file(self) -> str | None: ...


class Limits(NamedTuple):
    """A :class:`Server`, for callers whose own configuration is not one."""

    timeout: float
    max_size: int
    ca_file: str | None
    token_file: str | None


class RefusedError(Exception):
    """The server cannot be asked; the text says why."""


class ElsewhereError(RefusedError):
    """The server redirects to another host."""


class Request(NamedTuple):
    """HTTP request."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None


class Answer(NamedTuple):
    """HTTP answer: status, validators, and the body of a success; None if it is too large."""

    status: int
    reason: str
    etag: str | None
    last_modified: str | None
    body: bytes | None


def exchange(base: Path, server: Server, request: Request, deadline: float | None = None) -> Answer:
    """Send a request, and return the answer.

    Args:
        base: folder to which the files of ``server`` are relative.
        deadline: seconds from connection to end, for each redirection; ``timeout`` is that of each step.  None: none.

    Raises:
        RefusedError, HTTPException, OSError, ValueError: there is none.
    """
    where = urlsplit(request.url)
    headers = {**request.headers, **_credentials(base, server)}
    for _ in range(_MAX_REDIRECTIONS + 1):
        timer: _Deadline | None = None
        connection = _connection(base, server, where)
        try:
            connection.connect()
            timer = _Deadline(connection.sock, deadline) if deadline is not None else None
            path = f"{where.path}?{where.query}" if where.query else where.path
            connection.request(request.method, path, request.body, headers)
            response = connection.getresponse()
            target = response.getheader("Location") if response.status in (301, 302, 303, 307, 308) else None
            if target is None:
                answer = _read(response, server.max_size)
                if timer is not None and timer.has_passed:
                    raise RefusedError(f"no end within {deadline:g} s")
                return answer
        finally:
            if timer is not None:
                timer.cancel()
            connection.close()
        where = _followed(where, target)
    raise RefusedError(f"more than {_MAX_REDIRECTIONS} redirections")


class _Deadline:
    """Ends a connection at its deadline.

    It has the socket, which an ``HTTPConnection`` gives away with an answer that ends with the connection.
    """

    def __init__(self, connected: socket, seconds: float) -> None:
        self.has_passed = False
        self._socket = connected
        self._timer = Timer(seconds, self._hang_up)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """The exchange is over."""
        self._timer.cancel()

    def _hang_up(self) -> None:
        self.has_passed = True
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)


def lines(base: Path, server: Server, request: Request, longest: int) -> Iterator[bytes]:
    """Yield the lines of an answer that goes on; ``timeout`` is that between two of them.

    Args:
        longest: octets of a line.

    Raises:
        RefusedError, HTTPException, OSError, ValueError: there is no answer, its status is not 200, or it breaks.
    """
    where = urlsplit(request.url)
    connection = _connection(base, server, where)
    try:
        path = f"{where.path}?{where.query}" if where.query else where.path
        connection.request(request.method, path, request.body, {**request.headers, **_credentials(base, server)})
        response = connection.getresponse()
        if response.status != 200:
            raise RefusedError(f"HTTP {response.status} {response.reason}")
        while line := response.readline(longest + 1):
            if len(line) > longest:
                raise RefusedError(f"a line of more than {longest} octets")
            yield line
    finally:
        connection.close()


def _connection(base: Path, server: Server, where: SplitResult) -> HTTPConnection:
    assert where.hostname is not None, "the configuration has been checked"
    if where.scheme == "http":
        return HTTPConnection(where.hostname, where.port, timeout=server.timeout)
    context = trust(base, server)
    return HTTPSConnection(where.hostname, where.port, timeout=server.timeout, context=context)


def trust(base: Path, server: Server) -> ssl.SSLContext:
    """Return the TLS context with the trusted certificate authorities.

    Raises:
        OSError: the file of authorities cannot be read, or has none.
    """
    return ssl.create_default_context(cafile=str(base / server.ca_file) if server.ca_file else None)


def _credentials(base: Path, server: Server) -> Mapping[str, str]:
    """The header with our token; it is read for each question, so that a new one needs no restart.

    Raises:
        OSError: the file cannot be read.
    """
    if server.token_file is None:
        return {}
    with (base / server.token_file).open("rb") as file:
        return {"Authorization": f"Bearer {file.read(_LONGEST_TOKEN).decode('ascii').strip()}"}


def _read(response: HTTPResponse, max_size: int) -> Answer:
    body: bytes | None = None
    if response.status == 200:
        # Octets that are appended to ``bytes`` are all copied each time: half a minute for a state of 64 MB.
        taken = bytearray()
        while len(taken) <= max_size and (piece := response.read(min(_PIECE, max_size + 1 - len(taken)))):
            taken += piece
        promised = response.length
        if len(taken) <= max_size:
            body = bytes(taken)
            if promised:
                raise RefusedError(f"the answer ends {promised} octets too early")
    etag, modified = response.getheader("ETag"), response.getheader("Last-Modified")
    return Answer(response.status, response.reason, etag, modified, body)


def _followed(where: SplitResult, target: str) -> SplitResult:
    there = urlsplit(urljoin(where.geturl(), target))
    if (there.scheme, there.hostname, _port(there)) != (where.scheme, where.hostname, _port(where)):
        raise ElsewhereError(f"redirects to another host: {there.scheme}://{there.netloc}")
    return there


def _port(where: SplitResult) -> int | None:
    return where.port or _USUAL_PORTS.get(where.scheme)


def words(problem: Exception) -> str:
    """Return the reason that an exception gives."""
    return str(problem) or type(problem).__name__
