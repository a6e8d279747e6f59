"""Filter info: VIDs, MAC addresses and groups that a VSI requests (802.1Q 41.2.9).

Four entry formats, one class each.  VID 0 lets the bridge choose; ``vsi.admission`` decides which VIDs and
addresses are granted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from struct import Struct
from typing import ClassVar, Self

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.mac import MAC_MAX
from ryu_apps.evb.wire.tlv import MAX_VALUE

NULL_VID = 0
#: Octets of an association TLV in front of its first entry.
FIXED_PART = 25

_HEADER = Struct("!BH")


def _check_mac(mac: int) -> None:
    if not 0 <= mac <= MAC_MAX:
        raise ValueError(f"{mac:#x} is not a MAC address")


def _check_group(group: int) -> None:
    if not 0 <= group <= 0xFFFFFFFF:
        raise ValueError(f"{group:#x} is not a group id")


@dataclass(frozen=True, slots=True)
class Tagged:
    """The fields common to all entries.

    Attributes:
        vid: 12 bits, 0 = the bridge chooses.
        pcp: priority, 3 bits; counts only with ``ps``.
        ps: PCP significant.
    """

    vid: int
    pcp: int = field(default=0, kw_only=True)
    ps: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not (0 <= self.vid <= 0xFFF and 0 <= self.pcp <= 7):
            raise ValueError(f"VID or PCP out of range: {self.vid} {self.pcp}")

    @property
    def tci(self) -> int:
        """PS, PCP and VID as the 16 bits on the wire."""
        return self.ps << 15 | self.pcp << 12 | self.vid

    def with_vid(self, vid: int, pcp: int | None = None) -> Self:
        """A copy with the VID the bridge chose, and with a significant PCP if one is given."""
        if pcp is None:
            return replace(self, vid=vid)
        return replace(self, vid=vid, pcp=pcp, ps=True)

    def covers(self, granted: FilterEntry) -> bool:
        """True if a bridge may answer this entry with ``granted``: it chooses a null VID and a PCP without PS."""
        if self == granted:
            return True
        vid = self.vid or granted.vid
        tag = self if self.ps else granted
        return replace(self, vid=vid, pcp=tag.pcp, ps=tag.ps) == granted


@dataclass(frozen=True, slots=True)
class Vid(Tagged):
    """Format 1: a VID."""

    FORMAT: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("!H")
    mac: ClassVar[None] = None
    group: ClassVar[None] = None

    @classmethod
    def unpacked(cls, tci: int) -> Self:
        return cls(tci & 0xFFF, pcp=tci >> 12 & 7, ps=tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.tci)


@dataclass(frozen=True, slots=True)
class MacVid(Tagged):
    """Format 2: a MAC address (48 bits) at a VID."""

    FORMAT: ClassVar[int] = 2
    LAYOUT: ClassVar[Struct] = Struct("!HIH")
    group: ClassVar[None] = None

    mac: int

    def __post_init__(self) -> None:
        Tagged.__post_init__(self)
        _check_mac(self.mac)

    @classmethod
    def unpacked(cls, mac_high: int, mac_low: int, tci: int) -> Self:
        return cls(tci & 0xFFF, mac_high << 32 | mac_low, pcp=tci >> 12 & 7, ps=tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.mac >> 32, self.mac & 0xFFFFFFFF, self.tci)


@dataclass(frozen=True, slots=True)
class GroupVid(Tagged):
    """Format 3: a group (32 bits; lldpad loses group ids from 2^31 on) at a VID."""

    FORMAT: ClassVar[int] = 3
    LAYOUT: ClassVar[Struct] = Struct("!IH")
    mac: ClassVar[None] = None

    group: int

    def __post_init__(self) -> None:
        Tagged.__post_init__(self)
        _check_group(self.group)

    @classmethod
    def unpacked(cls, group: int, tci: int) -> Self:
        return cls(tci & 0xFFF, group, pcp=tci >> 12 & 7, ps=tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.group, self.tci)


@dataclass(frozen=True, slots=True)
class GroupMacVid(Tagged):
    """Format 4: a MAC address in a group at a VID."""

    FORMAT: ClassVar[int] = 4
    LAYOUT: ClassVar[Struct] = Struct("!IHIH")

    mac: int
    group: int

    def __post_init__(self) -> None:
        Tagged.__post_init__(self)
        _check_mac(self.mac)
        _check_group(self.group)

    @classmethod
    def unpacked(cls, group: int, mac_high: int, mac_low: int, tci: int) -> Self:
        return cls(tci & 0xFFF, mac_high << 32 | mac_low, group, pcp=tci >> 12 & 7, ps=tci >= 0x8000)

    def encode(self) -> bytes:
        return self.LAYOUT.pack(self.group, self.mac >> 32, self.mac & 0xFFFFFFFF, self.tci)


FilterEntry = Vid | MacVid | GroupVid | GroupMacVid

#: Wire code -> class of the entries.
ENTRY_FORMATS: dict[int, type[Vid] | type[MacVid] | type[GroupVid] | type[GroupMacVid]] = {
    entry_class.FORMAT: entry_class for entry_class in (Vid, MacVid, GroupVid, GroupMacVid)
}


@dataclass(frozen=True, slots=True)
class FilterInfo:
    """The filter of a VSI: entries of one format, in the station's order.

    The order matters: a station compares the response with its request position by position.
    """

    format: int
    entries: tuple[FilterEntry, ...]

    def __post_init__(self) -> None:
        if self.format not in ENTRY_FORMATS:
            raise ValueError(f"unknown filter info format {self.format}")
        if any(self.format != entry.FORMAT for entry in self.entries):
            raise ValueError(f"an entry is not of filter info format {self.format}")
        if len(self.entries) > max_entries(self.format):
            raise ValueError(f"{len(self.entries)} entries of format {self.format} do not fit one TLV")

    @classmethod
    def of(cls, *entries: FilterEntry) -> Self:
        """The filter of these entries, at least one."""
        if not entries:
            raise ValueError("a filter without entries needs its format")
        return cls(entries[0].FORMAT, entries)

    @classmethod
    def decode(cls, cursor: Cursor) -> Self:
        """Read format, count and entries.

        Raises:
            WireError: unknown format, more entries than octets, or more than one TLV can carry.
        """
        code, count = cursor.unpack(_HEADER, "filter info header")
        kind = ENTRY_FORMATS.get(code)
        if kind is None:
            raise cursor.error(f"unknown filter info format {code}", "filter info format", back=_HEADER.size)
        if count > max_entries(code):
            raise cursor.error(f"{count} entries do not fit one TLV", "number of entries", back=2)
        octets = cursor.take(count * kind.LAYOUT.size, "filter info")
        return cls(code, tuple([kind.unpacked(*fields) for fields in kind.LAYOUT.iter_unpack(octets)]))

    def encode(self) -> bytes:
        header = _HEADER.pack(self.format, len(self.entries))
        return b"".join([header, *[entry.encode() for entry in self.entries]])

    def covers(self, granted: FilterInfo) -> bool:
        """True if a bridge may answer this filter with ``granted``: the same entries in the same order."""
        if self is granted:
            return True
        if len(self.entries) != len(granted.entries):
            return False
        return all(asked.covers(answer) for asked, answer in zip(self.entries, granted.entries, strict=True))


def max_entries(code: int) -> int:
    """Number of entries of a format that fit the 511 octets of a TLV."""
    return (MAX_VALUE - FIXED_PART) // ENTRY_FORMATS[code].LAYOUT.size
