"""Checks of HTTP requests before any resource sees them: origin, host name, length and type of the body.

A web page in an operator's browser can send requests to addresses that only the browser reaches.  It may not read the
answers, but a POST acts all the same (cross-site request forgery).  If the page's host name is made to resolve to this
server, the page reads the answers too (DNS rebinding).  Two headers show both: ``Host`` has the name under which the
page was found, ``Origin`` the page's own origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from http import HTTPStatus
from io import BytesIO
from ipaddress import IPv6Address, ip_address

from webob import Request

#: Octets of a request's body.
MAX_BODY = 65_536
#: Seconds in which the whole body of a request has to arrive.
BODY_PATIENCE = 5.0

#: Context manager that ends its block after so many seconds, without an exception.
Limit = Callable[[float], AbstractContextManager[object]]

_READING = ("GET", "HEAD")
_JSON = "application/json"
#: A host, and perhaps a port (RFC 9110 7.2).
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-fA-F:.]+)\]|(?P<name>[^][:,/@?#\s]+))(?::[0-9]*)?")


class NotServedError(Exception):
    """A request that is refused before any resource sees it.

    Attributes:
        status: HTTP status code.
        reason: one line for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def screen(request: Request, names: Iterable[str] = ()) -> None:
    """Refuse a request that a page of another origin may have caused.

    Args:
        request: with the octets of its body unread.
        names: host names and addresses that a request may address, besides the addresses of the server.

    Raises:
        NotServedError: 400, 403, 415 or 421.
    """
    host = request.environ.get("HTTP_HOST", "")
    if not host:
        raise NotServedError(400, "a Host header is needed")
    if not _ours(host, request.environ.get("SERVER_NAME", ""), names):
        raise NotServedError(421, f"{host!r} is not a name of this server")
    origin = request.environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        raise NotServedError(403, f"requests of pages of {origin!r} are refused")
    if request.method not in _READING:
        _screen_change(request)


def read_body(request: Request, limit: Limit, longest: int = MAX_BODY) -> bytes:
    """The body of a request, whole; empty if it has none.

    Args:
        limit: bounds the time of reading.
        longest: the most octets.

    Raises:
        NotServedError: 400, 408, 411 or 413.
    """
    if _in_pieces(request):
        raise NotServedError(411, "a body needs a Content-Length")
    length = request.content_length or 0
    if length > longest:
        raise NotServedError(413, f"more than {longest} octets")
    octets: bytes | None = None
    try:
        with limit(BODY_PATIENCE):
            octets = request.body_file.read(length) if length else b""
    except OSError:
        raise NotServedError(400, "the body has not arrived") from None
    if octets is None:
        raise NotServedError(408, f"the body has not arrived within {BODY_PATIENCE:g} s")
    if len(octets) < length:
        raise NotServedError(400, "the body has not arrived")
    return octets


def abandon(request: Request) -> None:
    """End the connection of a refused request with its answer, instead of waiting for the rest of a body."""
    stream = request.environ.get("eventlet.input")
    if stream is not None:
        # eventlet does the same for a client that waits for "100 Continue": it sends Connection: close, reads no more.
        stream.wfile, stream.is_hundred_continue_response_sent = stream.wfile or BytesIO(), False


def status_line(status: int) -> str:
    """Return a status with its reason phrase; webob has only a general one for some, such as 421."""
    return f"{status} {HTTPStatus(status).phrase}"


def is_loopback(host: str) -> bool:
    """Return True if a name or address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _screen_change(request: Request) -> None:
    """Refuse a change that a page can send without a preflight (a "simple" request of the Fetch standard)."""
    site = request.environ.get("HTTP_SEC_FETCH_SITE", "none")
    if site not in ("none", "same-origin"):
        raise NotServedError(403, f"a {site} request may not change anything")
    written = _content_type(request)
    if written is None:
        if request.content_length or _in_pieces(request):
            raise NotServedError(415, f"Content-Type: {_JSON} is needed")
    elif written.partition(";")[0].strip().lower() != _JSON:
        raise NotServedError(415, f"Content-Type has to be {_JSON}, not {written!r}")


def _content_type(request: Request) -> str | None:
    """Content-Type as the client wrote it, or None; eventlet puts ``text/plain`` where the client wrote none."""
    raw: Iterable[tuple[str, str]] | None = request.environ.get("headers_raw")
    if raw is None:
        return request.environ.get("CONTENT_TYPE") or None
    return next((value for name, value in raw if name.lower() == "content-type"), None)


def _ours(host: str, own: str, names: Iterable[str]) -> bool:
    """Return True if a Host header (several are joined by commas, and match none) is a name of this server."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = _canonical(found["address"] or found["name"])
    return is_loopback(name) or name in map(_canonical, (own, *names))


def _canonical(name: str) -> str:
    """Canonical text of a host name or address.

    On a server that listens on ``::``, IPv4 arrives at an IPv4-mapped IPv6 address.
    """
    try:
        address = ip_address(name)
    except ValueError:
        return name.lower().removesuffix(".")
    return str(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else str(address)


def _in_pieces(request: Request) -> bool:
    return "HTTP_TRANSFER_ENCODING" in request.environ
