"""A firewall in a VM: nftables in its namespace, through which the IP traffic of pairs of systems is routed.

Each end of a pair has a route to the other end by way of the firewall, so both directions of a connection go through
the same instance.  Counters at the ends tell of packets that have come another way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm

_RULES = """\
table ip evbridge {{
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
_WATCH = """\
add table ip evbridge_ends
add counter ip evbridge_ends bypassed
add chain ip evbridge_ends seen {{ type filter hook prerouting priority raw; }}
add rule ip evbridge_ends seen ip saddr {peer} ether saddr != {mac} counter name bypassed
"""
#: An end of several pairs has one table; to add what is there is no mistake.
_UNWATCH = "add table ip evbridge_ends\ndelete table ip evbridge_ends\n"
_PACKETS = re.compile(r"packets (\d+)")


class FirewallEnd(NamedTuple):
    """One end of a pair: its namespace, the interface there, and its IPv4 address."""

    namespace: Namespace
    interface: str
    ip: str


class FirewallCounts(NamedTuple):
    """Packets from the ends that have begun connections, and back to them; dropped; and such as came another way."""

    there: int
    back: int
    dropped: int
    bypassed: int


class VmFirewall:
    """nftables in a VM, and routes of the ends through it."""

    def __init__(self, vm: NamespaceVm, pairs: Iterable[tuple[FirewallEnd, FirewallEnd]], allowed: str) -> None:
        """
        Args:
            allowed: match of nftables for the first packets of connections.
        """
        self._vm, self._pairs, self._allowed = vm, tuple(pairs), allowed

    def start(self) -> None:
        """Forward what is allowed, and lead the ends here."""
        inside = self._vm.namespace
        inside.set("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.{INTERFACE}.rp_filter=0")
        # The ends are in the same network: without this they were told to talk past the firewall.
        inside.set("net.ipv4.conf.all.send_redirects=0", f"net.ipv4.conf.{INTERFACE}.send_redirects=0")
        inside.run("nft", "-f", "-", stdin=_RULES.format(allowed=self._allowed))
        for pair in self._pairs:
            for end, peer in (pair, pair[::-1]):
                end.namespace.ip(f"route add {peer.ip}/32 via {self._vm.ip} dev {end.interface}")
                end.namespace.run("nft", "-f", "-", stdin=_WATCH.format(peer=peer.ip, mac=self._vm.mac))

    def stop(self) -> None:
        """Let the ends talk to each other again; the VM's part goes with its namespace."""
        for pair in self._pairs:
            for end, peer in (pair, pair[::-1]):
                end.namespace.ip(f"route del {peer.ip}/32 via {self._vm.ip} dev {end.interface}")
                end.namespace.run("nft", "-f", "-", stdin=_UNWATCH)

    def counts(self) -> FirewallCounts:
        """Return what it has counted so far."""
        there, back, dropped = (_counter(self._vm.namespace, "evbridge", name) for name in ("there", "back", "dropped"))
        ends = {end.namespace.name: end.namespace for pair in self._pairs for end in pair}
        bypassed = sum(_counter(end, "evbridge_ends", "bypassed") for end in ends.values())
        return FirewallCounts(there, back, dropped, bypassed)


def _counter(namespace: Namespace, table: str, name: str) -> int:
    found = _PACKETS.search(namespace.run("nft", "list", "counter", "ip", table, name))
    assert found is not None, "nft lists packets of a counter"
    return int(found[1])
