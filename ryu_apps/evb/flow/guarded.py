"""What tells a network who does something in it: frames that not every end system should send, as fields of a match."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.flow.rule import MatchFields

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _IGMP, _UDP, _ICMPV6 = 1, 2, 17, 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
#: Flags of a neighbour advertisement (RFC 4861 4.4).
_SOLICITED, _OVERRIDE = 1 << 30, 1 << 29
#: Protocols of routers among themselves: EIGRP, OSPF, PIM, VRRP (and CARP).
_ROUTING = (88, 89, 103, 112)
#: Groups of the link: where routers speak to each other.
_LINK_4, _LINK_6 = (0xE0000000, 0xFFFFFF00), (0xFF02 << 112, 0xFFFF << 112)
#: All systems (general queries), DVMRP routers, multicast router discovery.  IGMP's types OpenFlow does not see.
_OF_QUERIERS = (0xE0000001, 0xE0000004, 0xE000006A)
#: What is no group: reports never go there, but a kernel answers a query that does.
_NO_GROUPS = ((0, 1 << 31), (1 << 31, 3 << 30), (6 << 29, 7 << 29), (15 << 28, 15 << 28))


class NetworkRole(Enum):
    """What an end system may be in a network besides an end system."""

    ROUTER = "router"
    """Router advertisements and redirects, the R flag, routing protocols, virtual routers, low link-local addresses."""
    DHCP_SERVER = "dhcp_server"
    """DHCP and DHCPv6 servers and relays."""
    QUERIER = "querier"
    """IGMP and MLD queries, multicast router discovery."""


def _of_a_router() -> Iterator[MatchFields]:
    for kind in (5, 9):  # redirect, router advertisement
        yield {"eth_type": _IPV4, "ip_proto": _ICMP, "icmpv4_type": kind}
    # An advertisement of a neighbour may say that it is a router: see plain_advertisements.
    for kind in (134, _ADVERTISEMENT, 137):
        yield _icmpv6(kind)
    for eth_type in (_IPV4, _IPV6):
        for ip_proto in _ROUTING:
            yield {"eth_type": eth_type, "ip_proto": ip_proto}
    for port in (520, 1985, 3222):  # RIP, HSRP, GLBP; others may have such a port, but do not speak to such a group
        yield {"eth_type": _IPV4, "ip_proto": _UDP, "ipv4_dst": _LINK_4, "udp_dst": port}
    for port in (521, 2029, 3222):
        yield {"eth_type": _IPV6, "ip_proto": _UDP, "ipv6_dst": _LINK_6, "udp_dst": port}


def _of_a_dhcp_server() -> Iterator[MatchFields]:
    """What clients listen to, and what comes from where servers and relays listen."""
    for eth_type, server, client in ((_IPV4, 67, 68), (_IPV6, 547, 546)):
        yield {"eth_type": eth_type, "ip_proto": _UDP, "udp_src": server}
        yield {"eth_type": eth_type, "ip_proto": _UDP, "udp_dst": client}


def _of_a_querier() -> Iterator[MatchFields]:
    for where in (*_OF_QUERIERS, *_NO_GROUPS):
        yield {"eth_type": _IPV4, "ip_proto": _IGMP, "ipv4_dst": where}
    for kind in (130, 151):  # MLD query, multicast router advertisement
        yield _icmpv6(kind)


_FRAMES: Mapping[NetworkRole, Callable[[], Iterator[MatchFields]]] = {
    NetworkRole.ROUTER: _of_a_router,
    NetworkRole.DHCP_SERVER: _of_a_dhcp_server,
    NetworkRole.QUERIER: _of_a_querier,
}


def frames_of(role: NetworkRole) -> Iterator[MatchFields]:
    """What only who has a role should send."""
    return _FRAMES[role]()


def plain_advertisements() -> Iterator[MatchFields]:
    """Neighbour advertisements of who is no router: any but the R flag, and nothing where RFC 4861 reserves bits.

    Open vSwitch matches the word as a whole only.
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
        """One address."""
        return cls(address.version, int(address), (1 << address.max_prefixlen) - 1)

    def meets(self, other: MaskedPrefix) -> bool:
        """Whether some address is in both."""
        return self.version == other.version and self.value & other.mask == other.value & self.mask


#: Link-local addresses that people give, and routers are given: derived ones (RFC 4291, RFC 7217) are never so low.
LOW_LINK_LOCAL = MaskedPrefix(6, 0xFE80 << 112, (1 << 112) - 1 << 16)


def claims(net: MaskedPrefix) -> Iterator[MatchFields]:
    """Frames that say of their sender that it has such an address."""
    where = net.value, net.mask
    if net.version == 4:
        yield {"eth_type": _IPV4, "ipv4_src": where}
        yield {"eth_type": _ARP, "arp_spa": where}
        # Address conflict detection (RFC 5227): a host gives up an address if another probes for it too.
        yield {"eth_type": _ARP, "arp_spa": 0, "arp_tpa": where}
        return
    yield {"eth_type": _IPV6, "ipv6_src": where}
    yield {**_icmpv6(_ADVERTISEMENT), "ipv6_nd_target": where}
    # Duplicate address detection: who is asked for an address gives it up.
    yield {**_icmpv6(_SOLICITATION), "ipv6_src": 0, "ipv6_nd_target": where}


def unread() -> Iterator[MatchFields]:
    """Claims of addresses that Open vSwitch does not read, so that their fields are 0, and kernels do.

    ARP of hardware type 6 (IEEE 802) reads as no operation; neighbour discovery with an option that comes twice as
    being about no address.  Nobody has a reason to send either.
    """
    yield {"eth_type": _ARP, "arp_op": 0}
    for kind in (_SOLICITATION, _ADVERTISEMENT):
        yield {**_icmpv6(kind), "ipv6_nd_target": 0}


def derived_link_local(mac: int) -> MaskedPrefix:
    """The link-local address that follows from a MAC address (RFC 4291, appendix A)."""
    interface_id = (mac >> 24) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF
    return MaskedPrefix.of(IPv6Address(0xFE80 << 112 | interface_id ^ 1 << 57))


def _icmpv6(kind: int) -> MatchFields:
    return {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": kind}
