"""Asks VSI managers for VSI types over HTTP: the only client of ours that leaves the machine.

Runs in a green thread, so that a blocking call stalls no other; every answer is bounded in time and size.
Certificates are verified.  A redirection is followed on the manager's own host only.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from eventlet import Timeout, tpool
from eventlet.semaphore import Semaphore

from ryu_apps.evb.events import FetchType
from ryu_apps.evb.policy.diagnostic import Position, error
from ryu_apps.evb.policy.offer import (
    FetchedDocument,
    HttpSource,
    Invalid,
    NotFound,
    NotModified,
    Offer,
    Unreachable,
    Validators,
    read_offer,
)
from ryu_apps.evb.services.body import SECTIONS

LOG = logging.getLogger(__name__)

#: Questions under way at a time; more wait, within their own timeout.
_AT_A_TIME = 16
_MAX_REDIRECTIONS = 3
_PIECE = 65_536
#: Octets of our token.
_LONGEST_TOKEN = 1000
_USUAL_PORTS = {"http": 80, "https": 443}


class _Refused(Exception):
    """The manager cannot be asked; the text says why."""


class _Answer(NamedTuple):
    """HTTP answer: status, version tag, and the body of a success; None if it is too large."""

    status: int
    reason: str
    validators: Validators
    body: bytes | None


class VsiManagerClient:
    """Asks, one green thread a question.

    Args:
        base: what ``ca_file`` is relative to.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._turn = Semaphore(_AT_A_TIME)

    def fetch(self, wanted: FetchType) -> Offer:
        """Ask, and wait for the answer; never raises."""
        source, url = wanted.source, wanted.source.of(wanted.key)
        try:
            with Timeout(source.timeout), self._turn:
                answer = self._ask(source, url, wanted.known)
        except Timeout:
            return Unreachable(f"no answer within {source.timeout:g} s")
        except (_Refused, HTTPException, OSError, ValueError) as problem:
            return Unreachable(_words(problem))
        except Exception as bug:
            LOG.exception("while asking %s", url)
            return Unreachable(_words(bug))
        return self._understood(wanted, url, answer)

    def _understood(self, wanted: FetchType, url: str, answer: _Answer) -> Offer:
        if answer.status == 304 and wanted.known is not None:
            return NotModified()
        if answer.status in (404, 410):
            return NotFound()
        if answer.status != 200:
            return Unreachable(f"HTTP {answer.status} {answer.reason}".strip())
        if answer.body is None:
            return Invalid((error(url, Position(), f"more than {wanted.source.max_size} octets"),))
        # In a thread of the system's: thousands of rules take seconds, and stations do not wait.
        found: FetchedDocument | Invalid = tpool.execute(
            read_offer, url, wanted.key, answer.body, answer.validators, SECTIONS
        )
        return found

    def _ask(self, source: HttpSource, url: str, known: Validators | None) -> _Answer:
        where = urlsplit(url)
        credentials = _credentials(self._base, source)
        for _ in range(_MAX_REDIRECTIONS + 1):
            connection = self._connection(source, where)
            try:
                connection.request("GET", where.path, headers={**_headers(known), **credentials})
                response = connection.getresponse()
                target = response.getheader("Location") if response.status in (301, 302, 303, 307, 308) else None
                if target is None:
                    return _read(response, source.max_size)
            finally:
                connection.close()
            where = _followed(where, target)
        raise _Refused(f"more than {_MAX_REDIRECTIONS} redirections")

    def _connection(self, source: HttpSource, where: SplitResult) -> HTTPConnection:
        assert where.hostname is not None, "the configuration has been checked"
        if where.scheme == "http":
            return HTTPConnection(where.hostname, where.port, timeout=source.timeout)
        context = trust(self._base, source)
        return HTTPSConnection(where.hostname, where.port, timeout=source.timeout, context=context)


def trust(base: Path, source: HttpSource) -> ssl.SSLContext:
    """Return the TLS context with the trusted certificate authorities.

    Raises:
        OSError: the file of authorities cannot be read, or has none.
    """
    return ssl.create_default_context(cafile=str(base / source.ca_file) if source.ca_file else None)


def _credentials(base: Path, source: HttpSource) -> Mapping[str, str]:
    """The header with our token; it is read for each question, so that a new one needs no restart.

    Raises:
        OSError: the file cannot be read.
    """
    if source.token_file is None:
        return {}
    with (base / source.token_file).open("rb") as file:
        return {"Authorization": f"Bearer {file.read(_LONGEST_TOKEN).decode('ascii').strip()}"}


def _headers(known: Validators | None) -> Mapping[str, str]:
    headers = {"Accept": "application/yaml, text/yaml, */*;q=0.1", "Accept-Encoding": "identity"}
    if known is not None and known.etag is not None:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified is not None:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def _read(response: HTTPResponse, max_size: int) -> _Answer:
    validators = Validators(response.getheader("ETag"), response.getheader("Last-Modified"))
    body: bytes | None = None
    if response.status == 200:
        body = b""
        while len(body) <= max_size and (piece := response.read(min(_PIECE, max_size + 1 - len(body)))):
            body += piece
        promised = response.length
        if len(body) > max_size:
            body = None
        elif promised:
            raise _Refused(f"the answer ends {promised} octets too early")
    return _Answer(response.status, response.reason, validators, body)


def _followed(where: SplitResult, target: str) -> SplitResult:
    there = urlsplit(urljoin(where.geturl(), target))
    if (there.scheme, there.hostname, _port(there)) != (where.scheme, where.hostname, _port(where)):
        raise _Refused(f"redirects to another host: {there.scheme}://{there.netloc}")
    return there


def _port(where: SplitResult) -> int | None:
    return where.port or _USUAL_PORTS.get(where.scheme)


def _words(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
