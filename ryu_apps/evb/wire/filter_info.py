"""Filter info: which VIDs, MAC addresses and groups a VSI asks for (802.1Q 41.2.9).

Four entry formats, one class each.  VID 0 asks the bridge to choose; whether a VID or an address may
be had is policy and not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from struct import Struct
from typing import ClassVar, Self, TypeVar

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.mac import MAC_MAX
from ryu_apps.evb.wire.tlv import MAX_VALUE

NULL_VID = 0
#: Octets of an association TLV before its first entry.
FIXED_PART = 25

_HEADER = Struct("!BH")


def _check(entry: Entry) -> None:
    """Every field of an entry fits its bits."""
    mac, group = entry.mac, entry.group
    if not (0 <= entry.vid <= 0xFFF and 0 <= entry.pcp <= 7):
        raise ValueError(f"no such VID or PCP: {entry.vid} {entry.pcp}")
    if mac is not None and not 0 <= mac <= MAC_MAX:
        raise ValueError(f"{mac:#x} is not a MAC address")
    if group is not None and not 0 <= group <= 0xFFFFFFFF:
        raise ValueError(f"{group:#x} is not a group id")


def _tci(entry: Entry) -> int:
    return entry.ps << 15 | entry.pcp << 12 | entry.vid


@dataclass(frozen=True, slots=True)
class Vid:
    """Format 1: a VID.

    Attributes:
        vid: 12 bits, 0 = the bridge chooses.
        pcp: priority, 3 bits; counts only with ``ps``.
        ps: PCP significant.
    """

    FORMAT: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("!H")
    mac: ClassVar[None] = None
    group: ClassVar[None] = None

    vid: int
    pcp: int = 0
    ps: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def unpacked(cls, tci: int) -> Self:
        return cls(tci & 0xFFF, tci >> 12 & 7, tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(_tci(self))


@dataclass(frozen=True, slots=True)
class MacVid:
    """Format 2: a MAC address at a VID; the other fields as in :class:`Vid`.

    Attributes:
        mac: 48 bits.
    """

    FORMAT: ClassVar[int] = 2
    LAYOUT: ClassVar[Struct] = Struct("!HIH")
    group: ClassVar[None] = None

    vid: int
    mac: int
    pcp: int = 0
    ps: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def unpacked(cls, mac_high: int, mac_low: int, tci: int) -> Self:
        return cls(tci & 0xFFF, mac_high << 32 | mac_low, tci >> 12 & 7, tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.mac >> 32, self.mac & 0xFFFFFFFF, _tci(self))


@dataclass(frozen=True, slots=True)
class GroupVid:
    """Format 3: a group at a VID; the other fields as in :class:`Vid`.

    Attributes:
        group: 32 bits; stations lose the ones from 2^31 on.
    """

    FORMAT: ClassVar[int] = 3
    LAYOUT: ClassVar[Struct] = Struct("!IH")
    mac: ClassVar[None] = None

    vid: int
    group: int
    pcp: int = 0
    ps: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def unpacked(cls, group: int, tci: int) -> Self:
        return cls(tci & 0xFFF, group, tci >> 12 & 7, tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.group, _tci(self))


@dataclass(frozen=True, slots=True)
class GroupMacVid:
    """Format 4: a MAC address in a group at a VID; fields as in the other formats."""

    FORMAT: ClassVar[int] = 4
    LAYOUT: ClassVar[Struct] = Struct("!IHIH")

    vid: int
    mac: int
    group: int
    pcp: int = 0
    ps: bool = False

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def unpacked(cls, group: int, mac_high: int, mac_low: int, tci: int) -> Self:
        return cls(tci & 0xFFF, mac_high << 32 | mac_low, group, tci >> 12 & 7, tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.group, self.mac >> 32, self.mac & 0xFFFFFFFF, _tci(self))


Entry = Vid | MacVid | GroupVid | GroupMacVid
_EntryT = TypeVar("_EntryT", Vid, MacVid, GroupVid, GroupMacVid)

#: Wire code -> class of the entries.
ENTRY_FORMATS: dict[int, type[Vid] | type[MacVid] | type[GroupVid] | type[GroupMacVid]] = {
    one.FORMAT: one for one in (Vid, MacVid, GroupVid, GroupMacVid)
}


def with_vid(entry: _EntryT, vid: int, pcp: int | None = None) -> _EntryT:
    """A copy of an entry with the VID the bridge chose, and a PCP made significant if one is given."""
    if pcp is None:
        return replace(entry, vid=vid)
    return replace(entry, vid=vid, pcp=pcp, ps=True)
