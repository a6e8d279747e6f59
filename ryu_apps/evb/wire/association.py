"""Association TLVs: a station's request for a VSI and the bridge's response (802.1Q 41.2.2).

A response is the request with another status octet and the VIDs the bridge chose; every other octet is
copied.  Responses are therefore made from requests, never from scratch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import ClassVar

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.filter_info import ENTRY_FORMATS, FIXED_PART, FilterInfo, max_entries
from ryu_apps.evb.wire.status import STATUS, RequestStatus, ResponseStatus, Status, VdpError
from ryu_apps.evb.wire.tlv import check_tlv, encode_tlv
from ryu_apps.evb.wire.vsi_id import VSI_ID_FORMATS, VsiId

#: Status and type id (8 + 24 bits), version, VSIID format, VSIID.
_HEAD = Struct("!IBB16s")
#: Offset of the number of filter entries.
_COUNT_AT = FIXED_PART - 2
#: VSIs whose fields are kept as they were read: a station repeats them in each request, and each answer repeats them.
_VSIS = 1024


class VdpMode(IntEnum):
    """Request type of an association TLV; the value is the TLV type."""

    PREASSOCIATE = 1
    PREASSOCIATE_RR = 2
    ASSOCIATE = 3
    DEASSOCIATE = 4


@dataclass(frozen=True, slots=True)
class Association:
    """One well-formed association TLV; a subclass for each type.

    Attributes:
        status: request or response status.
        type_id: VSI Type ID, 24 bits.
        version: VSI Type ID version, 8 bits.
        vsi_id: the VSI.
        filter_info: VIDs, MAC addresses and groups requested; in a response, those granted.
    """

    MODE: ClassVar[VdpMode]
    TYPE: ClassVar[int]

    status: Status
    type_id: int
    version: int
    vsi_id: VsiId
    filter_info: FilterInfo

    def __post_init__(self) -> None:
        if not (0 <= self.type_id <= 0xFFFFFF and 0 <= self.version <= 0xFF):
            raise ValueError(f"VSI type out of range: {self.type_id} version {self.version}")

    @property
    def is_response(self) -> bool:
        return isinstance(self.status, ResponseStatus)

    def encode(self) -> bytes:
        """The TLV with its header."""
        word = self.status.encode() << 24 | self.type_id
        head = _HEAD.pack(word, self.version, self.vsi_id.format, self.vsi_id.octets)
        return encode_tlv(self.TYPE, head + self.filter_info.encode())

    def answer(self, status: ResponseStatus, filter_info: FilterInfo | None = None) -> Association:
        """The response to this request; ``filter_info`` if the bridge filled in VIDs or priorities."""
        return self.as_mode(self.MODE, status, filter_info)

    def unsolicited_deassociate(self) -> Association:
        """The bridge's own De-Associate for this VSI: status octet 0, everything else copied."""
        return self.as_mode(VdpMode.DEASSOCIATE, RequestStatus())

    def as_mode(self, mode: VdpMode, status: Status, filter_info: FilterInfo | None = None) -> Association:
        """The same VSI in a TLV of another type."""
        tlv_class = ASSOCIATIONS[mode]
        return tlv_class(status, self.type_id, self.version, self.vsi_id, filter_info or self.filter_info)


class PreAssociate(Association):
    """Check that the type exists and the filter is acceptable; no traffic is forwarded."""

    __slots__ = ()
    MODE = VdpMode.PREASSOCIATE
    TYPE = int(MODE)


class PreAssociateRR(Association):
    """Pre-Associate, and reserve the resources that Associate will need."""

    __slots__ = ()
    MODE = VdpMode.PREASSOCIATE_RR
    TYPE = int(MODE)


class Associate(Association):
    """Forward the VSI's traffic under its type's policy."""

    __slots__ = ()
    MODE = VdpMode.ASSOCIATE
    TYPE = int(MODE)


class DeAssociate(Association):
    """End of the association; sent by a bridge without the ACK bit: the bridge has ended it."""

    __slots__ = ()
    MODE = VdpMode.DEASSOCIATE
    TYPE = int(MODE)


#: TLV type -> class.
ASSOCIATIONS: dict[int, type[Association]] = {
    tlv_class.TYPE: tlv_class for tlv_class in (PreAssociate, PreAssociateRR, Associate, DeAssociate)
}


@dataclass(frozen=True, slots=True)
class MalformedAssociation:
    """An association TLV that has its fixed 25 octets but an invalid format or length.

    Attributes:
        mode: its request type.
        octets: its value as received.
        reason: the fault, for a log line; not part of the comparison.
    """

    mode: VdpMode
    octets: bytes
    reason: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.octets) < FIXED_PART:
            raise ValueError(f"{len(self.octets)} octets are less than the fixed part of an association TLV")
        check_tlv(self.mode, len(self.octets))

    @property
    def status(self) -> Status:
        return STATUS[self.octets[0]]

    @property
    def length_wrapped(self) -> bool:
        """True if the count exceeds one TLV: the 9-bit length has wrapped, the octets behind are not framed."""
        code, count = self.octets[_COUNT_AT - 1], int.from_bytes(self.octets[_COUNT_AT:FIXED_PART])
        return code in ENTRY_FORMATS and count > max_entries(code)

    def encode(self) -> bytes:
        """The TLV with its header, as received."""
        return encode_tlv(self.mode, self.octets)

    def answer(self) -> MalformedAssociation:
        """The response "invalid format": the octets as received, without entries if those were cut off."""
        octets = self.octets[1:_COUNT_AT] + bytes(2) if self.length_wrapped else self.octets[1:]
        status = ResponseStatus(VdpError.INVALID_FORMAT).encode()
        return MalformedAssociation(self.mode, bytes((status,)) + octets, self.reason)


def decode_association(mode: VdpMode, value: bytes) -> Association:
    """Read the value of an association TLV.

    Raises:
        WireError: unknown VSIID or filter info format, or a length that does not fit the entries.
    """
    fields = _decode_vsi(b"\0" + value[1:] if value else b"")
    return ASSOCIATIONS[mode](STATUS[value[0]], *fields)


@lru_cache(_VSIS)
def _decode_vsi(value: bytes) -> tuple[int, int, VsiId, FilterInfo]:
    """Read the type, the version, the VSIID and the filter of an association TLV whose status is 0."""
    with Cursor(value) as cursor:
        type_id, version, code, octets = cursor.unpack(_HEAD, "association TLV")
        vsi_id_format = VSI_ID_FORMATS.get(code)
        if vsi_id_format is None:
            raise cursor.error(f"unknown VSIID format {code}", "VSIID format", back=17)
        filter_info = FilterInfo.decode(cursor)
    return type_id, version, VsiId(vsi_id_format, octets), filter_info
