"""TLS of the servers: the context for all connections, and the handshake of one."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path
from typing import Any

from eventlet.green import ssl
from ryu.lib import hub

from ryu_apps.listening.listener import AcceptedConnection
from ryu_apps.listening.sockets import CannotListen
from ryu_apps.listening.versions import version_of

_LOG = logging.getLogger(__name__)

#: A path in the file system.
FilePath = str | PathLike[str]


def server_context(what: str, certificate: FilePath, key: FilePath, authorities: FilePath | None = None) -> Any:
    """Return the context for all connections.

    Args:
        what: name of the server, for the message.
        certificate, key, authorities: files in PEM; with authorities, clients need a certificate of theirs.

    Raises:
        CannotListen: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at = certificate
    try:
        context.load_cert_chain(certificate, key)
        if authorities:
            at = authorities
            context.load_verify_locations(authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise CannotListen(f"{what}: {at}: {error.strerror or error}") from None
    return context


class ServerCertificate:
    """The context of a server whose certificate may be replaced while it runs: files that change are read anew.

    Args:
        what: name of the server, for messages.
        certificate, key: files in PEM.

    Raises:
        CannotListen: a file cannot be used.
    """

    def __init__(self, what: str, certificate: Path, key: Path) -> None:
        self._what = what
        self._files = certificate, key
        self._read = self._versions()
        self._context = server_context(what, certificate, key)

    def context(self) -> Any:
        """Return the context for the next connection.

        Files that cannot be used, or do not fit each other yet, leave the one before in force.
        """
        if (found := self._versions()) != self._read:
            self._read = found
            try:
                self._context = server_context(self._what, *self._files)
            except CannotListen as error:
                _LOG.warning("%s; the certificate from before stays", error)
            else:
                _LOG.info("%s: certificate read anew from %s", self._what, self._files[0])
        return self._context

    def _versions(self) -> tuple[object, ...]:
        return tuple(map(version_of, self._files))


def encrypt(context: Any, connection: AcceptedConnection, seconds: float) -> None:
    """Put TLS around the socket of a connection, within some seconds.

    Raises:
        OSError: TLS was not agreed, or not in time.
    """
    patience = hub.spawn_after(seconds, connection.end)
    try:
        connection.socket = context.wrap_socket(connection.socket, server_side=True, do_handshake_on_connect=False)
        connection.socket.do_handshake()
    finally:
        patience.cancel()
