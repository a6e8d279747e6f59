"""A firewall as a bump in the wire: nftables on a Linux bridge between two interfaces of a namespace."""

from __future__ import annotations

import re
from typing import NamedTuple

from ryu_apps.testbed.harness.cluster import EndHost
from ryu_apps.testbed.harness.shell import Namespace

_RULES = """\
table bridge evbridge {{
  counter outwards {{ }}
  counter inwards {{ }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    udp dport {refused} drop
    ether type arp accept
    iifname "{inner}" counter name outwards
    iifname "{outer}" counter name inwards
  }}
}}
"""


class BumpCounts(NamedTuple):
    """Frames that it has let through, from the inner side and from the outer one."""

    outwards: int
    inwards: int


class InspectingBridge:
    """The bridge, which learns no addresses, and its rules."""

    def __init__(self, namespace: Namespace, outer: str, inner: str, refused: int) -> None:
        """
        Args:
            outer, inner: interfaces there, which are up.
            refused: UDP port whose datagrams it drops.
        """
        self._namespace = namespace
        namespace.ip(
            "link add br0 type bridge",
            *(f"link set {interface} master br0" for interface in (outer, inner)),
            # Of two clients of one appliance both are on its inner side: what they say to each other comes in there.
            *(f"link set {interface} type bridge_slave learning off" for interface in (outer, inner)),
            "link set br0 up",
        )
        namespace.run("nft", "-f", "-", stdin=_RULES.format(refused=refused, inner=inner, outer=outer))

    def hang(self, hangs: bool) -> None:
        """Let nothing through any more, with both interfaces up; or go on."""
        self._namespace.ip(f"link set br0 {'down' if hangs else 'up'}")

    def passed(self) -> BumpCounts:
        """Return what it has let through so far."""
        return BumpCounts(*(self._counter(name) for name in BumpCounts._fields))

    def _counter(self, name: str) -> int:
        listed = self._namespace.run("nft", "list", "counter", "bridge", "evbridge", name)
        found = re.search(r"packets (\d+)", listed)
        assert found is not None, "nft lists packets of a counter"
        return int(found[1])


def bridge_between(outer: EndHost, inner: EndHost, refused: int) -> InspectingBridge:
    """Return a bridge between two end systems, which are one from here on: hardware with two cables."""
    outer.namespace.ip(f"link set dev {outer.interface} netns {inner.namespace.pid}")
    inner.namespace.ip(f"link set {outer.interface} up")
    return InspectingBridge(inner.namespace, outer.interface, inner.interface, refused)
