"""Multicast with real stacks: numbered datagrams to a group, and who gets which of them."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import TracebackType
from typing import Self

from ryu_apps.testbed.harness.shell import Namespace

_NUMBER = struct.Struct("!Q")
_INTERVAL = 0.002
_HOPS = 8
_NOWHERE = "nowhere"
# linux/in.h, linux/in6.h; Python names only some of them.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
_MCAST_JOIN_SOURCE_GROUP = 46

GroupAddress = IPv4Address | IPv6Address


def interface_index(namespace: Namespace, interface: str) -> int:
    """The number of an interface in its own namespace."""
    return int(namespace.run("ip", "-o", "link", "show", "dev", interface).partition(":")[0])


def speak_ipv6(namespace: Namespace, interface: str) -> None:
    """Give an interface a link-local address at once; by default a cluster is silent about IPv6."""
    namespace.set(
        f"net.ipv6.conf.{interface}.accept_dad=0",
        f"net.ipv6.conf.{interface}.router_solicitations=0",
        f"net.ipv6.conf.{interface}.disable_ipv6=0",
    )


def hush_ipv6(namespace: Namespace, interface: str) -> None:
    """The opposite."""
    namespace.set(f"net.ipv6.conf.{interface}.disable_ipv6=1")


def mute(namespace: Namespace, interface: str) -> None:
    """No membership message leaves the interface any more: IGMP, and whatever has hop-by-hop options as MLD has."""
    # A redirection to an interface that is down is a drop, and needs no other module than the edge does.
    namespace.ip(f"link add {_NOWHERE} type veth peer name {_NOWHERE}-p")
    drop = f"action mirred egress redirect dev {_NOWHERE}"
    namespace.tc(
        f"qdisc add dev {interface} clsact",
        f"filter add dev {interface} egress protocol ip pref 1 u32 match u8 2 0xff at 9 {drop}",
        f"filter add dev {interface} egress protocol ipv6 pref 2 u32 match u8 0 0xff at 6 {drop}",
    )


def muted(namespace: Namespace, interface: str) -> int:
    """Number of IGMP messages that have been held back."""
    shown = namespace.run("tc", "-s", "filter", "show", "dev", interface, "egress", "pref", "1")
    found = re.search(r"Sent \d+ bytes (\d+) pkt", shown)
    return int(found[1]) if found else 0


def unmute(namespace: Namespace, interface: str) -> None:
    """Let them go again."""
    namespace.tc(f"qdisc del dev {interface} clsact")
    namespace.ip(f"link del {_NOWHERE}")


class _Endpoint(ABC):
    """A UDP socket that a thread serves; a context manager that ends both."""

    def __init__(self, namespace: Namespace, group: str) -> None:
        self._group = ip_address(group)
        family = socket.AF_INET if isinstance(self._group, IPv4Address) else socket.AF_INET6
        self._socket = namespace.socket(family, socket.SOCK_DGRAM)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    @abstractmethod
    def _run(self) -> None:
        """Serve the socket until the end."""


class Stream(_Endpoint):
    """A sender: one numbered datagram every two milliseconds, until it is closed.

    Attributes:
        sent: monotonic seconds, by number.
    """

    def __init__(self, namespace: Namespace, interface: str, group: str, port: int, source: str = "") -> None:
        self.sent: list[float] = []
        self._target = (group, port)
        super().__init__(namespace, group)
        if isinstance(self._group, IPv4Address):
            request = struct.pack("4s4si", bytes(4), bytes(4), interface_index(namespace, interface))
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _HOPS)
        else:
            index = interface_index(namespace, interface)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOPS)
        if source:
            self._socket.bind((source, 0))
        self._thread.start()

    def number_at(self, t: float) -> int:
        """The first datagram that was sent after a moment."""
        return next((number for number, sent in enumerate(list(self.sent)) if sent > t), len(self.sent))

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self.sent.append(time.monotonic())
            self._socket.sendto(_NUMBER.pack(len(self.sent) - 1), self._target)


class GroupReceiver(_Endpoint):
    """A receiver that has joined a group.

    Attributes:
        heard: the numbers of the datagrams it has got, in order.
    """

    def __init__(self, namespace: Namespace, interface: str, group: str, port: int, source: str = "") -> None:
        self.heard: list[int] = []
        self._index = interface_index(namespace, interface)
        super().__init__(namespace, group)
        if isinstance(self._group, IPv4Address):
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((group, port))
        self._join(source)
        self._socket.settimeout(0.05)
        self._thread.start()

    def leave(self) -> None:
        """Leave the group; the socket stays."""
        if isinstance(self._group, IPv4Address):
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._request())
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, self._request())

    def _join(self, source: str) -> None:
        if source:
            self._socket.setsockopt(self._level(), _MCAST_JOIN_SOURCE_GROUP, self._source_request(source))
        elif isinstance(self._group, IPv4Address):
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._request())
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._request())

    def _level(self) -> int:
        return socket.IPPROTO_IP if isinstance(self._group, IPv4Address) else socket.IPPROTO_IPV6

    def _request(self) -> bytes:
        if isinstance(self._group, IPv4Address):
            return struct.pack("4s4si", self._group.packed, bytes(4), self._index)
        return struct.pack("16si", self._group.packed, self._index)

    def _source_request(self, source: str) -> bytes:
        """struct group_source_req of linux/in.h: an index and two socket addresses of 128 octets."""
        return struct.pack("I4x", self._index) + _sockaddr(self._group) + _sockaddr(ip_address(source))

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                data = self._socket.recv(64)
                self.heard.append(_NUMBER.unpack_from(data)[0])


def _sockaddr(address: GroupAddress) -> bytes:
    if isinstance(address, IPv4Address):
        return (struct.pack("=HH", socket.AF_INET, 0) + address.packed).ljust(128, b"\0")
    return (struct.pack("=HHI", socket.AF_INET6, 0, 0) + address.packed).ljust(128, b"\0")
