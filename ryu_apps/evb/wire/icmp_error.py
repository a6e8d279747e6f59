"""ICMP errors and the packet that they quote: its first octets (RFC 792, RFC 4443).

Limited to the translation of addresses (RFC 3022 4.3, RFC 5508 4.2): the ends of the quoted packet, and the same
error with another source or destination.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import NamedTuple, Self

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ip import ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTO_ICMPV6, IpAddress, Ipv4, Ipv6, checksum

PROTO_ICMP, _TCP, _UDP = 1, 6, 17
#: Unreachable (with path MTU), time exceeded, parameter problem; ICMPv6: the same, and packet too big.
TYPES = {ETHERTYPE_IPV4: (3, 11, 12), ETHERTYPE_IPV6: (1, 2, 3, 4)}

_ETHERNET = Struct("!HIHIHHH")
_TPID, _VID = 0x8100, 0xFFF
#: Octets of an ICMP header with its second word: unused, or the path MTU.
_ICMP = 8
#: Of the quoted packet: offset and size of its addresses, and offset of its protocol.
_QUOTED = {4: (12, 4, 9), 6: (8, 16, 6)}
#: Offset of the checksum in a quoted segment or datagram, if the quotation reaches so far.
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}


class End(NamedTuple):
    """An address and a port."""

    address: IpAddress
    port: int


@dataclass(frozen=True, slots=True)
class IcmpError:
    """An ICMP error in an Ethernet frame with one VLAN tag.

    Attributes:
        eth_dst, eth_src: 48-bit addresses.
        vid: of the tag.
        packet: the IP packet that carries it.
        protocol: of the quoted packet: TCP or UDP.
        source, destination: ends of the quoted packet; the error is sent to its source.
    """

    eth_dst: int
    eth_src: int
    vid: int
    packet: Ipv4 | Ipv6
    protocol: int
    source: End
    destination: End

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a frame.

        Raises:
            WireError: not an ICMP error, damaged, or without quoted ports.
        """
        cursor = Cursor(data)
        dst_high, dst_low, src_high, src_low, tpid, tci, ethertype = cursor.unpack(_ETHERNET, "Ethernet header")
        if tpid != _TPID or ethertype not in TYPES:
            raise cursor.error(f"type {ethertype:#x}", "Ethernet header", back=2)
        packet = (Ipv4 if ethertype == ETHERTYPE_IPV4 else Ipv6).decode(cursor.rest())
        _check(packet, ethertype)
        protocol, source, destination = _quoted(packet.payload[_ICMP:], _version(packet))
        macs = dst_high << 32 | dst_low, src_high << 32 | src_low
        return cls(*macs, tci & _VID, packet, protocol, source, destination)

    def about(self, source: End, eth_dst: int) -> IcmpError:
        """The same error about the same packet from another end of its IP version, to that end."""
        packet = _between(self.packet, self.packet.source, source.address, self._quoting(source, 0))
        return replace(self, eth_dst=eth_dst, packet=_checked(packet), source=source)

    def from_end(self, destination: End) -> IcmpError:
        """The same error about the same packet to another end of its IP version.

        Its source address is replaced too if the old end sent it; the address of a router on the path stays.
        """
        sender = self.packet.source
        if sender == self.destination.address:
            sender = destination.address
        packet = _between(self.packet, sender, self.packet.destination, self._quoting(destination, 1))
        return replace(self, packet=_checked(packet), destination=destination)

    def _quoting(self, end: End, which: int) -> bytes:
        """The ICMP message with another quoted source (0) or destination (1); its own checksum is not yet set."""
        version = _version(self.packet)
        quoted = bytearray(self.packet.payload[_ICMP:])
        at, size, _ = _QUOTED[version]
        at, port = at + which * size, _ports_at(quoted, version) + which * 2
        before = bytes(quoted[at : at + size] + quoted[port : port + 2])
        quoted[at : at + size] = end.address.packed
        quoted[port : port + 2] = end.port.to_bytes(2)
        after = end.address.packed + end.port.to_bytes(2)
        sum_at = _ports_at(quoted, version) + _CHECKSUM_AT[self.protocol]
        _adjust(quoted, sum_at, before, after, optional=self.protocol == _UDP)
        if version == 4:
            _adjust(quoted, 10, before[:size], after[:size])
        return self.packet.payload[:_ICMP] + bytes(quoted)

    def encode(self) -> bytes:
        """The frame, with its tag."""
        ethertype = ETHERTYPE_IPV4 if isinstance(self.packet, Ipv4) else ETHERTYPE_IPV6
        macs = self.eth_dst >> 32, self.eth_dst & 0xFFFFFFFF, self.eth_src >> 32, self.eth_src & 0xFFFFFFFF
        return _ETHERNET.pack(*macs, _TPID, self.vid, ethertype) + self.packet.encode()


