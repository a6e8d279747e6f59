"""ICMP errors: unreachable (with path MTU), time exceeded, parameter problem; ICMPv6: the same, and packet too big."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import MatchFields

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, ICMPV6 = 1, 58
#: By version of IP, protocol and the field that has the type.
_TYPES = {(IPV4, ICMP, "icmpv4_type"): (3, 11, 12), (IPV6, ICMPV6, "icmpv6_type"): (1, 2, 3, 4)}


def icmp_errors() -> Iterator[MatchFields]:
    """What they match."""
    for (eth_type, ip_proto, name), kinds in _TYPES.items():
        for kind in kinds:
            yield {"eth_type": eth_type, "ip_proto": ip_proto, name: kind}
