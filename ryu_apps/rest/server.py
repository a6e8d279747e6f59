"""Ryu's web server with bounds (:mod:`ryu_apps.rest.bounded`), tokens and TLS.

Ryu's own server shares its port with any other process (SO_REUSEPORT), ends with the first error of ``accept``, and
waits for a request, and for its body, for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ryu.app import wsgi

from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.listening.listener import TcpListener
from ryu_apps.listening.sockets import CannotListen
from ryu_apps.listening.tls import ServerCertificate
from ryu_apps.rest.bounded import BoundedServer
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.resources import required_role
from ryu_apps.rest.tokens import TokenFile, TokensError

LOG = logging.getLogger(__name__)


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


class RestServer(BoundedServer):
    """A server that listens from its construction on, and serves when it is called.

    Args:
        application: for WSGI.
        around: the bridge of the same process.

    Raises:
        CannotListen: the address cannot be had, a file cannot be used, or strangers would be let in.
    """

    def __init__(self, application: Any, around: Surroundings) -> None:
        access = around.access
        tokens, tls = _tokens(around.base, access), _tls(around.base, access)
        listener = TcpListener("rest", "REST", wsgi.CONF.wsapi_host, wsgi.CONF.wsapi_port)
        if not listener.is_local and (tokens is None or tls is None):
            raise CannotListen(
                f"REST: {listener.place}: other machines reach it, so that it needs rest.tokens, rest.certificate "
                "and rest.private_key in evbridge.yaml"
            )
        LOG.info("REST on %s%s", listener.place, " over TLS" if tls else "")
        application = Guard(application, tokens, required_role, time.time, around.report)
        super().__init__(listener, tls, application)


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
