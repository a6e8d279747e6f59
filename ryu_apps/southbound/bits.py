"""Runs of bits as Open vSwitch's own actions name them: by a header, as in a match, and two numbers.

Where a field has a header of Nicira's as well, Open vSwitch 3.1 writes that one back in actions, whatever
it was sent (in matches it is OpenFlow's).
"""

from __future__ import annotations

import struct

from ryu.ofproto import nicira_ext

from ryu_apps.evb.flow.actions import Bits
from ryu_apps.evb.flow.match import REGISTERS
from ryu_apps.southbound.oxm import exact_header

_NXM: dict[str, int] = {
    "eth_dst": nicira_ext.NXM_OF_ETH_DST,
    "eth_src": nicira_ext.NXM_OF_ETH_SRC,
    "eth_type": nicira_ext.NXM_OF_ETH_TYPE,
    "ip_proto": nicira_ext.NXM_OF_IP_PROTO,
    "ipv4_src": nicira_ext.NXM_OF_IP_SRC,
    "ipv4_dst": nicira_ext.NXM_OF_IP_DST,
    "ipv6_src": nicira_ext.NXM_NX_IPV6_SRC,
    "ipv6_dst": nicira_ext.NXM_NX_IPV6_DST,
    "tcp_src": nicira_ext.NXM_OF_TCP_SRC,
    "tcp_dst": nicira_ext.NXM_OF_TCP_DST,
    "tcp_flags": nicira_ext.NXM_NX_TCP_FLAGS,
    "udp_src": nicira_ext.NXM_OF_UDP_SRC,
    "udp_dst": nicira_ext.NXM_OF_UDP_DST,
    "icmpv4_type": nicira_ext.NXM_OF_ICMP_TYPE,
    "icmpv4_code": nicira_ext.NXM_OF_ICMP_CODE,
    "icmpv6_type": nicira_ext.NXM_NX_ICMPV6_TYPE,
    "icmpv6_code": nicira_ext.NXM_NX_ICMPV6_CODE,
    "ipv6_nd_target": nicira_ext.NXM_NX_ND_TARGET,
    "ipv6_nd_sll": nicira_ext.NXM_NX_ND_SLL,
    "ipv6_nd_tll": nicira_ext.NXM_NX_ND_TLL,
    "arp_op": nicira_ext.NXM_OF_ARP_OP,
    "arp_spa": nicira_ext.NXM_OF_ARP_SPA,
    "arp_tpa": nicira_ext.NXM_OF_ARP_TPA,
    "arp_sha": nicira_ext.NXM_NX_ARP_SHA,
    "arp_tha": nicira_ext.NXM_NX_ARP_THA,
}
_OXM = (
    *("in_port", "vlan_vid", "vlan_pcp", "ip_dscp", "ip_frag", "metadata", "nd_reserved", "nd_options_type"),
    *REGISTERS,
)

_HEADERS = {name: header.to_bytes(4) for name, header in _NXM.items()} | {name: exact_header(name) for name in _OXM}
_NAMES = {header: name for name, header in _HEADERS.items()}

#: Octets of a header.
HEADER = 4
#: Octets of a header and an offset behind it.
PLACE = 6


def header(bits: Bits) -> bytes:
    """The header of the field that they are bits of."""
    return _HEADERS[bits.name]


def named(octets: bytes) -> str | None:
    """The field of a header; None for one that evbridge does not use."""
    return _NAMES.get(octets)


def place(bits: Bits) -> bytes:
    """Field and offset, as ``learn`` has them."""
    return header(bits) + struct.pack("!H", bits.offset)


def placed(octets: bytes, width: int) -> Bits | None:
    """Bits from field and offset; None for a field that evbridge does not use."""
    name = named(octets[:HEADER])
    return None if name is None else Bits(name, int.from_bytes(octets[HEADER:PLACE]), width)
