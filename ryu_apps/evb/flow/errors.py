"""Matches of ICMP errors (RFC 792) and ICMPv6 errors (RFC 4443)."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import MatchFields

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, ICMPV6 = 1, 58
#: EtherType, IP protocol and field of the type -> types.  ICMP: unreachable (with path MTU), time exceeded,
#: parameter problem; ICMPv6: unreachable, packet too big, time exceeded, parameter problem.
_TYPES = {(IPV4, ICMP, "icmpv4_type"): (3, 11, 12), (IPV6, ICMPV6, "icmpv6_type"): (1, 2, 3, 4)}


def icmp_errors() -> Iterator[MatchFields]:
    """Match fields of each type of ICMP error."""
    for (eth_type, ip_proto, name), icmp_types in _TYPES.items():
        for icmp_type in icmp_types:
            yield {"eth_type": eth_type, "ip_proto": ip_proto, name: icmp_type}
