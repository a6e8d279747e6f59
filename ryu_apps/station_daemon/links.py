"""The kernel's word on links: which interfaces are there and can send (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from fcntl import ioctl

_RTMGRP_LINK = 1
#: Octets of notifications that are read in one go; only their arrival counts.
_BUFFER = 65536
#: From ``net/if.h``: up, and with a carrier.
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_SIOCGIFFLAGS = 0x8913


class LinkWatcher:
    """A netlink socket that can be read when some link has changed."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self.socket.setblocking(False)
        self.socket.bind((0, _RTMGRP_LINK))

    def drain(self) -> None:
        """Forget the notifications: :func:`links_up` has the state.  One that was lost (ENOBUFS) is among them."""
        with suppress(OSError):
            while self.socket.recv(_BUFFER):
                pass


def links_up(interfaces: Iterable[str]) -> dict[str, int]:
    """Indexes of those of the interfaces that are there, up, and have a carrier, by name."""
    up: dict[str, int] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        for interface in interfaces:
            with suppress(OSError):
                if _flags(asking, interface) & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING:
                    up[interface] = socket.if_nametoindex(interface)
    return up


def _flags(asking: socket.socket, interface: str) -> int:
    request = struct.pack("16sH14x", interface.encode(), 0)
    return int(struct.unpack_from("16sH", ioctl(asking, _SIOCGIFFLAGS, request))[1])
