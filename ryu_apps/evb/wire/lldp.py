"""LLDP data units (802.1AB clause 8) as EVB needs them: chassis id, port id, time to live, the EVB TLV.

All other TLVs are kept as received.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.evb_tlv import EvbTlv
from ryu_apps.evb.wire.tlv import ORGANIZATIONAL, at_end, check_tlv, encode_tlv, pull_tlv

CHASSIS_MAC, CHASSIS_LOCAL = 4, 7
PORT_COMPONENT, PORT_INTERFACE_NAME = 2, 5
#: Chassis id of a switch by its datapath id, as in the LLDPDUs of Ryu's topology discovery.
_DPID = re.compile(rb"dpid:([0-9a-f]{16})\Z")


@dataclass(frozen=True, slots=True)
class _Identifier:
    """A subtype, 8 bits, and a value, 1 to 255 octets."""

    TYPE: ClassVar[int]

    subtype: int
    octets: bytes

    def __post_init__(self) -> None:
        if not (0 <= self.subtype <= 0xFF and 1 <= len(self.octets) <= 255):
            raise ValueError(f"identifier out of range: subtype {self.subtype}, {len(self.octets)} octets")

    @classmethod
    def of_value(cls, value: bytes) -> Self:
        """From the value of a TLV; ValueError if it is too short or too long."""
        return cls(int.from_bytes(value[:1]), value[1:])

    def encode(self) -> bytes:
        return encode_tlv(self.TYPE, bytes((self.subtype,)) + self.octets)


class ChassisId(_Identifier):
    """Identifier of the sending system."""

    __slots__ = ()
    TYPE = 1

    @classmethod
    def of_mac(cls, mac: int) -> Self:
        return cls(CHASSIS_MAC, mac.to_bytes(6))


class LldpPortId(_Identifier):
    """Identifier of the sending port."""

    __slots__ = ()
    TYPE = 2

    @classmethod
    def of_name(cls, name: str) -> Self:
        return cls(PORT_INTERFACE_NAME, name.encode())


@dataclass(frozen=True, slots=True)
class Ttl:
    """Validity of the sender's information in seconds, 16 bits; 0 is a shutdown."""

    TYPE: ClassVar[int] = 3

    seconds: int

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= 0xFFFF:
            raise ValueError(f"time to live of {self.seconds} s is out of range")

    @classmethod
    def of_value(cls, value: bytes) -> Self:
        """From the value of a TLV; ValueError unless it has two octets."""
        if len(value) != 2:
            raise ValueError(f"{len(value)} octets of time to live instead of 2")
        return cls(int.from_bytes(value))

    def encode(self) -> bytes:
        return encode_tlv(self.TYPE, self.seconds.to_bytes(2))


@dataclass(frozen=True, slots=True)
class OtherTlv:
    """Any TLV that EVB does not use."""

    type: int
    value: bytes

    def __post_init__(self) -> None:
        check_tlv(self.type, len(self.value))

    def encode(self) -> bytes:
        return encode_tlv(self.type, self.value)


@dataclass(frozen=True, slots=True)
class EndOfLldpdu:
    """The last TLV, with the padding of the frame behind it."""

    octets: bytes = b"\0\0"

    def encode(self) -> bytes:
        return self.octets


LldpTlv = ChassisId | LldpPortId | Ttl | EvbTlv | OtherTlv | EndOfLldpdu


@dataclass(frozen=True, slots=True)
class Lldpdu:
    """An LLDPDU: chassis id, port id and time to live first, in this order."""

    tlvs: tuple[LldpTlv, ...]

    def __post_init__(self) -> None:
        if tuple(map(type, self.tlvs[:3])) != (ChassisId, LldpPortId, Ttl):
            raise ValueError("an LLDPDU begins with chassis id, port id and time to live")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload of an Ethernet frame of ethertype 0x88CC.

        Raises:
            WireError: a TLV is cut off, the three mandatory TLVs are not the first, or a TLV that is
                decoded here has a wrong length.
        """
        cursor = Cursor(data)
        tlvs: list[LldpTlv] = []
        while not at_end(cursor):
            tlvs.append(_pull(cursor))
        if cursor.remaining:
            tlvs.append(EndOfLldpdu(cursor.rest()))
        try:
            return cls(tuple(tlvs))
        except ValueError as error:
            raise WireError(str(error), field="LLDPDU") from error

    def encode(self) -> bytes:
        return b"".join([_encode(tlv) for tlv in self.tlvs])

    @property
    def neighbour(self) -> tuple[LldpTlv, LldpTlv]:
        """Chassis id and port id: a change means another sender."""
        return self.tlvs[0], self.tlvs[1]

    @property
    def ttl(self) -> int:
        """Seconds; 0 is a shutdown."""
        return next(tlv.seconds for tlv in self.tlvs if isinstance(tlv, Ttl))

    @property
    def evb(self) -> EvbTlv | None:
        """The EVB TLV, the first one if there are several."""
        return next((tlv for tlv in self.tlvs if isinstance(tlv, EvbTlv)), None)


def bridge_lldpdu(mac: int, port_name: str, ttl: int, evb: EvbTlv | None) -> Lldpdu:
    """The LLDPDU of a bridge port; with ``ttl`` 0 and without ``evb`` it is a shutdown."""
    optional = () if evb is None else (evb,)
    return Lldpdu((ChassisId.of_mac(mac), LldpPortId.of_name(port_name), Ttl(ttl), *optional, EndOfLldpdu()))


def switch_lldpdu(dpid: int, port_no: int, ttl: int) -> Lldpdu:
    """The LLDPDU of a trunk port: datapath id and port number, encoded as Ryu's topology discovery does."""
    chassis = ChassisId(CHASSIS_LOCAL, f"dpid:{dpid:016x}".encode())
    return Lldpdu((chassis, LldpPortId(PORT_COMPONENT, port_no.to_bytes(4)), Ttl(ttl), EndOfLldpdu()))


def switch_port(lldpdu: Lldpdu) -> tuple[int, int] | None:
    """Datapath id and port number out of the LLDPDU of :func:`switch_lldpdu`; None for any other sender."""
    chassis, port = lldpdu.neighbour
    if not (isinstance(chassis, ChassisId) and isinstance(port, LldpPortId)):
        return None
    found = _DPID.match(chassis.octets)
    if found is None or chassis.subtype != CHASSIS_LOCAL or port.subtype != PORT_COMPONENT or len(port.octets) != 4:
        return None
    return int(found[1], 16), int.from_bytes(port.octets)


def _pull(cursor: Cursor) -> LldpTlv:
    tlv_type, value = pull_tlv(cursor)
    if tlv_type == ORGANIZATIONAL and value.startswith(EvbTlv.IDENTITY):
        return EvbTlv.decode(value)
    try:
        match tlv_type:
            case ChassisId.TYPE:
                return ChassisId.of_value(value)
            case LldpPortId.TYPE:
                return LldpPortId.of_value(value)
            case Ttl.TYPE:
                return Ttl.of_value(value)
    except ValueError as error:
        raise cursor.error(str(error), "TLV value", back=len(value)) from error
    return OtherTlv(tlv_type, value)


def _encode(tlv: LldpTlv) -> bytes:
    octets = tlv.encode()
    return encode_tlv(ORGANIZATIONAL, octets) if isinstance(tlv, EvbTlv) else octets
