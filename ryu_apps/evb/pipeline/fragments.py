"""IP fragments as Open vSwitch reads them when it shows the ports of first ones (``southbound.questions``)."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import ANY_FRAGMENT, FIRST_FRAGMENT, MatchFields

_IPV4, _IPV6, _TCP, _UDP, _ICMPV6 = 0x0800, 0x86DD, 6, 17, 58
_NEIGHBOURS = (135, 136)


def incomplete() -> Iterator[MatchFields]:
    """What first fragments look like that end before what rules look at does.

    UDP and ICMP of eight octets have it all, and shorter ones are not reassembled; but behind extension headers of
    IPv6 nothing may be left of them.  Where those do not end, Open vSwitch does not even see a fragment, and the
    protocol reads as 0.
    """
    for eth_type in (_IPV4, _IPV6):
        for ip_proto, name in ((_TCP, "tcp"), (_UDP, "udp")):
            ports: MatchFields = {f"{name}_src": 0, f"{name}_dst": 0}
            yield {"eth_type": eth_type, "ip_frag": FIRST_FRAGMENT, "ip_proto": ip_proto, **ports}
    yield {"eth_type": _IPV6, "ip_frag": FIRST_FRAGMENT, "ip_proto": _ICMPV6, "icmpv6_type": 0, "icmpv6_code": 0}
    yield {"eth_type": _IPV6, "ip_proto": 0}


def of_neighbour_discovery() -> Iterator[MatchFields]:
    """Neighbour discovery in fragments, which a node has to ignore (RFC 6980)."""
    for kind in _NEIGHBOURS:
        yield {"eth_type": _IPV6, "ip_frag": ANY_FRAGMENT, "ip_proto": _ICMPV6, "icmpv6_type": kind}
