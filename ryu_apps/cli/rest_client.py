"""Questions of commands to the REST interface of a bridge, and the options that they share."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import click

#: Seconds until a controller is given up.
_PATIENCE = 10.0
_Command = TypeVar("_Command", bound=Callable[..., Any])
_READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


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
        """The JSON value at a path.

        Raises:
            ClickException: no answer, an error, or no JSON.
        """
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            trust = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
            # Not by way of a proxy that the environment names: controllers are on the loopback or nearby.
            opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust))
            with opener.open(Request(self.base + path, headers=headers), timeout=_PATIENCE) as answer:
                return json.load(answer)
        except (OSError, HTTPException, ValueError) as error:
            raise click.ClickException(f"{self.base}{path}: {error}") from None


def rest_client(url: str, token_file: Path | None, ca_file: Path | None) -> RestClient:
    """The bridge at a URL.

    Raises:
        ClickException: a token would be sent in the clear to another machine.
    """
    token = token_file.read_text(encoding="ascii").strip() if token_file else None
    if token is not None and not url.startswith("https:"):
        raise click.ClickException(f"{url}: a token is sent over https only")
    return RestClient(url.rstrip("/"), token, ca_file)


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
