"""Edge Control Protocol data units (802.1Q clause 43): four octets that make VDP reliable.

Encoding and decoding only; acknowledgement, retransmission and pacing are in ``protocol.ecp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Self

from ryu_apps.evb.wire.cursor import Cursor

ECP_VERSION = 1
SUBTYPE_VDP = 1
#: Port extender control and status protocol (802.1BR); not implemented.
SUBTYPE_PE_CSP = 2

_HEADER = Struct("!HH")


class EcpOp(IntEnum):
    """Operation of an ECPDU; the two other codes of the field are undefined."""

    REQUEST = 0
    ACK = 1


_OPS = {int(op): op for op in EcpOp}


@dataclass(frozen=True, slots=True)
class Ecpdu:
    """One ECPDU.

    Attributes:
        op: request or acknowledgement.
        subtype: upper-layer protocol, 10 bits.
        sequence: 16 bits.
        payload: the upper layer's data unit; behind an acknowledgement only padding.
        version: 4 bits; a receiver ignores ECPDUs of other versions than 1.
    """

    op: EcpOp
    subtype: int
    sequence: int
    payload: bytes = b""
    version: int = ECP_VERSION

    def __post_init__(self) -> None:
        if not (0 <= self.version <= 0xF and 0 <= self.subtype <= 0x3FF and 0 <= self.sequence <= 0xFFFF):
            raise ValueError(f"ECP header out of range: {self.version} {self.subtype} {self.sequence}")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload of an Ethernet frame of ethertype 0x8940.

        Raises:
            WireError: less than a header, or an operation that does not exist.
        """
        cursor = Cursor(data)
        word, sequence = cursor.unpack(_HEADER, "ECP header")
        op = _OPS.get(word >> 10 & 3)
        if op is None:
            raise cursor.error(f"unknown ECP operation {word >> 10 & 3}", "operation", back=_HEADER.size)
        return cls(op, word & 0x3FF, sequence, cursor.rest(), word >> 12)

    def encode(self) -> bytes:
        word = self.version << 12 | self.op << 10 | self.subtype
        return _HEADER.pack(word, self.sequence) + self.payload

    def acknowledgement(self) -> Ecpdu:
        """The ACK of this request: version, subtype and sequence number repeated, no payload."""
        return Ecpdu(EcpOp.ACK, self.subtype, self.sequence, b"", self.version)