def carries_icmp_error(data: bytes) -> bool:
    """Test a frame with one tag for an ICMP error; IPv6 only without extension headers, as kernels send errors."""
    ethertype, packet = int.from_bytes(data[16:18]), data[18:]
    if ethertype == ETHERTYPE_IPV4:
        return packet[9:10] == bytes([PROTO_ICMP])
    return ethertype == ETHERTYPE_IPV6 and packet[6:7] == bytes([PROTO_ICMPV6]) and packet[40:41] < b"\x80"


def _version(packet: Ipv4 | Ipv6) -> int:
    return packet.source.version


def _between(packet: Ipv4 | Ipv6, source: IpAddress, destination: IpAddress, payload: bytes) -> Ipv4 | Ipv6:
    if isinstance(packet, Ipv4):
        return replace(packet, source=IPv4Address(source), destination=IPv4Address(destination), payload=payload)
    return replace(packet, source=IPv6Address(source), destination=IPv6Address(destination), payload=payload)


def _check(packet: Ipv4 | Ipv6, ethertype: int) -> None:
    wanted = PROTO_ICMP if ethertype == ETHERTYPE_IPV4 else PROTO_ICMPV6
    if packet.protocol != wanted or not packet.payload or packet.payload[0] not in TYPES[ethertype]:
        raise WireError("not an ICMP error", field="ICMP")
    if checksum(_pseudo_header(packet) + packet.payload):
        raise WireError("wrong checksum", field="ICMP")


def _checked(packet: Ipv4 | Ipv6) -> Ipv4 | Ipv6:
    """The packet with the checksum of its ICMP message set."""
    payload = packet.payload
    bare = payload[:2] + bytes(2) + payload[4:]
    right = checksum(_pseudo_header(packet) + bare).to_bytes(2)
    return replace(packet, payload=bare[:2] + right + bare[4:])


def _pseudo_header(packet: Ipv4 | Ipv6) -> bytes:
    """The pseudo-header that the checksum of ICMPv6 covers (RFC 8200 8.1); empty for IPv4."""
    if isinstance(packet, Ipv4):
        return b""
    ends = packet.source.packed + packet.destination.packed
    return ends + len(packet.payload).to_bytes(4) + PROTO_ICMPV6.to_bytes(4)


def _quoted(octets: bytes, version: int) -> tuple[int, End, End]:
    """Protocol and ends of a quoted packet."""
    at, size, protocol_at = _QUOTED[version]
    ports = _ports_at(octets, version)
    if len(octets) < ports + 4 or octets[0] >> 4 != version or octets[protocol_at] not in _CHECKSUM_AT:
        raise WireError("quotes no ports", field="ICMP", offset=_ICMP)
    if version == 4 and int.from_bytes(octets[6:8]) & 0x1FFF:
        raise WireError("quotes a later fragment", field="ICMP", offset=_ICMP)
    source, destination = (ip_address(octets[offset : offset + size]) for offset in (at, at + size))
    numbers = (int.from_bytes(octets[offset : offset + 2]) for offset in (ports, ports + 2))
    return octets[protocol_at], End(source, next(numbers)), End(destination, next(numbers))


def _ports_at(octets: bytes | bytearray, version: int) -> int:
    return (octets[0] & 0xF) * 4 if version == 4 and octets else 40


def _adjust(octets: bytearray, at: int, before: bytes, after: bytes, optional: bool = False) -> None:
    """Update a quoted checksum for changed octets (RFC 1624); an optional checksum of 0 (UDP, absent) stays 0."""
    if len(octets) < at + 2:
        return
    old = int.from_bytes(octets[at : at + 2])
    if optional and not old:
        return
    total = ~old & 0xFFFF
    for word in range(0, len(before), 2):
        total += (~int.from_bytes(before[word : word + 2]) & 0xFFFF) + int.from_bytes(after[word : word + 2])
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    octets[at : at + 2] = (~total & 0xFFFF or (0xFFFF if optional else 0)).to_bytes(2)
