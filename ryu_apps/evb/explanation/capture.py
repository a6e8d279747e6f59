"""Frames of a capture file: pcap, with times in micro- or nanoseconds, and pcapng; Ethernet only."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ETHERNET = 1
_PCAP = {0xA1B2C3D4, 0xA1B23C4D}
_PCAP_HEADER, _PCAP_RECORD = 24, 16
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_BYTE_ORDER = 0x1A2B3C4D


class CaptureError(ValueError):
    """The file is no capture of Ethernet frames."""


def frames(octets: bytes) -> Iterator[bytes]:
    """Yield the frames of a capture file in their order; a record that is cut off ends them.

    Raises:
        CaptureError: neither pcap nor pcapng, or not of Ethernet.
    """
    for order in "<>":
        if len(octets) >= _PCAP_HEADER and struct.unpack_from(f"{order}I", octets)[0] in _PCAP:
            return _of_pcap(octets, order)
    if len(octets) >= 12 and int.from_bytes(octets[:4]) == _SECTION:
        return _of_pcapng(octets)
    raise CaptureError("neither pcap nor pcapng")


def _of_pcap(octets: bytes, order: str) -> Iterator[bytes]:
    _check(struct.unpack_from(f"{order}I", octets, 20)[0] & 0xFFFF)
    return _records(octets, order)


def _records(octets: bytes, order: str) -> Iterator[bytes]:
    at = _PCAP_HEADER
    while at + _PCAP_RECORD <= len(octets):
        (length,) = struct.unpack_from(f"{order}I", octets, at + 8)
        at += _PCAP_RECORD
        if at + length > len(octets):
            return
        yield octets[at : at + length]
        at += length


def _of_pcapng(octets: bytes) -> Iterator[bytes]:
    order, links, at = "<", list[int](), 0
    while at + 12 <= len(octets):
        if int.from_bytes(octets[at : at + 4]) == _SECTION:
            order = "<" if struct.unpack_from("<I", octets, at + 8)[0] == _BYTE_ORDER else ">"
            links = []
        kind, size = struct.unpack_from(f"{order}II", octets, at)
        body = octets[at + 8 : at + size - 4]
        if size < 12 or len(body) != size - 12:
            return
        at += size + -size % 4
        if kind == _INTERFACE and len(body) >= 8:
            links.append(struct.unpack_from(f"{order}H", body)[0])
        elif kind == _ENHANCED and len(body) >= 20:
            interface, _high, _low, length = struct.unpack_from(f"{order}IIII", body)
            _check(links[interface] if interface < len(links) else None)
            yield body[20 : 20 + length]
        elif kind == _SIMPLE and len(body) >= 4:
            _check(links[0] if links else None)
            yield body[4 : 4 + struct.unpack_from(f"{order}I", body)[0]]


def _check(link_type: int | None) -> None:
    if link_type != _ETHERNET:
        raise CaptureError(f"link type {link_type}: only Ethernet (1) can be explained")
