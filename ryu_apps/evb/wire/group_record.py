"""Group records of IGMPv3 and MLDv2 reports, and the floating-point codes that both protocols share.

A group record has a listener's source filter for one group (RFC 3376 4.2.4, RFC 3810 5.2.5); the two
protocols differ only in the size of an address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar

from ryu_apps.evb.wire.cursor import Cursor

A = TypeVar("A", IPv4Address, IPv6Address)


class RecordType(IntEnum):
    """Type of a group record: current state or change of the source filter."""

    IS_INCLUDE = 1
    """State: these sources only."""
    IS_EXCLUDE = 2
    """State: all sources but these."""
    TO_INCLUDE = 3
    """Change: from now on these sources only; with no source it is a leave."""
    TO_EXCLUDE = 4
    """Change: from now on all but these; with no source it is a plain join."""
    ALLOW = 5
    """Change: these sources in addition."""
    BLOCK = 6
    """Change: these sources no longer."""


_KNOWN = {int(code): code for code in RecordType}


@dataclass(frozen=True, slots=True)
class GroupRecord(Generic[A]):
    """One record of a report.

    Attributes:
        type: an unknown number is kept as received; a receiver ignores such a record.
        auxiliary: a multiple of four octets; undefined by either RFC.
    """

    type: RecordType | int
    group: A
    sources: tuple[A, ...] = ()
    auxiliary: bytes = b""

    def encode(self) -> bytes:
        head = bytes((self.type, len(self.auxiliary) // 4)) + len(self.sources).to_bytes(2)
        return head + self.group.packed + packed(self.sources) + self.auxiliary


def decode_record(cursor: Cursor, address: Callable[[bytes], A], size: int) -> GroupRecord[A]:
    """Read one record; ``address`` makes one of ``size`` octets."""
    code, auxiliary, count = cursor.u8("record type"), cursor.u8("auxiliary length"), cursor.u16("sources")
    group = address(cursor.take(size, "group"))
    sources = decode_addresses(cursor, address, size, count)
    return GroupRecord(_KNOWN.get(code, code), group, sources, cursor.take(4 * auxiliary, "auxiliary data"))


def decode_addresses(cursor: Cursor, address: Callable[[bytes], A], size: int, count: int) -> tuple[A, ...]:
    """Read ``count`` addresses; the bound of all of them is checked before the first is read."""
    octets = cursor.take(size * count, "sources")
    return tuple(address(octets[at : at + size]) for at in range(0, len(octets), size))


def packed(addresses: tuple[A, ...]) -> bytes:
    """The octets of addresses, concatenated."""
    return b"".join(address.packed for address in addresses)


def number_of(code: int, bits: int) -> int:
    """The number for a code of 8 or 16 bits: small numbers themselves, large numbers as mantissa and exponent.

    RFC 3376 4.1.1 and 4.1.7 (8 bits: Max Resp Code, QQIC), RFC 3810 5.1.3 (16 bits: Maximum Response Code).
    """
    if code < 1 << bits - 1:
        return code
    width = bits - 4
    return (code & (1 << width) - 1 | 1 << width) << (code >> width & 7) + 3


def code_of(number: int, bits: int) -> int:
    """The code for a number, or for the largest one below it that has a code."""
    if number < 1 << bits - 1:
        return number
    width = bits - 4
    exponent = min(number.bit_length() - width - 1 - 3, 7)
    mantissa = min(number >> exponent + 3, (2 << width) - 1)
    return 1 << bits - 1 | exponent << width | mantissa & (1 << width) - 1
