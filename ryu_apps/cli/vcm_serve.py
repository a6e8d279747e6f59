"""``evbridge vcm serve``: the cluster manager of others' hypervisors, over HTTP, with a journal to begin again from."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from webob import Request, Response
from webob.dec import wsgify

from ryu_apps.vcm.loader import Loaded
from ryu_apps.vcm.resources import Reply, serve
from ryu_apps.vcm.service import Service

#: Octets of a request's body.
MAX_BODY = 65_536
_VERSION = 1
#: Stands in the journal for a deadline that has come.
_TICK = "TICK"


class JournalError(Exception):
    """The journal cannot be used; the text says why."""


class Journal:
    """What was asked, a line each, written before it is done: the same again comes to the same."""

    def __init__(self, path: Path, inventory: str) -> None:
        """
        Args:
            inventory: text of the inventory; a journal is about one.

        Raises:
            JournalError: it is of another inventory, or is none.
            OSError: it cannot be read or written.
        """
        self._path = path
        self._digest = hashlib.sha256(inventory.encode()).hexdigest()
        self._lines = self._read()
        self._file = path.open("ab", buffering=0)
        if not self._lines:
            self._write({"version": _VERSION, "inventory": self._digest})

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was asked in earlier lives."""
        yield from self._lines[1:]

    def note(self, t: float, method: str, path: str = "", body: bytes = b"") -> None:
        """Remember a request at ``t``; it is on the disk when this returns."""
        self._write({"t": t, "method": method, "path": path, "body": body.decode("utf-8", "replace")})

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        os.fsync(self._file.fileno())

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        whole, _, torn = self._path.read_bytes().rpartition(b"\n")
        if torn:
            # Nobody was told that it had been done.
            os.truncate(self._path, len(whole) + bool(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            if lines and (lines[0]["version"], lines[0]["inventory"]) != (_VERSION, self._digest):
                raise JournalError(f"{self._path}: it is of another inventory; that of a goal does not change")
        except (ValueError, KeyError, TypeError) as error:
            raise JournalError(f"{self._path}: it is no journal: {error}") from None
        return lines


class Desk:
    """A service, its journal and the time: a WSGI application."""

    def __init__(self, service: Service, journal: Journal | None, clock: Callable[[], float] = time.time) -> None:
        self.service = service
        self._journal = journal
        self._clock = clock
        self._last = 0.0
        for entry in journal.entries() if journal else ():
            self._last = float(entry["t"])
            if entry["method"] == _TICK:
                service.tick(self._last)
            else:
                serve(service, entry["method"], entry["path"], entry["body"].encode(), self._last)

    @wsgify
    def __call__(self, request: Request) -> Response:
        """Serve one request."""
        body = request.body_file.read(MAX_BODY + 1)
        if len(body) > MAX_BODY:
            return _response(Reply(413, {"error": f"more than {MAX_BODY} octets"}))
        try:
            path = request.path_info
        except UnicodeDecodeError:
            return _response(Reply(400, {"error": "the URL is not UTF-8"}))
        # A clock that is set back does not turn back what has been.
        now = self._last = max(self._last, self._clock())
        try:
            self._catch_up(now)
            if request.method not in ("GET", "HEAD") and self._journal is not None:
                self._journal.note(now, request.method, path, body)
        except OSError as error:
            return _response(Reply(503, {"error": f"the journal cannot be written: {error.strerror}"}))
        return _response(serve(self.service, request.method, path, body, now))

    def _catch_up(self, now: float) -> None:
        deadline = self.service.deadline
        if deadline is not None and deadline <= now:
            if self._journal is not None:
                self._journal.note(now, _TICK)
            self.service.tick(now)


def _response(reply: Reply) -> Response:
    return Response(json_body=reply.body, status=reply.status, content_type="application/json")


def serve_inventory(loaded: Loaded, text: str, host: str, port: int, journal: Path | None) -> None:
    """Serve until somebody ends us.

    Raises:
        ClickException: the journal cannot be used, or nobody can listen there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet says that it is old whenever it is imported
        from eventlet import listen, wsgi

    try:
        desk = Desk(Service(loaded.inventory), Journal(journal, text) if journal else None)
        sock = listen((host, port), reuse_port=False)
    except JournalError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or f'{host}:{port}'}: {error.strerror}") from None
    at = sock.getsockname()
    click.echo(f"http://{at[0]}:{at[1]}/vcm: {loaded.inventory.name}, {len(desk.service.pursuits)} goals so far")
    wsgi.server(sock, desk, log_output=False, socket_timeout=30)
