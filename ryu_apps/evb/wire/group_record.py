"""What the reports of IGMPv3 and MLDv2 are made of, and the numbers both protocols write alike.

A group record says which sources of one group a listener wants (RFC 3376 4.2.4, RFC 3810 5.2.5); the two
protocols differ in the size of an address only.
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
    """What a record tells of a group."""

    IS_INCLUDE = 1
    """The state: these sources only."""
    IS_EXCLUDE = 2
    """The state: all sources but these."""
    TO_INCLUDE = 3
    """A change: from now on these sources only; none of them is a leave."""
    TO_EXCLUDE = 4
    """A change: from now on all but these; none of them is a plain join."""
    ALLOW = 5
    """A change: these as well."""
    BLOCK = 6
    """A change: these no more."""


_KNOWN = {int(one): one for one in RecordType}


@dataclass(frozen=True, slots=True)
class GroupRecord(Generic[A]):
    """One record of a report.

    Attributes:
        type: a number that means nothing to us is kept as it came; such a record is to be ignored.
        auxiliary: a multiple of four octets; nobody defines any.
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
    """Read ``count`` addresses; that there is room for all is settled before the first is read."""
    octets = cursor.take(size * count, "sources")
    return tuple(address(octets[at : at + size]) for at in range(0, len(octets), size))


def packed(addresses: tuple[A, ...]) -> bytes:
    """Addresses one behind the other."""
    return b"".join(one.packed for one in addresses)


def number_of(code: int, bits: int) -> int:
    """What a code of 8 or 16 bits stands for: small numbers themselves, large ones as mantissa and exponent.

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
