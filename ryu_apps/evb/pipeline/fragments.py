"""Match fields of IP fragments in the mode in which Open vSwitch shows the ports of first fragments."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import ANY_FRAGMENT, FIRST_FRAGMENT, MatchFields

_IPV4, _IPV6, _TCP, _UDP, _ICMPV6 = 0x0800, 0x86DD, 6, 17, 58
_NEIGHBOURS = (135, 136)


#: Extension headers of IPv6: hop-by-hop options, routing, fragment, destination options.
_EXTENSION_HEADERS = (0, 43, 44, 60)


def extension_headers() -> Iterator[MatchFields]:
    """IPv6 whose protocol field names an extension header.

    Open vSwitch shows the protocol behind these headers, and frames of which it cannot find it as protocol 0.  Another
    switch may show the first of them, and a frame would pass rules for the header behind it.
    """
    for ip_proto in _EXTENSION_HEADERS:
        yield {"eth_type": _IPV6, "ip_proto": ip_proto}


def incomplete() -> Iterator[MatchFields]:
    """First fragments that end before the header fields that rules match.

    The eight octets of the shortest fragment have all such fields of UDP and ICMP.  Behind extension headers of
    IPv6 none of them may be left.  If the extension headers themselves do not end in the fragment, Open vSwitch
    does not recognise a fragment, and the protocol is 0.
    """
    for eth_type in (_IPV4, _IPV6):
        for ip_proto, name in ((_TCP, "tcp"), (_UDP, "udp")):
            ports: MatchFields = {f"{name}_src": 0, f"{name}_dst": 0}
            yield {"eth_type": eth_type, "ip_frag": FIRST_FRAGMENT, "ip_proto": ip_proto, **ports}
    yield {"eth_type": _IPV6, "ip_frag": FIRST_FRAGMENT, "ip_proto": _ICMPV6, "icmpv6_type": 0, "icmpv6_code": 0}
    yield {"eth_type": _IPV6, "ip_proto": 0}


def of_neighbour_discovery() -> Iterator[MatchFields]:
    """Fragmented neighbour discovery, which nodes must ignore (RFC 6980 5)."""
    for kind in _NEIGHBOURS:
        yield {"eth_type": _IPV6, "ip_frag": ANY_FRAGMENT, "ip_proto": _ICMPV6, "icmpv6_type": kind}
