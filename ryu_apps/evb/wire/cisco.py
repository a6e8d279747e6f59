"""Cisco's organizational TLVs (OUI 00-00-0C), which lldpad sends behind an association TLV.

They carry the VM's name and addresses.  REST shows them, anti-spoofing uses the addresses; an association
without them is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.vdp import OrganizationalTlv
from ryu_apps.evb.wire.vsi_id import VSI_ID_FORMATS, VsiId

CISCO_OUI = 0x00000C
_VM_NAME, _L3_ADDRESS = 0xF1, 0xF2
#: Address family numbers (IANA) and the octets of an address.
_AFI_SIZES = {1: 4, 2: 16}

_IDENTIFIER = Struct("!B16s")
#: TLVs whose content is kept as it was read: a station repeats them in each request.
_ADDRESSES = 1024


@dataclass(frozen=True, slots=True)
class VmName:
    """Subtype F1: the VM behind a VSI; the name is ASCII."""

    vsi_id: VsiId
    vm_id: VsiId
    name: str

    def encode(self) -> OrganizationalTlv:
        """The TLV; UnicodeEncodeError (a ValueError) if the name is not ASCII."""
        info = bytes((_VM_NAME,)) + _identifier(self.vsi_id) + _identifier(self.vm_id) + self.name.encode("ascii")
        return OrganizationalTlv(CISCO_OUI, info)


@dataclass(frozen=True, slots=True)
class L3Address:
    """Subtype F2: an IP address of the VM."""

    vsi_id: VsiId
    address: IPv4Address | IPv6Address

    def encode(self) -> OrganizationalTlv:
        afi = 1 if self.address.version == 4 else 2
        info = bytes((_L3_ADDRESS,)) + _identifier(self.vsi_id) + afi.to_bytes(2) + self.address.packed
        return OrganizationalTlv(CISCO_OUI, info)


@lru_cache(_ADDRESSES)
def decode(tlv: OrganizationalTlv) -> VmName | L3Address | None:
    """Decode a TLV; None for another organization or another subtype.

    Raises:
        WireError: a subtype decoded here with a wrong length, format or character; offsets count from
            behind the OUI.
    """
    if tlv.oui != CISCO_OUI or not tlv.info:
        return None
    with Cursor(tlv.info) as cursor:
        subtype = cursor.u8("subtype")
        if subtype == _VM_NAME:
            return VmName(_pull_identifier(cursor), _pull_identifier(cursor), _pull_name(cursor))
        if subtype == _L3_ADDRESS:
            return L3Address(_pull_identifier(cursor), _pull_address(cursor))
        cursor.rest()
    return None


def _identifier(value: VsiId) -> bytes:
    return _IDENTIFIER.pack(value.format, value.octets)


def _pull_identifier(cursor: Cursor) -> VsiId:
    code, octets = cursor.unpack(_IDENTIFIER, "VSIID")
    if code not in VSI_ID_FORMATS:
        raise cursor.error(f"unknown VSIID format {code}", "VSIID format", back=_IDENTIFIER.size)
    return VsiId(VSI_ID_FORMATS[code], octets)


def _pull_name(cursor: Cursor) -> str:
    octets = cursor.rest()
    if not octets.isascii():
        raise cursor.error("a VM name is ASCII", "VM name", back=len(octets))
    return octets.decode("ascii")


def _pull_address(cursor: Cursor) -> IPv4Address | IPv6Address:
    afi = cursor.u16("address family")
    if afi not in _AFI_SIZES:
        raise cursor.error(f"unknown address family {afi}", "address family", back=2)
    return ip_address(cursor.take(_AFI_SIZES[afi], "address"))
