"""TLV of evbridge's own: the name of the VSI port behind which the VM of a VSI is.

A station at the switch of its own server sends it behind an association TLV.  Its OUI is that of locally administered
addresses of evbridge's bridge ports (02-EB-xx): no organization has it, and bridges that do not know it ignore it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.vdp import OrganizationalTlv

EVBRIDGE_OUI = 0x02EB00
_PORT_NAME = 0x01
_NAME = re.compile(rb"[A-Za-z0-9_.-]{0,15}\Z")


@dataclass(frozen=True, slots=True)
class PortName:
    """Subtype 01: the name of an interface, at most 15 letters, digits, ``_``, ``.`` and ``-``.

    Empty: the station will name it in a later request; the VM's tap does not exist yet.

    Raises:
        ValueError: another name.
    """

    name: str

    def __post_init__(self) -> None:
        if _NAME.match(self.name.encode("ascii", "replace")) is None:
            raise ValueError(f"{self.name!r} is no name of a port")

    def encode(self) -> OrganizationalTlv:
        """The TLV."""
        return OrganizationalTlv(EVBRIDGE_OUI, bytes((_PORT_NAME,)) + self.name.encode("ascii"))


def decode(tlv: OrganizationalTlv) -> PortName | None:
    """Decode a TLV; None for another organization or another subtype.

    Raises:
        WireError: not a name; offsets count from behind the OUI.
    """
    if tlv.oui != EVBRIDGE_OUI or not tlv.info:
        return None
    with Cursor(tlv.info) as cursor:
        subtype, octets = cursor.u8("subtype"), cursor.rest()
        if subtype != _PORT_NAME:
            return None
        if _NAME.match(octets) is None:
            raise cursor.error("a port has a name of at most 15 characters", "port name", back=len(octets))
    return PortName(octets.decode("ascii"))
