"""Frames of routers, DHCP servers and queriers, and claims of addresses, as match fields.

A VSI may send them only if its type permits the role or the address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.flow.match import MatchFields

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _IGMP, _UDP, _ICMPV6 = 1, 2, 17, 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
#: Flags of a neighbour advertisement (RFC 4861 4.4).
_SOLICITED, _OVERRIDE = 1 << 30, 1 << 29
#: Protocols between routers: EIGRP, OSPF, PIM, VRRP (and CARP).
_ROUTING = (88, 89, 103, 112)
#: Link-local groups, to which routing protocols send.
_LINK_4, _LINK_6 = (0xE0000000, 0xFFFFFF00), (0xFF02 << 112, 0xFFFF << 112)
#: All systems (general queries), DVMRP routers, multicast router discovery.  OpenFlow 1.3 has no match field for
#: IGMP types, so the destinations stand for them.
_OF_QUERIERS = (0xE0000001, 0xE0000004, 0xE000006A)
#: IPv4 destinations that are not groups: reports are never sent there, but a kernel answers a query that is.
_NO_GROUPS = ((0, 1 << 31), (1 << 31, 3 << 30), (6 << 29, 7 << 29), (15 << 28, 15 << 28))


#: Neighbour advertisements, whatever their flags.
ADVERTISEMENTS: MatchFields = {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": _ADVERTISEMENT}


class NetworkRole(Enum):
    """A role that an end system may have in the network."""

    ROUTER = "router"
    """Router advertisements and redirects, the R flag, routing protocols, virtual routers, low link-local addresses."""
    DHCP_SERVER = "dhcp_server"
    """DHCP and DHCPv6 servers and relays."""
    QUERIER = "querier"
    """IGMP and MLD queries, multicast router discovery."""


def _of_a_router() -> Iterator[MatchFields]:
    for icmp_type in (5, 9):  # redirect, router advertisement
        yield {"eth_type": _IPV4, "ip_proto": _ICMP, "icmpv4_type": icmp_type}
    # A neighbour advertisement may have the R flag; plain_advertisements are those without.
    for icmp_type in (134, _ADVERTISEMENT, 137):  # router advertisement, neighbour advertisement, redirect
        yield _icmpv6(icmp_type)
    for eth_type in (_IPV4, _IPV6):
        for ip_proto in _ROUTING:
            yield {"eth_type": eth_type, "ip_proto": ip_proto}
    # RIP, HSRP, GLBP.  Other programs may use these ports, but not with a link-local group.
    for port in (520, 1985, 3222):
        yield {"eth_type": _IPV4, "ip_proto": _UDP, "ipv4_dst": _LINK_4, "udp_dst": port}
    for port in (521, 2029, 3222):  # RIPng, HSRP, GLBP
        yield {"eth_type": _IPV6, "ip_proto": _UDP, "ipv6_dst": _LINK_6, "udp_dst": port}


def _of_a_dhcp_server() -> Iterator[MatchFields]:
    """Datagrams to the port of clients, and datagrams from the port of servers and relays."""
    for eth_type, server, client in ((_IPV4, 67, 68), (_IPV6, 547, 546)):
        yield {"eth_type": eth_type, "ip_proto": _UDP, "udp_src": server}
        yield {"eth_type": eth_type, "ip_proto": _UDP, "udp_dst": client}


def _of_a_querier() -> Iterator[MatchFields]:
    for destination in (*_OF_QUERIERS, *_NO_GROUPS):
        yield {"eth_type": _IPV4, "ip_proto": _IGMP, "ipv4_dst": destination}
    for icmp_type in (130, 151):  # MLD query, multicast router advertisement
        yield _icmpv6(icmp_type)


_FRAMES: Mapping[NetworkRole, Callable[[], Iterator[MatchFields]]] = {
    NetworkRole.ROUTER: _of_a_router,
    NetworkRole.DHCP_SERVER: _of_a_dhcp_server,
    NetworkRole.QUERIER: _of_a_querier,
}


def frames_of(role: NetworkRole) -> Iterator[MatchFields]:
    """Match fields of the frames that only end systems with the role may send."""
    return _FRAMES[role]()


def plain_advertisements() -> Iterator[MatchFields]:
    """Neighbour advertisements of hosts: R flag and reserved bits (RFC 4861 4.4) are 0, S and O are free.

    One match for each combination, because Open vSwitch matches ``nd_reserved`` only exactly, without a mask.
    """
    for flags in (0, _OVERRIDE, _SOLICITED, _SOLICITED | _OVERRIDE):
        yield {**_icmpv6(_ADVERTISEMENT), "nd_reserved": flags}


class MaskedPrefix(NamedTuple):
    """Addresses of one IP version as a value and a mask."""

    version: int
    value: int
    mask: int

    @classmethod
    def of(cls, address: IPv4Address | IPv6Address) -> MaskedPrefix:
        """The prefix that has only this address."""
        return cls(address.version, int(address), (1 << address.max_prefixlen) - 1)

    def meets(self, other: MaskedPrefix) -> bool:
        """True if the two prefixes have an address in common."""
        return self.version == other.version and self.value & other.mask == other.value & self.mask


#: Link-local addresses assigned by hand, usually to routers; derived ones (RFC 4291, RFC 7217) are never so low.
LOW_LINK_LOCAL = MaskedPrefix(6, 0xFE80 << 112, (1 << 112) - 1 << 16)


def claims(net: MaskedPrefix) -> Iterator[MatchFields]:
    """Frames by which their sender claims an address of the prefix."""
    claimed = net.value, net.mask
    if net.version == 4:
        yield {"eth_type": _IPV4, "ipv4_src": claimed}
        yield {"eth_type": _ARP, "arp_spa": claimed}
        # Address conflict detection (RFC 5227 2.1.1): a host gives up an address if another host probes for it too.
        yield {"eth_type": _ARP, "arp_spa": 0, "arp_tpa": claimed}
        return
    yield {"eth_type": _IPV6, "ipv6_src": claimed}
    yield {**_icmpv6(_ADVERTISEMENT), "ipv6_nd_target": claimed}
    # Duplicate address detection (RFC 4862 5.4.3): a solicitation from :: makes a host give up a tentative address.
    yield {**_icmpv6(_SOLICITATION), "ipv6_src": 0, "ipv6_nd_target": claimed}


def unread() -> Iterator[MatchFields]:
    """Claims of addresses that kernels read and Open vSwitch does not: it leaves their fields 0.

    ARP of hardware type 6 (IEEE 802) has operation 0 then, neighbour discovery with a repeated option has
    target 0.  No end system needs to send either.
    """
    yield {"eth_type": _ARP, "arp_op": 0}
    for icmp_type in (_SOLICITATION, _ADVERTISEMENT):
        yield {**_icmpv6(icmp_type), "ipv6_nd_target": 0}


def derived_link_local(mac: int) -> MaskedPrefix:
    """The link-local address derived from a MAC address (RFC 4291, appendix A)."""
    interface_id = (mac >> 24) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF
    return MaskedPrefix.of(IPv6Address(0xFE80 << 112 | interface_id ^ 1 << 57))


def _icmpv6(icmp_type: int) -> MatchFields:
    return {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": icmp_type}
