"""Text of filter entries, as vdptool writes them: ``VID``, ``VID-MAC``, ``VID--GROUP`` and ``VID-MAC-GROUP``.

The first field is the tag control information: PS and PCP are in its upper bits (0x8000 and 0x7000).
"""

from __future__ import annotations

from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, GroupMacVid, GroupVid, MacVid, Vid
from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text


def filter_from_text(written: tuple[str, ...]) -> FilterInfo:
    """Read the entries of a filter.

    Raises:
        ValueError: no entry, an entry of none of the four forms, entries of different forms, or more than fit a TLV.
    """
    return FilterInfo.of(*map(_entry, written))


def filter_to_text(filter_info: FilterInfo) -> tuple[str, ...]:
    """The entries of a filter, from which :func:`filter_from_text` reads the same filter."""
    return tuple(map(_text, filter_info.entries))


def _entry(written: str) -> FilterEntry:
    tci, mac, group, *more = (*written.split("-"), "", "", "")
    if any(more):
        raise ValueError(f"{written!r} is not a filter entry: VID, VID-MAC, VID--GROUP or VID-MAC-GROUP was expected")
    tag = _tag(tci, written)
    address = mac_from_text(mac) if mac else None
    number = _number(group, 0xFFFFFFFF, written) if group else None
    if address is None:
        return tag if number is None else GroupVid(tag.vid, number, pcp=tag.pcp, ps=tag.ps)
    if number is None:
        return MacVid(tag.vid, address, pcp=tag.pcp, ps=tag.ps)
    return GroupMacVid(tag.vid, address, number, pcp=tag.pcp, ps=tag.ps)


def _tag(tci: str, written: str) -> Vid:
    return Vid.unpacked(_number(tci, 0xFFFF, written))


def _number(digits: str, most: int, written: str) -> int:
    try:
        number = int(digits, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise ValueError(f"{written!r} is not a filter entry: {digits!r} is not a number from 0 to {most}")
    return number


def _text(entry: FilterEntry) -> str:
    mac = "" if entry.mac is None else mac_to_text(entry.mac)
    tci = hex(entry.tci) if entry.ps else str(entry.vid)
    if entry.group is not None:
        return f"{tci}-{mac}-{entry.group}"
    return f"{tci}-{mac}" if mac else tci
