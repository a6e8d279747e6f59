"""MAC addresses: 48-bit integers in the core, colon-separated lower-case text in files, logs and REST."""

from __future__ import annotations

MAC_MAX = (1 << 48) - 1


def mac_from_text(text: str) -> int:
    """``"52:54:00:11:22:33"`` -> ``0x525400112233``; either case.

    Raises:
        ValueError: not six colon-separated octets of two hexadecimal digits.
    """
    parts = text.split(":")
    try:
        octets = bytes.fromhex("".join(parts))
    except ValueError:
        octets = b""
    # fromhex skips white space, so the count of octets is checked as well.
    if len(octets) != 6 or any(len(part) != 2 for part in parts):
        raise ValueError(f"{text!r} is not a MAC address")
    return int.from_bytes(octets)


def mac_to_text(mac: int) -> str:
    """``0x525400112233`` -> ``"52:54:00:11:22:33"``.

    Raises:
        ValueError: not a 48-bit unsigned integer.
    """
    if not 0 <= mac <= MAC_MAX:
        raise ValueError(f"{mac:#x} is not a 48-bit number")
    return mac.to_bytes(6).hex(":")
