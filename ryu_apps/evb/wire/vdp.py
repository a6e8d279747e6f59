"""VDP protocol data units: the payload of an ECPDU of subtype 1 (802.1Q clause 41).

One VSI Manager ID TLV, then association TLVs, each followed by the organizationally defined TLVs that belong
to it.  Unknown TLVs are kept, so that every PDU that decodes encodes to the same octets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from ryu_apps.evb.wire.association import (
    ASSOCIATIONS,
    Associate,
    Association,
    DeAssociate,
    MalformedAssociation,
    PreAssociate,
    PreAssociateRR,
    VdpMode,
    decode_association,
)
from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP
from ryu_apps.evb.wire.filter_info import FIXED_PART
from ryu_apps.evb.wire.status import RequestStatus, ResponseStatus, Status, VdpError
from ryu_apps.evb.wire.tlv import END, END_TLV, ORGANIZATIONAL, at_end, check_tlv, encode_tlv, pull_tlv

__all__ = [
    "Associate",
    "Association",
    "DeAssociate",
    "Identity",
    "MalformedAssociation",
    "ManagerId",
    "OrganizationalTlv",
    "PreAssociate",
    "PreAssociateRR",
    "RequestStatus",
    "ResponseStatus",
    "Status",
    "UnknownTlv",
    "VdpError",
    "VdpMode",
    "VdpPdu",
    "VdpTlv",
    "identity_of",
    "requests_in",
]

_MANAGER_ID = 5
#: Of an untagged Ethernet frame: place of its type, the type of ECP, offset of the first TLV behind the ECP header.
_ETHERTYPE, _ECP, _FIRST_TLV = slice(12, 14), ETHERTYPE_ECP.to_bytes(2), 18
_MODES = {int(mode): mode for mode in VdpMode}


@dataclass(frozen=True, slots=True)
class ManagerId:
    """The VSI manager that owns the VSI types: 16 octets to copy to responses, all zero for the bridge's default."""

    octets: bytes = bytes(16)

    def __post_init__(self) -> None:
        if len(self.octets) != 16:
            raise ValueError(f"a VSI Manager ID has 16 octets, not {len(self.octets)}")

    def encode(self) -> bytes:
        """The TLV with its header."""
        return encode_tlv(_MANAGER_ID, self.octets)


class Identity(NamedTuple):
    """The fields that identify a VSI to a station, beside its VSIID.

    The same VSIID with another type or manager is a second VSI to lldpad: it keeps both alive, and a response has
    to carry the fields of the right one.
    """

    manager_id: ManagerId
    type_id: int
    version: int
    filter_format: int


def identity_of(manager_id: ManagerId, asked: Association) -> Identity:
    """The identity of the VSI in an association TLV."""
    return Identity(manager_id, asked.type_id, asked.version, asked.filter_info.format)


@dataclass(frozen=True, slots=True)
class OrganizationalTlv:
    """An organizationally defined TLV: 24 bits of OUI and octets that the organization defines."""

    oui: int
    info: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.oui <= 0xFFFFFF:
            raise ValueError(f"{self.oui:#x} is not an OUI")
        check_tlv(ORGANIZATIONAL, 3 + len(self.info))

    def encode(self) -> bytes:
        """The TLV with its header."""
        return encode_tlv(ORGANIZATIONAL, self.oui.to_bytes(3) + self.info)


@dataclass(frozen=True, slots=True)
class UnknownTlv:
    """A TLV that is skipped and kept: of an undefined type, or too short for its type."""

    type: int
    value: bytes

    def __post_init__(self) -> None:
        if self.type in (END, _MANAGER_ID):
            raise ValueError(f"TLV type {self.type} has a class of its own")
        check_tlv(self.type, len(self.value))

    def encode(self) -> bytes:
        """The TLV with its header."""
        return encode_tlv(self.type, self.value)


VdpTlv = Association | MalformedAssociation | OrganizationalTlv | UnknownTlv


