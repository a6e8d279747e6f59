"""Questions of commands to the REST interface of a bridge, and the options that they share."""

from __future__ import annotations

import gzip
import json
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import click

from ryu_apps.rest.callers import is_loopback

#: Seconds until a controller is given up, and without a sign of life of a stream, which has one every 10 seconds.
_PATIENCE, _STREAM_PATIENCE = 10.0, 30.0
#: Octets of an error that are shown.
_LONGEST = 500
_Command = TypeVar("_Command", bound=Callable[..., Any])
_READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEXT = re.compile(r'<([^>]+)>; rel="next"')


class PushedEvent(NamedTuple):
    """A message of an event stream; ``name`` is empty for a log event."""

    name: str
    id: str
    data: Any


@dataclass(frozen=True, slots=True)
class RestClient:
    """A bridge as a client sees it.

    Attributes:
        base: its URL, without a slash at the end.
        token: text of the client's token; None: none.
        ca_file: authorities that its certificate is of; None: those that the system trusts.
    """

    base: str
    token: str | None = None
    ca_file: Path | None = None

    def get(self, path: str) -> Any:
        """The JSON value at a path; a list in parts is put together.

        Raises:
            ClickException: no answer, an error, or no JSON.
        """
        found, url = None, path
        while url:
            try:
                with self._open(url, _PATIENCE, {"Accept-Encoding": "gzip"}) as answer:
                    octets = answer.read()
                    packed = answer.headers.get("Content-Encoding") == "gzip"
                    part = json.loads(gzip.decompress(octets) if packed else octets)
                    more = _NEXT.fullmatch(answer.headers.get("Link", ""))
            except (OSError, HTTPException, ValueError) as error:
                raise click.ClickException(f"{self.base}{path}: {_reason(error)}") from None
            found = found + part if isinstance(found, list) else part
            url = more[1] if more else ""
        return found

    def text(self, path: str) -> str:
        """The text at a path.

        Raises:
            ClickException: no answer, an error, or no UTF-8.
        """
        try:
            with self._open(path, _PATIENCE, {}) as answer:
                found: str = answer.read().decode()
                return found
        except (OSError, HTTPException, ValueError) as error:
            raise click.ClickException(f"{self.base}{path}: {_reason(error)}") from None

    def follow(self, path: str, last: str | None = None) -> Iterator[PushedEvent]:
        """Yield the events of a stream until it ends.

        Args:
            last: id of the last event that the client has.

        Raises:
            ClickException: it cannot be opened.
            OSError, HTTPException, ValueError: it breaks.
        """
        resumed = {} if last is None else {"Last-Event-ID": last}
        try:
            answer = self._open(path, _STREAM_PATIENCE, resumed)
        except (OSError, HTTPException) as error:
            raise click.ClickException(f"{self.base}{path}: {_reason(error)}") from None
        with answer:
            fields: dict[str, str] = {}
            for line in answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    yield PushedEvent(fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"]))
                    fields = {}

    def post(self, path: str, body: Any) -> Any:
        """Return the answer to a JSON value that is sent to a path.

        Raises:
            ClickException: no answer, an error, or no JSON.
        """
        try:
            octets = json.dumps(body).encode()
            with self._open(path, _PATIENCE, {"Content-Type": "application/json"}, octets) as answer:
                return json.load(answer)
        except (OSError, HTTPException, ValueError) as error:
            raise click.ClickException(f"{self.base}{path}: {_reason(error)}") from None

    def _open(self, path: str, patience: float, headers: dict[str, str], body: bytes | None = None) -> Any:
        if self.token is not None:
            headers = {**headers, "Authorization": f"Bearer {self.token}"}
        trust = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        # Not by way of a proxy that the environment names: controllers are on the loopback or nearby.
        opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust))
        return opener.open(Request(self.base + path, body, headers), timeout=patience)


def _reason(error: Exception) -> str:
    """The reason in words: of a refusal, that which the bridge gives."""
    if not isinstance(error, HTTPError):
        return str(getattr(error, "reason", error)) or type(error).__name__
    try:
        told = json.loads(error.read(_LONGEST))["error"]
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return str(error)
    return f"{error.code} {error.reason}: {told}"


def rest_client(url: str, token_file: Path | None, ca_file: Path | None) -> RestClient:
    """The bridge at a URL.

    Raises:
        ClickException: it is no URL; a token would be sent in the clear to another machine.
    """
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise click.ClickException(f"{url}: no URL as http://127.0.0.1:8080 or https://evb.example.net:8080")
    token = token_file.read_text(encoding="ascii").strip() if token_file else None
    if token is not None and place.scheme != "https" and not is_loopback(place.hostname):
        raise click.ClickException(f"{url}: a token is sent over https only")
    return RestClient(url.rstrip("/"), token, ca_file)


def bridge_url(name: str) -> Callable[[_Command], _Command]:
    """The option ``--rest``, the URL of a bridge, as a parameter of this name."""
    return click.option(
        "--rest",
        name,
        default="http://127.0.0.1:8080",
        envvar="EVBRIDGE_REST",
        show_default=True,
        show_envvar=True,
        metavar="URL",
        help="URL of the bridge.",
    )


def credentials(command: _Command) -> _Command:
    """The options ``--token-file`` and ``--ca-file``."""
    ca_file = click.option(
        "--ca-file",
        type=_READABLE,
        envvar="EVBRIDGE_CA_FILE",
        show_envvar=True,
        help="Certificate authorities of --rest.  [default: the system's]",
    )
    token_file = click.option(
        "--token-file", type=_READABLE, envvar="EVBRIDGE_TOKEN_FILE", show_envvar=True, help="Token for --rest."
    )
    return token_file(ca_file(command))
