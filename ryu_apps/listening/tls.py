"""TLS of the servers: the context for all connections, and the handshake of one."""

from __future__ import annotations

from os import PathLike
from typing import Any

from eventlet.green import ssl
from ryu.lib import hub

from ryu_apps.listening.listener import AcceptedConnection
from ryu_apps.listening.sockets import CannotListen

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
