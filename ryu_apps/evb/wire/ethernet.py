"""Ethernet frames that the bridge itself sends and receives: they carry LLDP, ECP and announcements."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Self

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.mac import MAC_MAX

#: Group address of VDP over ECP and of the LLDPDUs that carry the EVB TLV (802.1Q table 8-1).
NEAREST_CUSTOMER_BRIDGE = 0x0180C2000000
#: Group address of draft 0.2 ECP.
NEAREST_BRIDGE = 0x0180C200000E

ETHERTYPE_LLDP = 0x88CC
ETHERTYPE_ECP = 0x8940
#: 802a OUI extended ethertype; draft 0.2 ECP uses it with OUI 00-1B-3F.
ETHERTYPE_DRAFT_ECP = 0x88B7

#: Shortest frame without its check sequence that an Ethernet medium carries.
MINIMUM_FRAME = 60

_HEADER = Struct("!HIHIH")
#: 802.1Q 9.4: tag protocol identifier, and a tag of priority 0 that is the VID alone.
_TAG = Struct("!HH")
_TPID = 0x8100
_ADDRESSES = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame without tag and without check sequence.

    Attributes:
        dst, src: 48-bit addresses.
        ethertype: 16 bits.
        payload: everything behind the ethertype, padding included.
    """

    dst: int
    src: int
    ethertype: int
    payload: bytes

    def __post_init__(self) -> None:
        if not (0 <= self.dst <= MAC_MAX and 0 <= self.src <= MAC_MAX and 0 <= self.ethertype <= 0xFFFF):
            raise ValueError(f"Ethernet header out of range: {self.dst:#x} {self.src:#x} {self.ethertype:#x}")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a frame.

        Frames below the minimum size are accepted: stations send ECP acknowledgements of 18 octets.

        Raises:
            WireError: less than a header.
        """
        cursor = Cursor(data)
        dst_high, dst_low, src_high, src_low, ethertype = cursor.unpack(_HEADER, "Ethernet header")
        return cls(dst_high << 32 | dst_low, src_high << 32 | src_low, ethertype, cursor.rest())

    def encode(self, *, pad: bool = False, vid: int | None = None) -> bytes:
        """The octets of the frame.

        Args:
            pad: append zeros up to the minimum size of the medium, which the frame keeps when a switch
                removes the tag.
            vid: 12 bits; VID of the tag, None for an untagged frame.
        """
        dst, src = self.dst, self.src
        header = _HEADER.pack(dst >> 32, dst & 0xFFFFFFFF, src >> 32, src & 0xFFFFFFFF, self.ethertype)
        octets = header + self.payload
        if pad:
            octets = octets.ljust(MINIMUM_FRAME, b"\0")
        return octets if vid is None else octets[:_ADDRESSES] + _TAG.pack(_TPID, vid) + octets[_ADDRESSES:]
