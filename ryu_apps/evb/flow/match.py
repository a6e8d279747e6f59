"""Match fields, and matches as values, in the vocabulary of OpenFlow 1.3."""

from __future__ import annotations

from typing import NamedTuple

#: Registers of Open vSwitch: bits that accompany a frame through the tables.  ``xxreg1`` is ``reg4`` to ``reg7``.
REGISTERS = ("reg0", "reg1", "reg2", "reg3", "reg4", *(f"reg{number}" for number in range(8, 15)), "xxreg1")

#: Every match field evbridge uses, in the order in which Open vSwitch writes them back (the order
#: makes a read-back comparable octet by octet), with its size in octets.
FIELD_SIZES: dict[str, int] = {
    "in_port": 4,
    "eth_src": 6,
    "eth_dst": 6,
    "eth_type": 2,
    "vlan_vid": 2,
    "vlan_pcp": 1,
    "ipv4_src": 4,
    "ipv4_dst": 4,
    "ipv6_src": 16,
    "ipv6_dst": 16,
    "ip_frag": 1,
    "ip_dscp": 1,
    "ip_proto": 1,
    "tcp_src": 2,
    "tcp_dst": 2,
    "tcp_flags": 2,
    "udp_src": 2,
    "udp_dst": 2,
    "icmpv4_type": 1,
    "icmpv4_code": 1,
    "icmpv6_type": 1,
    "icmpv6_code": 1,
    "ipv6_nd_target": 16,
    "ipv6_nd_sll": 6,
    "ipv6_nd_tll": 6,
    "nd_reserved": 4,
    "nd_options_type": 1,
    "arp_op": 2,
    "arp_spa": 4,
    "arp_tpa": 4,
    "arp_sha": 6,
    "arp_tha": 6,
    **dict.fromkeys(REGISTERS, 4),
    "xxreg1": 16,
    "metadata": 8,
}

#: Field -> its place in a match, and its greatest value.
_RANK_AND_FULL = {name: (rank, (1 << (8 * size)) - 1) for rank, (name, size) in enumerate(FIELD_SIZES.items())}

#: ``vlan_vid`` carries this bit for every tagged frame (OFPVID_PRESENT).
VLAN_PRESENT = 0x1000
#: ``vlan_vid`` of a frame whose tag has a priority and no VID.
PRIORITY_TAGGED = VLAN_PRESENT
#: ``(value, mask)`` that matches any tagged frame.
ANY_TAGGED = (VLAN_PRESENT, VLAN_PRESENT)
#: The I/G bit of a MAC address as a 48-bit integer: set in group addresses.
GROUP_BIT = 1 << 40
#: ``(value, mask)`` that matches any group address, broadcast included.
ANY_GROUP = (GROUP_BIT, GROUP_BIT)
#: ``ip_frag`` of a first fragment, which has the ports of the datagram.
FIRST_FRAGMENT = 1
#: ``(value, mask)`` of ``ip_frag``: any fragment; a later fragment, which has no ports.
ANY_FRAGMENT, LATER_FRAGMENT = (1, 1), (2, 2)


class FieldMatch(NamedTuple):
    """One match field: its OpenFlow name, an unsigned value and a mask (None: exact)."""

    name: str
    value: int
    mask: int | None = None


#: The fields of a match in canonical order; equal matches are equal tuples.
Match = tuple[FieldMatch, ...]

#: Keyword arguments of :func:`match`, for callers that compose a match from parts.
MatchFields = dict[str, int | tuple[int, int]]


def match(**fields: int | tuple[int, int]) -> Match:
    """Build a match: ``match(in_port=1, vlan_vid=ANY_TAGGED)``.

    A value is an unsigned integer (addresses too) or a pair ``(value, mask)``.  A mask of all ones
    becomes an exact match, a mask of zero leaves the field out.

    Raises:
        ValueError: unknown field, value too large, or value bits outside the mask.
    """
    found = []
    for name, given in fields.items():
        if name not in _RANK_AND_FULL:
            raise ValueError(f"unknown match field {name!r}")
        value, mask = given if isinstance(given, tuple) else (given, None)
        rank, full = _RANK_AND_FULL[name]
        if mask == 0:
            continue
        if mask == full:
            mask = None
        if not 0 <= value <= full or (mask is not None and value & ~mask):
            raise ValueError(f"{name}={value:#x} does not fit mask {mask}")
        found.append((rank, FieldMatch(name, value, mask)))
    # Ranks differ, so that no two fields are compared.
    return tuple([field_match for _, field_match in sorted(found)])
