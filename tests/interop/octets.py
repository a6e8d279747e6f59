"""IP packets and their fragments as octets, and the fields that a switch should read in them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

TCP, UDP, ICMP, ICMPV6, FRAGMENT, DESTINATION_OPTIONS = 6, 17, 1, 58, 44, 60
SOURCE_MAC, TARGET_MAC = 0x020000000001, 0x020000000002


class Ends(NamedTuple):
    """Source and destination address of a packet."""

    source: IPv4Address | IPv6Address
    target: IPv4Address | IPv6Address

    @classmethod
    def of(cls, source: str, target: str) -> Ends:
        return cls(ip_address(source), ip_address(target))

    @property
    def fields(self) -> dict[str, int]:
        version = self.source.version
        ends = {f"ipv{version}_src": int(self.source), f"ipv{version}_dst": int(self.target)}
        return {"eth_type": 0x0800 if version == 4 else 0x86DD, **ends}


def tcp(source: int, target: int, options: int = 0, flags: int = 0x02) -> bytes:
    """A TCP header with so many octets of options."""
    return struct.pack("!HHIIBBHHH", source, target, 1, 0, (20 + options) // 4 << 4, flags, 1000, 0, 0) + bytes(options)


def udp(source: int, target: int, payload: int) -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", source, target, 8 + payload, 0) + bytes(payload)


def echo(ends: Ends, payload: int) -> bytes:
    """A ping; its checksum is left out."""
    return struct.pack("!BBHHH", 8 if ends.source.version == 4 else 128, 0, 0, 1, 1) + bytes(payload)


def ethernet(eth_type: int, payload: bytes, *tags: tuple[int, int]) -> bytes:
    """A frame from SOURCE_MAC to TARGET_MAC; tags are TPID and TCI, the outer one first."""
    stacked = b"".join(struct.pack("!HH", *tag) for tag in tags)
    return TARGET_MAC.to_bytes(6) + SOURCE_MAC.to_bytes(6) + stacked + eth_type.to_bytes(2) + payload


def part(ends: Ends, ip_proto: int, payload: bytes, offset: int = 0, more: bool = False, chain: bytes = b"") -> bytes:
    """An IP packet whose payload lies at an offset of the whole.

    ``chain`` follows the fragment header over IPv6; ``ip_proto`` is what the fragment header says is next.
    """
    if ends.source.version == 4:
        return _ipv4(ends, ip_proto, payload, offset, more)
    return ipv6(ends, FRAGMENT, struct.pack("!BBHI", ip_proto, 0, offset | more, 7) + chain + payload)


def ipv6(ends: Ends, next_header: int, payload: bytes) -> bytes:
    """A plain IPv6 packet."""
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + _packed(ends) + payload


def _ipv4(ends: Ends, ip_proto: int, payload: bytes, offset: int, more: bool) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, more << 13 | offset // 8, 64, ip_proto, 0)
    head += _packed(ends)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + (~total & 0xFFFF).to_bytes(2) + head[12:] + payload


def _packed(ends: Ends) -> bytes:
    return ends.source.packed + ends.target.packed
