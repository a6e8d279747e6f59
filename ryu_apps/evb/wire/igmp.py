"""IGMP, versions 1 to 3: group membership of IPv4 hosts (RFC 1112, RFC 2236, RFC 3376).

Messages only; ``wire.membership`` has the IP packet and the frame around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import TypeAlias

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.group_record import GroupRecord, decode_addresses, decode_record, packed
from ryu_apps.evb.wire.ip import checksum


class IgmpType(IntEnum):
    """Types of messages."""

    QUERY = 0x11
    V1_REPORT = 0x12
    V2_REPORT = 0x16
    LEAVE = 0x17
    V3_REPORT = 0x22


_PLAIN_SIZE, _QUERY3_SIZE = 8, 12
_PLAIN = {int(code): code for code in (IgmpType.QUERY, IgmpType.V1_REPORT, IgmpType.V2_REPORT, IgmpType.LEAVE)}
_SIZE = 4
#: Group address of a general query.
NO_GROUP = IPv4Address(0)

IgmpRecord: TypeAlias = GroupRecord[IPv4Address]


@dataclass(frozen=True, slots=True)
class IgmpV1V2:
    """A message of eight octets: a query of version 1 or 2, a report of version 1 or 2, a leave.

    Attributes:
        group: 0.0.0.0 in a general query.
        max_response: of a version 2 query, in tenths of a second; a query with 0 is of version 1.
        trailer: octets of a later version; the checksum covers them.
    """

    type: IgmpType
    group: IPv4Address = NO_GROUP
    max_response: int = 0
    trailer: bytes = b""

    def encode(self) -> bytes:
        return _summed(bytes((self.type, self.max_response, 0, 0)) + self.group.packed + self.trailer)


@dataclass(frozen=True, slots=True)
class Query3:
    """A query of version 3.

    Attributes:
        group: 0.0.0.0: a general query.
        max_response_code, qqic: as codes, see ``group_record.number_of``; tenths of a second, and seconds.
        suppress: routers that receive it do not shorten their timers.
        robustness: the querier's robustness variable, 0 if it does not fit.
        reserved: four bits.
    """

    group: IPv4Address = NO_GROUP
    sources: tuple[IPv4Address, ...] = ()
    max_response_code: int = 100
    suppress: bool = False
    robustness: int = 2
    qqic: int = 125
    reserved: int = 0
    trailer: bytes = b""

    def encode(self) -> bytes:
        head = bytes((IgmpType.QUERY, self.max_response_code, 0, 0)) + self.group.packed
        flags = self.reserved << 4 | self.suppress << 3 | self.robustness
        tail = bytes((flags, self.qqic)) + len(self.sources).to_bytes(2) + packed(self.sources)
        return _summed(head + tail + self.trailer)


@dataclass(frozen=True, slots=True)
class Report3:
    """A report of version 3; ``reserved`` are its 8 and 16 reserved bits."""

    records: tuple[IgmpRecord, ...] = ()
    reserved: tuple[int, int] = (0, 0)
    trailer: bytes = b""

    def encode(self) -> bytes:
        head = bytes((IgmpType.V3_REPORT, self.reserved[0], 0, 0))
        count = self.reserved[1].to_bytes(2) + len(self.records).to_bytes(2)
        return _summed(head + count + b"".join(record.encode() for record in self.records) + self.trailer)


Igmp = IgmpV1V2 | Query3 | Report3


def decode_igmp(data: bytes) -> Igmp:
    """Read the payload of an IP packet of protocol 2.

    Raises:
        WireError: damaged, of an unknown type, or a query of a length that no version has (RFC 3376 7.1).
    """
    cursor = Cursor(data)
    code, octet = cursor.u8("type"), cursor.u8("max response")
    cursor.u16("checksum")
    if checksum(data):
        raise cursor.error("wrong checksum", "checksum", back=2)
    if code == IgmpType.V3_REPORT:
        return _report(cursor, octet)
    if code not in _PLAIN:
        raise cursor.error(f"unknown type {code:#x}", "type", back=4)
    group = IPv4Address(cursor.take(_SIZE, "group"))
    if code == IgmpType.QUERY and len(data) > _PLAIN_SIZE:
        return _query(cursor, group, octet)
    return IgmpV1V2(_PLAIN[code], group, octet, cursor.rest())


def _query(cursor: Cursor, group: IPv4Address, code: int) -> Query3:
    flags, qqic, count = cursor.u8("flags"), cursor.u8("QQIC"), cursor.u16("sources")
    sources = decode_addresses(cursor, IPv4Address, _SIZE, count)
    return Query3(group, sources, code, bool(flags & 8), flags & 7, qqic, flags >> 4, cursor.rest())


def _report(cursor: Cursor, reserved: int) -> Report3:
    more, count = cursor.u16("reserved"), cursor.u16("records")
    records = tuple(decode_record(cursor, IPv4Address, _SIZE) for _ in range(count))
    return Report3(records, (reserved, more), cursor.rest())


def _summed(octets: bytes) -> bytes:
    return octets[:2] + checksum(octets).to_bytes(2) + octets[4:]
