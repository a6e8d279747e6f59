"""Text forms of VSI Manager IDs, which are 16 octets on the wire.

As vdptool reads ``mgrid2``: digits of a hexadecimal number (dashes are ignored, so a UUID is one) fill the
octets from the left, any other word is ASCII and zeros.  In addition an address in the form of 802.1Q, IPv4
mapped into IPv6; and a plain number, the one octet that the field had in the draft, is the last octet.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from uuid import UUID

from ryu_apps.evb.wire.vdp import ManagerId

_HEXADECIMAL = re.compile(r"[0-9a-fA-F-]+\Z")
_WORD = re.compile(r"[!-~]{1,16}\Z")
_MAPPED = bytes(10) + b"\xff\xff"


def manager_from_text(written: str | int) -> ManagerId:
    """Read a Manager ID in any of its forms.

    Raises:
        ValueError: none of the forms; the message has the reason.
    """
    if isinstance(written, int):
        if not 0 <= written <= 0xFF:
            raise ValueError(f"{written} does not fit one octet; put a hexadecimal number in quotation marks")
        return ManagerId(bytes(15) + bytes((written,)))
    if _HEXADECIMAL.match(written):
        return ManagerId(_packed(written))
    if (address := _address(written)) is not None:
        return ManagerId(_MAPPED + address.packed if address.version == 4 else address.packed)
    if not _WORD.match(written):
        raise ValueError(f"{written!r} is not an address, a number or a word of 1 to 16 ASCII characters")
    return ManagerId(written.encode("ascii").ljust(16, b"\0"))


def manager_text(manager_id: ManagerId) -> str:
    """The most readable form from which :func:`manager_from_text` reads the same ID."""
    octets = manager_id.octets
    if octets.startswith(_MAPPED):
        return str(IPv4Address(octets[12:]))
    word = octets.rstrip(b"\0").decode("ascii", errors="replace")
    if _WORD.match(word) and not _HEXADECIMAL.match(word) and _address(word) is None:
        return word
    if octets.startswith(bytes(8)) or octets[0] & 0xE0 == 0x20 or octets[0] & 0xFE == 0xFC:
        return str(IPv6Address(octets))
    return str(UUID(bytes=octets))


def _packed(written: str) -> bytes:
    digits = written.replace("-", "")
    if not digits or len(digits) % 2 or len(digits) > 32:
        raise ValueError(f"{written!r}: a hexadecimal Manager ID has an even number of digits, 2 to 32")
    return bytes.fromhex(digits).ljust(16, b"\0")


def _address(written: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(written)
    except ValueError:
        return None
