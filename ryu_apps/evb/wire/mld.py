"""MLD, versions 1 and 2: group membership of IPv6 hosts (RFC 2710, RFC 3810).  Part of ICMPv6.

The checksum covers the addresses of the packet too, so encoding and decoding both need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address
from typing import TypeAlias

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.group_record import GroupRecord, decode_addresses, decode_record, packed
from ryu_apps.evb.wire.ip import PROTO_ICMPV6, checksum


class MldType(IntEnum):
    """ICMPv6 types of the messages."""

    QUERY = 130
    V1_REPORT = 131
    DONE = 132
    V2_REPORT = 143


_PLAIN_SIZE = 24
_PLAIN = {int(code): code for code in (MldType.QUERY, MldType.V1_REPORT, MldType.DONE)}
_SIZE = 16
NO_GROUP = IPv6Address(0)

MldRecord: TypeAlias = GroupRecord[IPv6Address]


@dataclass(frozen=True, slots=True)
class MldV1:
    """A message of version 1: query, report, done.

    Attributes:
        group: ``::`` in a general query.
        max_response: of a query, in milliseconds.
        code, reserved: 8 and 16 bits, sent as 0 and ignored on receipt.
    """

    type: MldType
    group: IPv6Address = NO_GROUP
    max_response: int = 0
    code: int = 0
    reserved: int = 0
    trailer: bytes = b""

    def encode(self, source: IPv6Address, destination: IPv6Address) -> bytes:
        head = bytes((self.type, self.code, 0, 0)) + self.max_response.to_bytes(2) + self.reserved.to_bytes(2)
        return _summed(head + self.group.packed + self.trailer, source, destination)


@dataclass(frozen=True, slots=True)
class Query2:
    """A query of version 2; the fields are those of :class:`ryu_apps.evb.wire.igmp.Query3`.

    Attributes:
        max_response_code: a code of 16 bits, of milliseconds.
    """

    group: IPv6Address = NO_GROUP
    sources: tuple[IPv6Address, ...] = ()
    max_response_code: int = 10_000
    suppress: bool = False
    robustness: int = 2
    qqic: int = 125
    code: int = 0
    reserved: tuple[int, int] = (0, 0)
    trailer: bytes = b""

    def encode(self, source: IPv6Address, destination: IPv6Address) -> bytes:
        head = bytes((MldType.QUERY, self.code, 0, 0))
        times = self.max_response_code.to_bytes(2) + self.reserved[0].to_bytes(2)
        flags = bytes((self.reserved[1] << 4 | self.suppress << 3 | self.robustness, self.qqic))
        tail = len(self.sources).to_bytes(2) + packed(self.sources) + self.trailer
        return _summed(head + times + self.group.packed + flags + tail, source, destination)


@dataclass(frozen=True, slots=True)
class Report2:
    """A report of version 2; ``reserved`` are its 8 and 16 reserved bits."""

    records: tuple[MldRecord, ...] = ()
    reserved: tuple[int, int] = (0, 0)
    trailer: bytes = b""

    def encode(self, source: IPv6Address, destination: IPv6Address) -> bytes:
        head = bytes((MldType.V2_REPORT, self.reserved[0], 0, 0))
        count = self.reserved[1].to_bytes(2) + len(self.records).to_bytes(2)
        octets = head + count + b"".join(record.encode() for record in self.records) + self.trailer
        return _summed(octets, source, destination)


Mld = MldV1 | Query2 | Report2


def decode_mld(data: bytes, source: IPv6Address, destination: IPv6Address) -> Mld:
    """Read the payload of an ICMPv6 packet between two addresses.

    Raises:
        WireError: damaged, of another type, or a query of a length that no version has (RFC 3810 8.1).
    """
    cursor = Cursor(data)
    code, octet = cursor.u8("type"), cursor.u8("code")
    cursor.u16("checksum")
    if checksum(_pseudo_header(len(data), source, destination) + data):
        raise cursor.error("wrong checksum", "checksum", back=2)
    if code == MldType.V2_REPORT:
        return _report(cursor, octet)
    if code not in _PLAIN:
        raise cursor.error(f"unknown type {code}", "type", back=4)
    times, reserved = cursor.u16("maximum response"), cursor.u16("reserved")
    group = IPv6Address(cursor.take(_SIZE, "group"))
    if code == MldType.QUERY and len(data) > _PLAIN_SIZE:
        return _query(cursor, group, octet, times, reserved)
    return MldV1(_PLAIN[code], group, times, octet, reserved, cursor.rest())


def _query(cursor: Cursor, group: IPv6Address, code: int, times: int, reserved: int) -> Query2:
    flags, qqic, count = cursor.u8("flags"), cursor.u8("QQIC"), cursor.u16("sources")
    sources = decode_addresses(cursor, IPv6Address, _SIZE, count)
    more = reserved, flags >> 4
    return Query2(group, sources, times, bool(flags & 8), flags & 7, qqic, code, more, cursor.rest())


def _report(cursor: Cursor, reserved: int) -> Report2:
    more, count = cursor.u16("reserved"), cursor.u16("records")
    records = tuple(decode_record(cursor, IPv6Address, _SIZE) for _ in range(count))
    return Report2(records, (reserved, more), cursor.rest())


def _pseudo_header(length: int, source: IPv6Address, destination: IPv6Address) -> bytes:
    return source.packed + destination.packed + length.to_bytes(4) + bytes((0, 0, 0, PROTO_ICMPV6))


def _summed(octets: bytes, source: IPv6Address, destination: IPv6Address) -> bytes:
    total = checksum(_pseudo_header(len(octets), source, destination) + octets)
    return octets[:2] + total.to_bytes(2) + octets[4:]
