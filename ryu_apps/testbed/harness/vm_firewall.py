"""A firewall in a VM: nftables in its namespace, through which the bridge leads IP traffic of pairs of systems.

It is a router of an ``appliance`` (evbridge.yaml), and the type of one end of each pair says that traffic goes through
it; neither end has a route that names it.  Counters at the ends are of packets that have come another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm

_RULES = """\
table {family} evbridge {{
  counter there {{ }}
  counter back {{ }}
  counter dropped {{ }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct direction reply ct state established counter name back accept
    ct state established counter name there accept
    ct state new {allowed} counter name there accept
    counter name dropped drop
  }}
}}
"""
#: Linux has no setting for those of IPv6.  Both ends are in one network: each would be sent to the other by itself.
_NO_REDIRECTS = """\
table ip6 evbridge {
  chain output {
    type filter hook output priority filter;
    icmpv6 type nd-redirect drop
  }
}
"""
#: Neighbour discovery never goes through an appliance.
_WATCH = """\
add table {family} evbridge_ends
add counter {family} evbridge_ends bypassed
add chain {family} evbridge_ends seen {{ type filter hook prerouting priority raw; }}
add rule {family} evbridge_ends seen {family} saddr {peer} ether saddr != {mac} meta l4proto != ipv6-icmp \
counter name bypassed
"""
#: An end of several pairs has one table; to add what is there is no mistake.
_UNWATCH = "add table {family} evbridge_ends\ndelete table {family} evbridge_ends\n"
_PACKETS = re.compile(r"packets (\d+)")
#: Families of nftables, and the ends of the names of their counters in reports.
_FAMILIES = {"ip": "", "ip6": "6"}


class FirewallEnd(NamedTuple):
    """One end of a pair: its namespace and its addresses, None without IPv6."""

    namespace: Namespace
    ip: str
    ip6: str | None = None


def allowed(tcp: Iterable[int], udp: Iterable[int]) -> str:
    """Match of nftables for the services that may be reached; either end may begin."""
    services = [*(f"tcp . {port}" for port in tcp), *(f"udp . {port}" for port in udp)]
    return f"meta l4proto . th dport {{ {', '.join(services)} }}"


class VmFirewall:
    """nftables in a VM that routes."""

    def __init__(self, vm: NamespaceVm, pairs: Iterable[tuple[FirewallEnd, FirewallEnd]], allowed: str) -> None:
        """
        Args:
            allowed: match of nftables for the first packets of connections.
        """
        self._vm, self._pairs, self._allowed = vm, tuple(pairs), allowed
        with_ipv6 = vm.ip6 is not None and any(end.ip6 and peer.ip6 for end, peer in self._pairs)
        self._families = ("ip", "ip6") if with_ipv6 else ("ip",)
        self._watched: dict[tuple[str, str], Namespace] = {}

    @property
    def ways(self) -> tuple[str, ...]:
        """Names of the counters of both directions, of each version of IP that a pair has."""
        return tuple(f"{way}{_FAMILIES[family]}" for family in self._families for way in ("there", "back"))

    def start(self) -> None:
        """Forward what is allowed, and count at the ends."""
        inside = self._vm.namespace
        inside.set("net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.{INTERFACE}.rp_filter=0")
        # The ends are in the same network: without this they were told to talk past the firewall.
        inside.set("net.ipv4.conf.all.send_redirects=0", f"net.ipv4.conf.{INTERFACE}.send_redirects=0")
        # Nothing is forwarded before it is filtered: that would be of connections that the filter does not know.
        for family in self._families:
            inside.run("nft", "-f", "-", stdin=_RULES.format(family=family, allowed=self._allowed))
        inside.set("net.ipv4.ip_forward=1")
        if "ip6" in self._families:
            inside.run("nft", "-f", "-", stdin=_NO_REDIRECTS)
            inside.set("net.ipv6.conf.all.forwarding=1")
        for end, peer in self._ends():
            self.watch(end, peer)

    def watch(self, end: FirewallEnd, peer: FirewallEnd) -> None:
        """Count what comes to an end from its peer another way, such as to a VM that has been started anew."""
        for family, address in self._addresses(end, peer):
            script = _WATCH.format(family=family, peer=address, mac=self._vm.mac)
            end.namespace.run("nft", "-f", "-", stdin=script)
            self._watched[end.namespace.name, family] = end.namespace

    def unwatch(self, name: str) -> None:
        """Leave out an end whose namespace, of this name, is gone."""
        for family in self._families:
            self._watched.pop((name, family), None)

    def stop(self) -> None:
        """Let the ends count no more; the VM's part goes with its namespace."""
        end_all(
            *(
                partial(namespace.run, "nft", "-f", "-", stdin=_UNWATCH.format(family=family))
                for (_, family), namespace in self._watched.items()
            )
        )
        self._watched.clear()

    def counts(self) -> dict[str, int]:
        """Return packets so far.

        ``there`` from the ends that have begun connections, ``back`` to them, ``there6`` and ``back6`` those of IPv6;
        ``dropped`` by the firewall; ``bypassed``: they have come to an end another way.
        """
        inside, found = self._vm.namespace, dict.fromkeys(self.ways, 0)
        for family in self._families:
            for way in ("there", "back"):
                found[f"{way}{_FAMILIES[family]}"] = _counter(inside, family, "evbridge", way)
        found["dropped"] = sum(_counter(inside, family, "evbridge", "dropped") for family in self._families)
        found["bypassed"] = self.bypassed()
        return found

    def bypassed(self) -> int:
        """Return packets that have come to an end another way."""
        ends = self._watched.items()
        return sum(_counter(end, family, "evbridge_ends", "bypassed") for (_, family), end in ends)

    def _ends(self) -> Iterator[tuple[FirewallEnd, FirewallEnd]]:
        """Yield the ends, each with its peer."""
        for pair in self._pairs:
            yield pair
            yield pair[::-1]

    def _addresses(self, end: FirewallEnd, peer: FirewallEnd) -> Iterator[tuple[str, str]]:
        """Yield the families that two ends share, each with the address of the peer in it."""
        yield "ip", peer.ip
        if "ip6" in self._families and end.ip6 and peer.ip6:
            yield "ip6", peer.ip6


def _counter(namespace: Namespace, family: str, table: str, name: str) -> int:
    found = _PACKETS.search(namespace.run("nft", "list", "counter", family, table, name))
    assert found is not None, "nft lists packets of a counter"
    return int(found[1])
