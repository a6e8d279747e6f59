"""Octets of a frame to match fields, as Open vSwitch reads them with ``frags=nx-match`` and ``vlan-limit`` 1.

Headers that are cut off or contradict their own lengths are not read; their fields are 0, as in Open vSwitch.
"""

from __future__ import annotations

from struct import unpack_from

from ryu_apps.evb.flow.match import VLAN_PRESENT

Fields = dict[str, int]

_TAGS = (0x8100, 0x88A8)
_ARP, _RARP, _IPV4, _IPV6 = 0x0806, 0x8035, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS = 0, 43, 44, 51, 60
#: Ethernet types below are lengths (802.3); Open vSwitch reads such a frame without SNAP as type 0x05ff.
_FIRST_TYPE, _NO_TYPE = 0x0600, 0x05FF
_SNAP = bytes.fromhex("aaaa03000000")
_SOLICITATION, _ADVERTISEMENT = 135, 136
#: Option of neighbour discovery with a link-layer address, by message: its type and field.
_LINK_ADDRESS = {_SOLICITATION: (1, "ipv6_nd_sll"), _ADVERTISEMENT: (2, "ipv6_nd_tll")}
_HEADER = 14
#: IP protocol -> fields, their layout, and octets of the shortest header.
_TRANSPORTS: dict[int, tuple[tuple[str, ...], str, int]] = {
    _ICMP: (("icmpv4_type", "icmpv4_code"), "!BB", 8),
    _TCP: (("tcp_src", "tcp_dst", "tcp_flags"), "!HH8xH", 20),
    _UDP: (("udp_src", "udp_dst"), "!HH", 8),
}


def read_frame(octets: bytes) -> Fields:
    """The match fields of a frame.

    Raises:
        ValueError: less than an Ethernet header.
    """
    if len(octets) < _HEADER:
        raise ValueError(f"{len(octets)} octets are no Ethernet frame")
    fields = {"eth_dst": int.from_bytes(octets[:6]), "eth_src": int.from_bytes(octets[6:12])}
    (eth_type,) = unpack_from("!H", octets, 12)
    at = _HEADER
    if eth_type in _TAGS and len(octets) >= at + 4:
        tag, eth_type = unpack_from("!HH", octets, at)
        fields |= {"vlan_vid": VLAN_PRESENT | tag & 0xFFF, "vlan_pcp": tag >> 13}
        at += 4
    if eth_type < _FIRST_TYPE:
        snap = octets[at : at + 6] == _SNAP and len(octets) >= at + 8
        eth_type = unpack_from("!H", octets, at + 6)[0] if snap else _NO_TYPE
        at += 8
    fields["eth_type"] = eth_type
    readers = {_ARP: _arp, _RARP: _arp, _IPV4: _ipv4, _IPV6: _ipv6}
    return fields | readers[eth_type](octets[at:]) if eth_type in readers else fields


def _arp(octets: bytes) -> Fields:
    fields = dict.fromkeys(("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"), 0)
    if len(octets) < 28 or octets[:6] != bytes.fromhex("000108000604"):
        return fields
    (operation,) = unpack_from("!H", octets, 6)
    return {
        "arp_op": operation if operation <= 0xFF else 0,
        "arp_sha": int.from_bytes(octets[8:14]),
        "arp_spa": int.from_bytes(octets[14:18]),
        "arp_tha": int.from_bytes(octets[18:24]),
        "arp_tpa": int.from_bytes(octets[24:28]),
    }


def _ipv4(octets: bytes) -> Fields:
    fields = dict.fromkeys(("ipv4_src", "ipv4_dst", "ip_proto", "ip_dscp"), 0)
    if len(octets) < 20:
        return fields
    head = (octets[0] & 0xF) * 4
    total, fragment = unpack_from("!H2xH", octets, 2)
    if octets[0] >> 4 != 4 or head < 20 or not head <= total <= len(octets):
        return fields
    fields |= {
        "ipv4_src": int.from_bytes(octets[12:16]),
        "ipv4_dst": int.from_bytes(octets[16:20]),
        "ip_proto": octets[9],
        "ip_dscp": octets[1] >> 2,
    }
    frag = _frag(offset=fragment & 0x1FFF, more=bool(fragment & 0x2000))
    return fields | frag | _behind(octets[9], octets[head:total], frag)


def _ipv6(octets: bytes) -> Fields:
    fields = dict.fromkeys(("ipv6_src", "ipv6_dst", "ip_proto", "ip_dscp"), 0)
    if len(octets) < 40 or octets[0] >> 4 != 6:
        return fields
    (first, length, proto) = unpack_from("!IHB", octets)
    if length > len(octets) - 40:
        return fields
    fields |= {
        "ipv6_src": int.from_bytes(octets[8:24]),
        "ipv6_dst": int.from_bytes(octets[24:40]),
        "ip_dscp": first >> 22 & 0x3F,
    }
    payload, frag = octets[40 : 40 + length], Fields()
    while proto in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS):
        if len(payload) < 8:
            return fields | {"ip_proto": 0}
        if proto == _FRAGMENT:
            (word,) = unpack_from("!H", payload, 2)
            frag = _frag(offset=word >> 3, more=bool(word & 1))
            size = 8
        else:
            size = (payload[1] + 2) * 4 if proto == _AUTHENTICATION else (payload[1] + 1) * 8
        if frag.get("ip_frag", 0) & 2:
            return fields | frag | {"ip_proto": _FRAGMENT}
        if size > len(payload):
            return fields | {"ip_proto": 0}
        proto, payload = payload[0], payload[size:]
    return fields | frag | {"ip_proto": proto} | _behind(proto, payload, frag)


def _frag(*, offset: int, more: bool) -> Fields:
    if not offset and not more:
        return {}
    return {"ip_frag": 3 if offset else 1}


def _behind(proto: int, octets: bytes, frag: Fields) -> Fields:
    """The fields behind the IP header; a later fragment has none."""
    if frag.get("ip_frag", 0) & 2:
        return {}
    if proto == _ICMPV6:
        return _icmpv6(octets)
    if proto not in _TRANSPORTS:
        return {}
    names, shape, size = _TRANSPORTS[proto]
    if len(octets) < size:
        return dict.fromkeys(names, 0)
    fields = dict(zip(names, unpack_from(shape, octets), strict=True))
    return fields | ({"tcp_flags": fields["tcp_flags"] & 0xFFF} if proto == _TCP else {})


def _icmpv6(octets: bytes) -> Fields:
    if len(octets) < 4:
        return {"icmpv6_type": 0, "icmpv6_code": 0}
    kind, code = octets[0], octets[1]
    fields = {"icmpv6_type": kind, "icmpv6_code": code}
    if kind not in _LINK_ADDRESS or code:
        return fields
    option, name = _LINK_ADDRESS[kind]
    fields |= {"nd_reserved": 0, "ipv6_nd_target": 0, name: 0, "nd_options_type": 0}
    if len(octets) < 24:
        return fields
    fields |= {"nd_reserved": int.from_bytes(octets[4:8]), "ipv6_nd_target": int.from_bytes(octets[8:24])}
    rest = octets[24:]
    while len(rest) >= 8 and rest[1] and rest[1] * 8 <= len(rest):
        if rest[0] == option and rest[1] == 1:
            fields |= {name: int.from_bytes(rest[2:8]), "nd_options_type": option}
        rest = rest[rest[1] * 8 :]
    return fields