@dataclass(frozen=True, slots=True)
class VdpPdu:
    """One VDP data unit.

    Attributes:
        manager_id: the first TLV.
        tlvs: the others, in order.
        trailer: from the End TLV on, padding included.  PDUs built here always have an End TLV: without one
            lldpad parses on into octets of an earlier ECPDU in the same buffer.
    """

    manager_id: ManagerId
    tlvs: tuple[VdpTlv, ...] = ()
    trailer: bytes = END_TLV

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload of an ECPDU.

        Raises:
            WireError: a TLV is cut off, or the Manager ID TLV is missing, not first, or repeated.
        """
        cursor = Cursor(data)
        manager_id = _pull_manager_id(cursor)
        tlvs: list[VdpTlv] = []
        while not at_end(cursor):
            tlv = _pull_tlv(cursor)
            tlvs.append(tlv)
            if _length_wrapped(tlv):
                break
        return cls(manager_id, tuple(tlvs), cursor.rest())

    def encode(self) -> bytes:
        return b"".join([self.manager_id.encode(), *[tlv.encode() for tlv in self.tlvs], self.trailer])

    def associations(self) -> Iterator[tuple[Association, tuple[OrganizationalTlv, ...]]]:
        """Each well-formed association TLV with the organizational TLVs that follow it."""
        for place, tlv in enumerate(self.tlvs):
            if isinstance(tlv, Association):
                yield tlv, self._organizational_after(place)

    @property
    def malformed(self) -> tuple[MalformedAssociation, ...]:
        """The association TLVs to answer with "invalid format"."""
        return tuple(tlv for tlv in self.tlvs if isinstance(tlv, MalformedAssociation))

    def _organizational_after(self, place: int) -> tuple[OrganizationalTlv, ...]:
        found = []
        for tlv in self.tlvs[place + 1 :]:
            if isinstance(tlv, Association | MalformedAssociation):
                break
            if isinstance(tlv, OrganizationalTlv):
                found.append(tlv)
        return tuple(found)


def requests_in(frame: bytes) -> int:
    """Number of association requests in an Ethernet frame; 1 for any other frame.

    Reads only the headers of TLVs and does not validate them: the backlog of a port is counted before decoding.
    """
    if frame[_ETHERTYPE] != _ECP:
        return 1
    found, at, end = 0, _FIRST_TLV, len(frame) - 1
    while at < end and frame[at] >> 1 != END:
        found += frame[at] >> 1 in ASSOCIATIONS
        at += 2 + ((frame[at] & 1) << 8 | frame[at + 1])
    return max(found, 1)


def _pull_manager_id(cursor: Cursor) -> ManagerId:
    tlv_type, value = pull_tlv(cursor)
    if tlv_type != _MANAGER_ID:
        raise WireError(f"TLV type {tlv_type} in place of the VSI Manager ID", field="VSI Manager ID")
    if len(value) != 16:
        raise WireError(f"{len(value)} octets instead of 16", field="VSI Manager ID")
    return ManagerId(value)


def _pull_tlv(cursor: Cursor) -> VdpTlv:
    tlv_type, value = pull_tlv(cursor)
    if tlv_type == _MANAGER_ID:
        raise cursor.error("a second VSI Manager ID", "VSI Manager ID", back=len(value) + 2)
    if tlv_type == ORGANIZATIONAL and len(value) >= 3:
        return OrganizationalTlv(int.from_bytes(value[:3]), value[3:])
    if tlv_type not in ASSOCIATIONS or len(value) < FIXED_PART:
        return UnknownTlv(tlv_type, value)
    mode = _MODES[tlv_type]
    try:
        return decode_association(mode, value)
    except WireError as error:
        return MalformedAssociation(mode, value, str(error))


def _length_wrapped(tlv: VdpTlv) -> bool:
    """Test for a TLV whose 9-bit length was too small for its entries, so that no TLV follows.

    lldpad sends such TLVs for more than 60 MAC/VID entries.
    """
    if isinstance(tlv, MalformedAssociation):
        return tlv.length_wrapped
    return isinstance(tlv, UnknownTlv) and tlv.type in ASSOCIATIONS
