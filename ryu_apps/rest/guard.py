"""Authorization of requests to all apps on the web server: tokens, roles, and the audit log of changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from webob import Request

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import RestChanged, RestRefused
from ryu_apps.rest.callers import abandon, status_line
from ryu_apps.rest.tokens import Role, Token, TokenFile

#: Member of the environment: a function that returns False when the request would be refused by now.
ADMITTED = "evbridge.admitted"
#: Member of the environment: the :class:`Token` of the request; None or absent: no request needs one.
CALLER = "evbridge.caller"
#: Methods that change nothing.
_READING = ("GET", "HEAD", "OPTIONS")
#: Characters of a client's path in an event.
_LONGEST = 200
_NO_TOKEN = "-"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


class RefusedError(Exception):
    """A request whose token does not do.

    Attributes:
        status: 401 or 403.
        caller: name of the token, if it is known.
    """

    def __init__(self, status: int, reason: str, caller: str = _NO_TOKEN) -> None:
        super().__init__(reason)
        self.status = status
        self.caller = caller


class Guard:
    """A WSGI application in front of another one.

    Args:
        application: serves what is let through.
        tokens: those that are accepted; None: no request needs one.
        role_of: the role that a method and a path need; None: no token.
        wall: Unix time in seconds.
        report: records the events of changes and refusals.
    """

    def __init__(
        self,
        application: Wsgi,
        tokens: TokenFile | None,
        role_of: Callable[[str, str], Role | None],
        wall: Callable[[], float],
        report: Callable[[LogEvent], None],
    ) -> None:
        self._application = application
        self._tokens = tokens
        self._role_of = role_of
        self._wall = wall
        self._report = report

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        request = Request(environ)
        try:
            caller = self._caller(request)
        except RefusedError as refused:
            self._report(RestRefused(*_facts(request, refused.caller, refused.status)))
            return _refuse(request, start_response, refused)
        environ[ADMITTED] = lambda: self._admits(request)
        environ[CALLER] = caller
        if request.method in _READING:
            return self._application(environ, start_response)

        def started(status: str, *more: Any) -> Any:
            name = _NO_TOKEN if caller is None else caller.name
            self._report(RestChanged(*_facts(request, name, int(status.split()[0]))))
            return start_response(status, *more)

        return self._application(environ, started)

    def _admits(self, request: Request) -> bool:
        try:
            self._caller(request)
        except RefusedError:
            return False
        return True

    def _caller(self, request: Request) -> Token | None:
        """The token of a request; None: it needs none."""
        needed = self._role_of(request.method, _path(request))
        if self._tokens is None or needed is None:
            return None
        text = _bearer(request)
        if text is None:
            raise RefusedError(401, "a token is needed: Authorization: Bearer TOKEN")
        token = self._tokens.find(text, self._wall())
        if token is None:
            raise RefusedError(401, self._unknown())
        if token.role < needed:
            raise RefusedError(403, f"the role {needed} is needed; the token {token.name} has {token.role}", token.name)
        return token

    def _unknown(self) -> str:
        assert self._tokens is not None
        if self._tokens.fault is not None:
            return "no token is accepted: the file of tokens cannot be used"
        return "the token is unknown or has expired"


def _bearer(request: Request) -> str | None:
    """The token of a request (RFC 6750 2.1), None without."""
    scheme, _, text = request.environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def _path(request: Request) -> str:
    # Not UTF-8: no resource of ours, and in an event it has to be a text all the same.
    raw: str = request.environ.get("PATH_INFO", "")
    return raw.encode("latin-1").decode("utf-8", "replace")


def _facts(request: Request, caller: str, status: int) -> tuple[str, str, str, str, int]:
    address = request.environ.get("REMOTE_ADDR") or "local"
    return caller, str(address), request.method[:_LONGEST], _path(request)[:_LONGEST], status


def _refuse(request: Request, start_response: StartResponse, refused: RefusedError) -> list[bytes]:
    abandon(request)
    body = json.dumps({"error": str(refused)}).encode() + b"\n"
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if refused.status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="evbridge"'))
    start_response(status_line(refused.status), headers)
    return [body]
