"""Questions of the NMS to one bridge, or to the members of a cluster, one after the other until one leads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from ryu_apps.http_client import Answer, Limits, RefusedError, Request, exchange, lines, words
from ryu_apps.nms.schema import BridgeSection

#: Octets of an answer; seconds without a sign of life of a stream, which has one every 10 seconds.
_MAX_SIZE, _STREAM_PATIENCE = 64_000_000, 30.0
#: Octets of one line of a stream.
_MAX_LINE = 1_000_000
#: Statuses of a bridge that does not lead its cluster: another one of them may.
_NOT_LEADING = (307, 503)
_PROBLEMS = (RefusedError, HTTPException, OSError, ValueError)


class BridgeError(Exception):
    """A bridge has not answered, or not as it should; the text says why."""


class PushedEvent(NamedTuple):
    """A message of an event stream; ``name`` is empty for a log event.

    The first message of a stream has no data (None): it shows that the bridge is followed.
    """

    name: str
    id: str
    data: Any


class BridgeClient:
    """One bridge.

    Args:
        name: as in the configuration.
        base: what its files are relative to.
    """

    def __init__(self, name: str, section: BridgeSection, base: Path) -> None:
        self.name = name
        self.urls = tuple(section.urls)
        self._base = base
        self._server = Limits(section.timeout, _MAX_SIZE, section.ca_file, section.token_file)

    def get(self, path: str) -> Any:
        """Return the JSON value at a path.

        Raises:
            BridgeError: there is none.
        """
        return self._value(self.ask("GET", path))

    def post(self, path: str, body: Any) -> Any:
        """Return the JSON value that a request is answered with.

        Raises:
            BridgeError: there is none.
        """
        return self._value(self.ask("POST", path, body))

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Return the answer of the member that leads.

        Raises:
            BridgeError: none has answered.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        octets = None
        if body is not None:
            headers["Content-Type"], octets = "application/json", json.dumps(body).encode()
        reasons = []
        for url in self.urls:
            try:
                answer = exchange(self._base, self._server, Request(method, url + path, headers, octets))
            except _PROBLEMS as problem:
                reasons.append(f"{url}: {words(problem)}")
                continue
            if answer.status not in _NOT_LEADING:
                return answer
            reasons.append(f"{url}: HTTP {answer.status} {answer.reason}")
        raise BridgeError("; ".join(reasons))

    @staticmethod
    def _value(answer: Answer) -> Any:
        if answer.status != 200 or answer.body is None:
            raise BridgeError(f"HTTP {answer.status} {answer.reason}")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise BridgeError(f"no JSON: {error}") from error

    def follow(self, url: str, last: str | None) -> Iterator[PushedEvent]:
        """Yield the events of one member until the connection ends.

        Args:
            last: id of the last event that is known; None: only what happens from now on.

        Raises:
            BridgeError: it cannot be followed, or breaks.
        """
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if last is not None:
            headers["Last-Event-ID"] = last
        server = self._server._replace(timeout=_STREAM_PATIENCE)
        fields: dict[str, str] = {}
        try:
            for line in lines(self._base, server, Request("GET", url + "/evb/events/stream", headers), _MAX_LINE):
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif fields:
                    data = json.loads(fields["data"]) if "data" in fields else None
                    yield PushedEvent(fields.get("event", ""), fields.get("id", ""), data)
                    fields = {}
        except _PROBLEMS as problem:
            raise BridgeError(f"{url}: {words(problem)}") from problem
