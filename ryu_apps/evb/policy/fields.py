"""Values of match fields in policy files: numbers, names, ranges, masks, addresses, lists.

A value is parsed into alternatives, pairs of value and mask, that together match exactly the given
set: a range becomes the fewest aligned blocks, ``[80, 443]`` two exact values.  Fields are maskable as
in OpenFlow 1.3 in Open vSwitch (ovs-fields(7)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple


class Masked(NamedTuple):
    """A set of numbers: every ``n`` with ``n & mask == value``."""

    value: int
    mask: int

    def covers(self, other: Masked) -> bool:
        """True if this set contains the other."""
        return self.mask & other.mask == self.mask and other.value & self.mask == self.value


#: Values of a field in a match: any of these.
Alternatives = tuple[Masked, ...]

PORT_NAMES = {
    "ftp": 21,
    "ssh": 22,
    "smtp": 25,
    "dns": 53,
    "dhcp_server": 67,
    "dhcp_client": 68,
    "http": 80,
    "ntp": 123,
    "snmp": 161,
    "ldap": 389,
    "https": 443,
    "syslog": 514,
    "dhcpv6_client": 546,
    "dhcpv6_server": 547,
    "ldaps": 636,
    "nfs": 2049,
    "mysql": 3306,
    "rdp": 3389,
    "postgresql": 5432,
}
ETH_TYPE_NAMES = {"ipv4": 0x0800, "arp": 0x0806, "rarp": 0x8035, "ipv6": 0x86DD}
IP_PROTO_NAMES = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ospf": 89,
    "vrrp": 112,
    "sctp": 132,
}
ICMP_NAMES = {
    "echo_reply": 0,
    "unreachable": 3,
    "redirect": 5,
    "echo_request": 8,
    "time_exceeded": 11,
    "parameter_problem": 12,
}
ICMPV6_NAMES = {
    "unreachable": 1,
    "packet_too_big": 2,
    "time_exceeded": 3,
    "parameter_problem": 4,
    "echo_request": 128,
    "echo_reply": 129,
    "router_solicitation": 133,
    "router_advertisement": 134,
    "neighbour_solicitation": 135,
    "neighbour_advertisement": 136,
    "redirect": 137,
    "mld2_report": 143,
}
MAC_NAMES = {"broadcast": (1 << 48) - 1}


_OCTETS = {str(octet): octet for octet in range(256)}
_MAC_TEXT = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}\Z")


class _Kind(NamedTuple):
    """Notation of the values of a field.

    Attributes:
        bits: width of the field.
        names: symbolic values.
        address: text to number, for fields written as addresses; None for plain numbers.
        maskable: True if the switch can match some of the bits.
    """

    bits: int
    names: dict[str, int]
    address: Callable[[str], int] | None = None
    maskable: bool = True


def _mac(text: str) -> int:
    if not _MAC_TEXT.match(text):
        raise ValueError(f"{text!r} is not a MAC address")
    return int(text.replace(":", ""), 16)


def _ipv4(text: str) -> int:
    try:
        first, second, third, fourth = map(_OCTETS.__getitem__, text.split("."))
    except (KeyError, ValueError):
        # Says what is wrong.
        return int(IPv4Address(text))
    return first << 24 | second << 16 | third << 8 | fourth


def _ipv6(text: str) -> int:
    if "%" in text:
        raise ValueError(f"{text!r} is not an IPv6 address")
    return int(IPv6Address(text))


_PORT = _Kind(16, PORT_NAMES)
_MAC = _Kind(48, MAC_NAMES, _mac)
_IPV4 = _Kind(32, {}, _ipv4)
_IPV6 = _Kind(128, {}, _ipv6)

#: All fields of policy rules (the ingress port and the metadata belong to the pipeline).
KINDS: dict[str, _Kind] = {
    "eth_dst": _MAC,
    "eth_src": _MAC,
    "eth_type": _Kind(16, ETH_TYPE_NAMES, maskable=False),
    "vlan_vid": _Kind(12, {}),
    "vlan_pcp": _Kind(3, {}, maskable=False),
    "ip_dscp": _Kind(6, {}, maskable=False),
    "ip_proto": _Kind(8, IP_PROTO_NAMES, maskable=False),
    "ipv4_src": _IPV4,
    "ipv4_dst": _IPV4,
    "tcp_src": _PORT,
    "tcp_dst": _PORT,
    "udp_src": _PORT,
    "udp_dst": _PORT,
    "icmpv4_type": _Kind(8, ICMP_NAMES, maskable=False),
    "icmpv4_code": _Kind(8, {}, maskable=False),
    "arp_op": _Kind(16, {"request": 1, "reply": 2}, maskable=False),
    "arp_spa": _IPV4,
    "arp_tpa": _IPV4,
    "arp_sha": _MAC,
    "arp_tha": _MAC,
    "ipv6_src": _IPV6,
    "ipv6_dst": _IPV6,
    "icmpv6_type": _Kind(8, ICMPV6_NAMES, maskable=False),
    "icmpv6_code": _Kind(8, {}, maskable=False),
    "ipv6_nd_target": _IPV6,
    "ipv6_nd_sll": _MAC,
    "ipv6_nd_tll": _MAC,
}

#: Values in a range of a field that takes no mask (each value becomes a rule of its own).
MAX_EXACT = 256
#: Alternatives of one field.
MAX_ALTERNATIVES = 4096

_RANGE = re.compile(r"(\w+)\s*-\s*(\w+)\Z")
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)\Z", re.ASCII)


def parse_field(name: str, written: object) -> Alternatives:
    """Parse the value of one field in a rule.

    Args:
        name: a key of :data:`KINDS`.
        written: a number, a text, or a list of those.

    Raises:
        ValueError: the message is the reason of a diagnostic.
    """
    kind = KINDS[name]
    if not isinstance(written, list):
        return tuple(_parse_item(kind, written))
    if not written:
        raise ValueError("an empty list matches nothing")
    found: dict[Masked, None] = {}
    for item in written:
        found.update(dict.fromkeys(_parse_item(kind, item)))
        if len(found) > MAX_ALTERNATIVES:
            raise ValueError(f"more than {MAX_ALTERNATIVES} alternatives")
    return tuple(found)


def full_mask(name: str) -> int:
    """All bits of a field."""
    return (1 << KINDS[name].bits) - 1


def range_blocks(low: int, high: int, bits: int) -> Iterator[Masked]:
    """The fewest ``(value, mask)`` blocks that together are exactly ``low..high`` (inclusive)."""
    full = (1 << bits) - 1
    while low <= high:
        # The largest block that is aligned at low and ends at or before high.
        size = low & -low or 1 << bits
        while size > high - low + 1:
            size >>= 1
        yield Masked(low, full & ~(size - 1))
        low += size


def _parse_item(kind: _Kind, item: object) -> Iterable[Masked]:
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise ValueError(f"{_shown(item)} is not a value of this field")
    if isinstance(item, int):
        if kind.address is not None:
            raise ValueError(f"{item} is a number, an address was expected")
        return (_exact(kind, item),)
    text = item.strip()
    if kind.address is None and (ends := _RANGE.match(text)):
        return _range(kind, _number(kind, ends[1]), _number(kind, ends[2]))
    value, slash, mask = text.partition("/")
    if not slash:
        return (_exact(kind, _number(kind, value)),)
    return (_masked(kind, _number(kind, value), _mask(kind, mask), text),)


def _shown(item: object) -> str:
    return "nothing" if item is None else str(item) if isinstance(item, bool | float) else f"a {type(item).__name__}"


def _number(kind: _Kind, text: str) -> int:
    if text in kind.names:
        return kind.names[text]
    if kind.address is None:
        return _plain_number(kind, text)
    try:
        return kind.address(text)
    except AddressValueError:
        raise ValueError(f"{text!r} is not an {'IPv4' if kind.bits == 32 else 'IPv6'} address") from None


def _plain_number(kind: _Kind, text: str) -> int:
    if not _NUMBER.match(text):
        known = f"; known names: {', '.join(kind.names)}" if kind.names else ""
        raise ValueError(f"{text!r} is not a value of this field{known}")
    number = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    _exact(kind, number)
    return number


def _exact(kind: _Kind, value: int) -> Masked:
    full = (1 << kind.bits) - 1
    if not 0 <= value <= full:
        raise ValueError(f"{value} is out of range 0..{full}")
    return Masked(value, full)


def _range(kind: _Kind, low: int, high: int) -> Iterator[Masked]:
    if low > high:
        raise ValueError(f"range {low}-{high} runs backwards")
    if kind.maskable:
        yield from range_blocks(low, high, kind.bits)
    elif high - low >= MAX_EXACT:
        raise ValueError(f"range {low}-{high} has more than {MAX_EXACT} values, and this field takes no mask")
    else:
        yield from (_exact(kind, value) for value in range(low, high + 1))


def _mask(kind: _Kind, text: str) -> int:
    if kind.address in (_ipv4, _ipv6) and text.isascii() and text.isdigit():
        length = int(text)
        if length > kind.bits:
            raise ValueError(f"prefix length {length} is out of range 0..{kind.bits}")
        return ((1 << length) - 1) << (kind.bits - length)
    try:
        return _number(kind, text)
    except ValueError:
        raise ValueError(f"{text!r} is not a mask of this field") from None


def _masked(kind: _Kind, value: int, mask: int, text: str) -> Masked:
    full = (1 << kind.bits) - 1
    if not kind.maskable and mask != full:
        raise ValueError(f"{text!r}: this field takes no mask")
    if mask == 0:
        raise ValueError(f"{text!r} matches everything: leave the field out")
    if value & ~mask:
        raise ValueError(f"{text!r} has bits set outside its mask")
    return Masked(value, mask)
