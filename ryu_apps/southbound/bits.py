"""Runs of bits as Open vSwitch's own actions name them: by a header, as in a match, and two numbers.

Where a field has a header of Nicira's as well, Open vSwitch 3.1 writes that one back in actions, whatever
it was sent (in matches it is OpenFlow's).
"""

from __future__ import annotations

import struct

from ryu_apps.evb.flow.rule import Bits
from ryu_apps.southbound.oxm import exact_header

#: What is Nicira's in ``nicira-ext.h``: NXM_OF_* in class 0, NXM_NX_* in class 1.
_NXM = {
    "eth_dst": 0x00000206,
    "eth_src": 0x00000406,
    "eth_type": 0x00000602,
    "ip_proto": 0x00000C01,
    "ipv4_src": 0x00000E04,
    "ipv4_dst": 0x00001004,
    "tcp_src": 0x00001202,
    "tcp_dst": 0x00001402,
    "udp_src": 0x00001602,
    "udp_dst": 0x00001802,
    "icmpv4_type": 0x00001A01,
    "icmpv4_code": 0x00001C01,
    "arp_op": 0x00001E02,
    "arp_spa": 0x00002004,
    "arp_tpa": 0x00002204,
    "arp_sha": 0x00012206,
    "arp_tha": 0x00012406,
    "ipv6_src": 0x00012610,
    "ipv6_dst": 0x00012810,
    "icmpv6_type": 0x00012A01,
    "icmpv6_code": 0x00012C01,
    "ipv6_nd_target": 0x00012E10,
    "ipv6_nd_sll": 0x00013006,
    "ipv6_nd_tll": 0x00013206,
    "tcp_flags": 0x00014402,
}
_OXM = ("in_port", "vlan_vid", "vlan_pcp", "ip_dscp", "metadata", "reg0", "reg1", "reg2", "reg3")

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
