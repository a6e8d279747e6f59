"""Sockets that listen, and the end of a connection."""

from __future__ import annotations

import _socket
import errno
import ipaddress
from contextlib import suppress
from socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM, getaddrinfo
from typing import Any

import eventlet

#: Connections that the kernel keeps until they are accepted.
_BACKLOG = 128
_HIGHEST_PORT = 65_535


class CannotListen(Exception):
    """An address is taken or is not of this host; the text is one line that names it."""


def listen(what: str, host: str, port: int) -> Any:
    """A listening socket that shares its port with no other process.

    Without SO_REUSEPORT, which eventlet sets by default: with it, two controllers take turns
    at one port without either of them noticing.

    Args:
        what: name of the server, for the message.
        host: an address, a name, or the path of a socket in the file system.

    Raises:
        CannotListen: it cannot be had.
    """
    if not 0 <= port <= _HIGHEST_PORT:
        # getaddrinfo(3) takes the last 16 bits of it.
        raise CannotListen(f"{what}: {place(host, port)}: a port is a number up to {_HIGHEST_PORT}")
    try:
        if "/" in host:
            return eventlet.listen(host, AF_UNIX, _BACKLOG)
        family, _kind, _protocol, _name, address = getaddrinfo(host, port, type=SOCK_STREAM)[0]
        return eventlet.listen(address, family, _BACKLOG, reuse_port=False)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "in use by another process" if taken else getattr(error, "strerror", None) or str(error)
        raise CannotListen(f"{what}: {place(host, port)}: {reason}") from None


def place(host: str, port: int) -> str:
    """Return an address and a port as text."""
    return host if "/" in host else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bound(server: Any) -> str:
    """Return the address of a listening socket as text."""
    name = server.getsockname()
    return name if server.family == AF_UNIX else place(name[0], name[1])


def is_local(server: Any) -> bool:
    """Return True if only this host can connect to a listening socket."""
    return server.family == AF_UNIX or ipaddress.ip_address(server.getsockname()[0].partition("%")[0]).is_loopback


def origin(address: Any) -> str:
    """Return the key of a peer: its IPv4 address, or its IPv6 /64 network, where a host may have any address."""
    if not isinstance(address, tuple):
        return "local"
    host = ipaddress.ip_address(address[0].partition("%")[0])
    if isinstance(host, ipaddress.IPv4Address):
        return str(host)
    return str(host.ipv4_mapped or ipaddress.ip_network((host, 64), strict=False))


def hang_up(socket: Any, how: int = SHUT_RDWR) -> None:
    """End a connection whose green thread waits for it: that one reads the end of the stream and closes.

    Below TLS: its own shutdown forgets the keys, and a reader would get what is encrypted.
    """
    with suppress(OSError):
        _socket.socket.shutdown(getattr(socket, "fd", socket), how)
