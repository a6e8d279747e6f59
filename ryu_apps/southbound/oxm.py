"""Matches and set-field arguments as OpenFlow extensible match octets, and back (OpenFlow 1.3.5, 7.2.3).

Open vSwitch writes a match back in one fixed order, which is the order of ``FIELD_SIZES``: what was
sent in that order compares equal octet by octet with what is read.
"""

from __future__ import annotations

import struct

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import FIELD_SIZES, FieldMatch, Match

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


def _header(name: str, *, masked: bool) -> bytes:
    size = FIELD_SIZES[name]
    return struct.pack("!HBB", ofp.OFPXMC_OPENFLOW_BASIC, _NUMBERS[name] << 1 | masked, size * 2 if masked else size)


_EXACT = {name: (_header(name, masked=False), size) for name, size in FIELD_SIZES.items()}
_MASKED = {name: (_header(name, masked=True), size) for name, size in FIELD_SIZES.items()}
_NAMES = {_header(name, masked=masked): (name, masked) for name in FIELD_SIZES for masked in (False, True)}

_PADDING = [bytes(-length % 8) for length in range(8)]


def pad(octets: bytes) -> bytes:
    """Zeros up to the next multiple of eight."""
    return octets + _PADDING[len(octets) % 8]


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
        header = octets[offset : offset + 4]
        body = octets[offset + 4 : offset + 4 + header[3]]
        offset += 4 + header[3]
        if header not in _NAMES:
            continue
        name, masked = _NAMES[header]
        size = FIELD_SIZES[name]
        mask = int.from_bytes(body[size:]) if masked else None
        found.append(FieldMatch(name, int.from_bytes(body[:size]), mask))
    return tuple(found)


def decode_field(octets: bytes) -> tuple[str, int] | None:
    """Name and value of the argument of a set-field; None for a field that evbridge does not use."""
    name, masked = _NAMES.get(octets[:4], (None, False))
    if name is None or masked:
        return None
    return name, int.from_bytes(octets[4 : 4 + FIELD_SIZES[name]])
