"""IPv4 and IPv6 headers as group membership messages and ICMP errors need them: options kept, fragments refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Self

from ryu_apps.evb.wire.cursor import Cursor

IpAddress = IPv4Address | IPv6Address

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
PROTO_HOP_BY_HOP, PROTO_IGMP, PROTO_ICMPV6 = 0, 2, 58

#: Router Alert with value 0: routers examine the packet (RFC 2113; RFC 2711, where 0 means MLD).
ROUTER_ALERT_4 = b"\x94\x04\0\0"
ROUTER_ALERT_6 = b"\x05\x02\0\0\x01\0"

_V4 = Struct("!BBHHHBBH4s4s")
_V6 = Struct("!IHBB16s16s")
_MORE_FRAGMENTS, _OFFSET = 0x2000, 0x1FFF
_CHECKSUM_AT = 10


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over data that includes its correct checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass(frozen=True, slots=True)
class Ipv4:
    """A whole IPv4 packet.

    Attributes:
        options: a multiple of four octets, 40 at the most.
        flags: the 16 bits of flags and fragment offset; only "don't fragment" may be set.
    """

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes
    options: bytes = b""
    tos: int = 0
    ttl: int = 1
    identification: int = 0
    flags: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload of an Ethernet frame of type 0x0800; padding behind the packet is left out.

        Raises:
            WireError: not IPv4, damaged, or a fragment.
        """
        cursor = Cursor(data)
        first, tos, total, ident, flags, ttl, protocol, _, source, destination = cursor.unpack(_V4, "IPv4 header")
        size = 4 * (first & 0xF)
        if first >> 4 != 4 or size < _V4.size:
            raise cursor.error(f"version and length {first:#x}", "IPv4 header", back=_V4.size)
        options = cursor.take(size - _V4.size, "IPv4 options")
        if checksum(data[:size]):
            raise cursor.error("wrong checksum", "IPv4 header", back=size)
        if flags & (_MORE_FRAGMENTS | _OFFSET):
            raise cursor.error("a fragment", "IPv4 header", back=size)
        payload = cursor.take(total - size, "IPv4 payload")
        addresses = IPv4Address(source), IPv4Address(destination)
        return cls(*addresses, protocol, payload, options, tos, ttl, ident, flags)

    def encode(self) -> bytes:
        size = _V4.size + len(self.options)
        head = _V4.pack(
            4 << 4 | size // 4,
            self.tos,
            size + len(self.payload),
            self.identification,
            self.flags,
            self.ttl,
            self.protocol,
            0,
            self.source.packed,
            self.destination.packed,
        )
        head += self.options
        right = checksum(head).to_bytes(2)
        return head[:_CHECKSUM_AT] + right + head[_CHECKSUM_AT + 2 :] + self.payload


@dataclass(frozen=True, slots=True)
class Ipv6:
    """A whole IPv6 packet whose only extension may be hop-by-hop options.

    Attributes:
        protocol: of the payload, behind the options.
        options: the hop-by-hop options, padding included, without the two octets before them; empty: none.
        traffic: traffic class and flow label, 28 bits.
    """

    source: IPv6Address
    destination: IPv6Address
    protocol: int
    payload: bytes
    options: bytes = b""
    hop_limit: int = 1
    traffic: int = 0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload of an Ethernet frame of type 0x86dd; padding behind the packet is left out.

        Raises:
            WireError: not IPv6, or shorter than its payload length.
        """
        cursor = Cursor(data)
        first, length, following, hop_limit, source, destination = cursor.unpack(_V6, "IPv6 header")
        if first >> 28 != 6:
            raise cursor.error(f"version {first >> 28}", "IPv6 header", back=_V6.size)
        body = cursor.restrict(length, "IPv6 payload")
        options = b""
        if following == PROTO_HOP_BY_HOP:
            following, units = body.u8("next header"), body.u8("hop-by-hop length")
            options = body.take(8 * units + 6, "hop-by-hop options")
        addresses = IPv6Address(source), IPv6Address(destination)
        return cls(*addresses, following, body.rest(), options, hop_limit, first & 0xFFFFFFF)

    def encode(self) -> bytes:
        following, extension = self.protocol, b""
        if self.options:
            following = PROTO_HOP_BY_HOP
            extension = bytes((self.protocol, (len(self.options) - 6) // 8)) + self.options
        length = len(extension) + len(self.payload)
        first = 6 << 28 | self.traffic
        head = _V6.pack(first, length, following, self.hop_limit, self.source.packed, self.destination.packed)
        return head + extension + self.payload

    @property
    def router_alert(self) -> bool:
        """True if the options have a Router Alert for MLD (RFC 2711)."""
        return _has_option(self.options, ROUTER_ALERT_6[:4])


def _has_option(options: bytes, wanted: bytes) -> bool:
    at = 0
    while at < len(options):
        if options[at : at + len(wanted)] == wanted:
            return True
        if options[at] == 0:  # Pad1 has no length
            at += 1
        elif at + 1 < len(options):
            at += 2 + options[at + 1]
        else:
            return False
    return False
