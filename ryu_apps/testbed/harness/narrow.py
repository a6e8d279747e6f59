"""An end system behind a router whose way to it is narrower than Ethernet: what is too big gets an ICMP error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ryu_apps.testbed.harness.shell import Namespace, end, wait_until

#: Octets of the narrow way; what IPv6 demands of every link.
MTU = 1280
#: The far end system's addresses, and the router's towards it.
FAR, FAR_6 = "10.9.9.2", "fd00:9::2"
_NEAR, _NEAR_6 = "10.9.9.1", "fd00:9::1"


@contextmanager
def behind(router: Namespace) -> Iterator[Namespace]:
    """An end system behind another one, which routes for it.

    Both interfaces take whole Ethernet frames, so the far end asks for segments that do not fit through: only what
    the router says tells who sends them.
    """
    process = router.popen("unshare", "--net", "sleep", "infinity")
    far = Namespace("far", process.pid)
    try:
        # The process comes from here, enters the router's namespace, and makes its own.
        others = _net(os.getpid()), _net(router.pid)
        wait_until(lambda: _net(process.pid) not in others, "namespace of the far end")
        router.ip(f"link add narrow type veth peer name eth0 netns {process.pid}")
        _prepare(router, far)
        yield far
    finally:
        router.ip("link delete narrow")
        router.set("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
        end(process)


@contextmanager
def route_back(system: Namespace, router: str, router_6: str) -> Iterator[None]:
    """Route of another end system to it."""
    system.ip(f"route add {FAR} via {router}", f"route add {FAR_6} via {router_6}")
    try:
        yield
    finally:
        system.ip(f"route delete {FAR}", f"route delete {FAR_6}")


def _prepare(router: Namespace, far: Namespace) -> None:
    router.set("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.icmp_ratelimit=0")
    router.ip(f"address add {_NEAR}/24 dev narrow", "link set narrow up")
    router.speak_ipv6("narrow", f"{_NEAR_6}/64")
    far.ip(f"address add {FAR}/24 dev eth0", "link set eth0 up", "link set lo up", f"route add default via {_NEAR}")
    far.speak_ipv6("eth0", f"{FAR_6}/64")
    far.ip(f"route add default via {_NEAR_6}")
    router.ip(f"route add {FAR} dev narrow mtu lock {MTU}", f"route add {FAR_6} dev narrow mtu lock {MTU}")


def _net(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")
