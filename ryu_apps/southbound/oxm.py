"""Matches and set-field arguments as OpenFlow extensible match octets, and back (OpenFlow 1.3.5, 7.2.3).

Open vSwitch writes a match back in one fixed order, which is the order of ``FIELD_SIZES``: what was
sent in that order compares equal octet by octet with what is read.  So do headers: where a field has
several, here is the one that Open vSwitch 3.1 uses in OpenFlow 1.3.
"""

from __future__ import annotations

import struct

from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.match import FIELD_SIZES, FieldMatch, Match

_NUMBERS = {
    "in_port": ofp.OFPXMT_OFB_IN_PORT,
    "metadata": ofp.OFPXMT_OFB_METADATA,
    "eth_dst": ofp.OFPXMT_OFB_ETH_DST,
    "eth_src": ofp.OFPXMT_OFB_ETH_SRC,
    "eth_type": ofp.OFPXMT_OFB_ETH_TYPE,
    "vlan_vid": ofp.OFPXMT_OFB_VLAN_VID,
    "vlan_pcp": ofp.OFPXMT_OFB_VLAN_PCP,
    "ip_dscp": ofp.OFPXMT_OFB_IP_DSCP,
    "ip_proto": ofp.OFPXMT_OFB_IP_PROTO,
    "ipv4_src": ofp.OFPXMT_OFB_IPV4_SRC,
    "ipv4_dst": ofp.OFPXMT_OFB_IPV4_DST,
    "tcp_src": ofp.OFPXMT_OFB_TCP_SRC,
    "tcp_dst": ofp.OFPXMT_OFB_TCP_DST,
    "udp_src": ofp.OFPXMT_OFB_UDP_SRC,
    "udp_dst": ofp.OFPXMT_OFB_UDP_DST,
    "icmpv4_type": ofp.OFPXMT_OFB_ICMPV4_TYPE,
    "icmpv4_code": ofp.OFPXMT_OFB_ICMPV4_CODE,
    "arp_op": ofp.OFPXMT_OFB_ARP_OP,
    "arp_spa": ofp.OFPXMT_OFB_ARP_SPA,
    "arp_tpa": ofp.OFPXMT_OFB_ARP_TPA,
    "arp_sha": ofp.OFPXMT_OFB_ARP_SHA,
    "arp_tha": ofp.OFPXMT_OFB_ARP_THA,
    "ipv6_src": ofp.OFPXMT_OFB_IPV6_SRC,
    "ipv6_dst": ofp.OFPXMT_OFB_IPV6_DST,
    "icmpv6_type": ofp.OFPXMT_OFB_ICMPV6_TYPE,
    "icmpv6_code": ofp.OFPXMT_OFB_ICMPV6_CODE,
    "ipv6_nd_target": ofp.OFPXMT_OFB_IPV6_ND_TARGET,
    "ipv6_nd_sll": ofp.OFPXMT_OFB_IPV6_ND_SLL,
    "ipv6_nd_tll": ofp.OFPXMT_OFB_IPV6_ND_TLL,
}
_CLASS_NICIRA = ofp.OFPXMC_NXM_1
#: Nicira's registers and fragments, and what Open vSwitch numbers in a class of Ericsson's (its ``meta-flow.h``).
_NUMBERS_ELSEWHERE = {
    **{f"reg{number}": (_CLASS_NICIRA, number) for number in (0, 1, 2, 3, 4, *range(8, 15))},
    "xxreg1": (_CLASS_NICIRA, 112),
    "ip_frag": (_CLASS_NICIRA, 26),
    "nd_reserved": (0x1000, 1),
    "nd_options_type": (0x1000, 2),
}
#: TCP flags became a standard field with OpenFlow 1.5; in 1.3 they are ONF's extension EXT-109.
_TCP_FLAGS = 42
_EXPERIMENTER = ofp.OFPXMC_EXPERIMENTER.to_bytes(2)
_ONF = common.ONF_EXPERIMENTER_ID.to_bytes(4)


def _header(name: str, *, masked: bool) -> bytes:
    size = FIELD_SIZES[name]
    length = size * 2 if masked else size
    if name == "tcp_flags":
        return _EXPERIMENTER + bytes((_TCP_FLAGS << 1 | masked, len(_ONF) + length)) + _ONF
    kind, number = _NUMBERS_ELSEWHERE.get(name) or (ofp.OFPXMC_OPENFLOW_BASIC, _NUMBERS[name])
    return struct.pack("!HBB", kind, number << 1 | masked, length)


_EXACT = {name: (_header(name, masked=False), size) for name, size in FIELD_SIZES.items()}
_MASKED = {name: (_header(name, masked=True), size) for name, size in FIELD_SIZES.items()}
_NAMES = {_header(name, masked=masked): (name, masked) for name in FIELD_SIZES for masked in (False, True)}

_OWN_NAMES = {(ofp.OFPXMC_OPENFLOW_BASIC.to_bytes(2), number): name for name, number in _NUMBERS.items()}

_PADDING = [bytes(-length % 8) for length in range(8)]


def pad(octets: bytes) -> bytes:
    """Zeros up to the next multiple of eight."""
    return octets + _PADDING[len(octets) % 8]


def exact_header(name: str) -> bytes:
    """The header of a field that has no mask."""
    return _EXACT[name][0]


def field_name(header: bytes) -> str | None:
    """The field of a header of four octets, with a mask or without; None for one that evbridge does not use."""
    return _OWN_NAMES.get((header[:2], header[2] >> 1))


def field(name: str, value: int) -> bytes:
    """One exact field with its header, as set-field carries it."""
    header, size = _EXACT[name]
    return header + value.to_bytes(size)


def encode_match(match: Match) -> bytes:
    """``ofp_match``, padded."""
    parts: list[bytes] = []
    for name, value, mask in match:
        if mask is None:
            header, size = _EXACT[name]
            parts += (header, value.to_bytes(size))
        else:
            header, size = _MASKED[name]
            parts += (header, value.to_bytes(size), mask.to_bytes(size))
    fields = b"".join(parts)
    return pad(struct.pack("!HH", ofp.OFPMT_OXM, 4 + len(fields)) + fields)


def decode_match(octets: bytes) -> Match:
    """The fields of an ``ofp_match`` without its header; fields that evbridge does not use are left out."""
    found = []
    offset = 0
    while offset < len(octets):
        header = _header_at(octets, offset)
        body = octets[offset + len(header) : offset + 4 + header[3]]
        offset += 4 + header[3]
        if header not in _NAMES:
            continue
        name, masked = _NAMES[header]
        size = FIELD_SIZES[name]
        mask = int.from_bytes(body[size:]) if masked else None
        found.append(FieldMatch(name, int.from_bytes(body[:size]), mask))
    return tuple(found)


def _header_at(octets: bytes, at: int) -> bytes:
    """An experimenter's header has eight octets, any other four; the length in it counts from the fifth."""
    return octets[at : at + (8 if octets.startswith(_EXPERIMENTER, at) else 4)]


def decode_field(octets: bytes) -> tuple[str, int] | None:
    """Name and value of the argument of a set-field; None for a field that evbridge does not use."""
    header = _header_at(octets, 0)
    name, masked = _NAMES.get(header, (None, False))
    if name is None or masked:
        return None
    return name, int.from_bytes(octets[len(header) : len(header) + FIELD_SIZES[name]])
