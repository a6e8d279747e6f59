"""VSIIDs: 16 octets and their format (802.1Q 41.2.6).

The canonical text form appears in logs, in the REST interface and as the registry's key; it is reversible
for every octet string a station may send.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Self
from uuid import UUID

from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text

_SIZE = 16
_MAPPED = bytes(10) + b"\xff\xff"
_MAC_FILL = bytes(10)


class VsiIdFormat(IntEnum):
    """Meaning of the 16 octets."""

    IPV4 = 1
    """The last four octets, ``::ffff:a.b.c.d`` style."""
    IPV6 = 2
    MAC = 3
    """The last six octets, the others zero."""
    LOCAL = 4
    UUID = 5


#: Wire code -> format; a dictionary is three times as fast as calling the enum.
VSI_ID_FORMATS = {int(code): code for code in VsiIdFormat}


@dataclass(frozen=True, slots=True)
class VsiId:
    """A VSIID as a station sent it: 16 octets and their format."""

    format: VsiIdFormat
    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != _SIZE:
            raise ValueError(f"a VSIID has 16 octets, not {len(self.octets)}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the canonical form: a bare UUID, or ``ipv4:``, ``ipv6:``, ``mac:``, ``local:`` and a value.

        Every prefix also takes 32 hexadecimal digits: the octets themselves.

        Raises:
            ValueError: none of these.
        """
        prefix, colon, value = text.partition(":")
        try:
            if not colon:
                return cls(VsiIdFormat.UUID, _uuid_octets(text))
            if prefix not in _PREFIXES:
                raise ValueError(prefix)
            kind = _PREFIXES[prefix]
            return cls(kind, _raw_octets(value) or _octets(kind, value))
        except ValueError as error:
            raise ValueError(f"{text!r} is not a VSIID") from error

    def __str__(self) -> str:
        octets, value = self.octets, self.octets.hex()
        match self.format:
            case VsiIdFormat.UUID:
                return str(UUID(bytes=octets))
            case VsiIdFormat.IPV4 if octets.startswith(_MAPPED):
                value = str(IPv4Address(octets[12:]))
            case VsiIdFormat.IPV6:
                value = _ipv6_text(octets)
            case VsiIdFormat.MAC if octets.startswith(_MAC_FILL):
                value = mac_to_text(int.from_bytes(octets))
        return f"{self.format.name.lower()}:{value}"


_PREFIXES = {code.name.lower(): code for code in VsiIdFormat if code is not VsiIdFormat.UUID}


def _octets(kind: VsiIdFormat, value: str) -> bytes:
    match kind:
        case VsiIdFormat.IPV4:
            return _MAPPED + IPv4Address(value).packed
        case VsiIdFormat.IPV6:
            return IPv6Address(value).packed
        case VsiIdFormat.MAC:
            return mac_from_text(value).to_bytes(_SIZE)
    raise ValueError(value)


def _raw_octets(value: str) -> bytes | None:
    """32 hexadecimal digits as octets; None for any other text."""
    if len(value) != 2 * _SIZE or ":" in value:
        return None
    return bytes.fromhex(value)  # skips white space; VsiId refuses what is then too short


def _uuid_octets(text: str) -> bytes:
    if len(text) != 36 or [place for place, char in enumerate(text) if char == "-"] != [8, 13, 18, 23]:
        raise ValueError(text)  # UUID() also takes braces, urn: and misplaced hyphens
    octets = _raw_octets(text.replace("-", ""))
    if octets is None:
        raise ValueError(text)
    return octets


def _ipv6_text(octets: bytes) -> str:
    """RFC 5952 text; keys must not depend on the version of Python, which writes mapped addresses anew from 3.13 on."""
    if octets.startswith(_MAPPED):
        return f"::ffff:{IPv4Address(octets[12:])}"
    return str(IPv6Address(octets))
