"""The EVB TLV (802.1Q D.2.12): capabilities of bridge and station and the timers they propose.

Each side writes its own half and copies the other's; the agreement is made in ``protocol.evb``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Self

from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError

_LAYOUT = Struct("!4sBBBBB")
_ROL = 0x20


class EvbMode(IntEnum):
    """Role of the sender."""

    NOT_SUPPORTED = 0
    BRIDGE = 1
    STATION = 2
    RESERVED = 3


_MODES = tuple(EvbMode)


class RrStatus(IntEnum):
    """RRSTAT: reflective relay as the station has learned it from the bridge."""

    INACTIVE = 0
    ACTIVE = 1
    RESERVED = 2
    UNKNOWN = 3
    """No EVB TLV of the bridge received yet."""


_RRSTATS = tuple(RrStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvbTlv:
    """One EVB TLV.

    Attributes:
        bgid: bridge supports group ids.
        rrcap: bridge supports reflective relay.
        rrctr: bridge has switched it on at this port.
        sgid: station supports group ids.
        rrreq: station asks for reflective relay.
        rrstat: reflective relay as the station has learned it.
        r: ECP retries, 0..7.
        rte: ECP acknowledge timer exponent, 0..31 (as rwd and rka: 10 us * 2^n).
        mode: role of the sender.
        rol_rwd, rol_rka: the operational value came from the peer ("remote or local").
        rwd: resource wait delay exponent.
        rka: reinit keep alive exponent.
        bridge_reserved, station_reserved, rka_reserved: the reserved upper 5, 4 and 2 bits.
    """

    IDENTITY: ClassVar[bytes] = b"\x00\x80\xc2\x0d"

    mode: EvbMode
    r: int
    rte: int
    rwd: int
    rka: int
    bgid: bool = False
    rrcap: bool = False
    rrctr: bool = False
    sgid: bool = False
    rrreq: bool = False
    rrstat: RrStatus = RrStatus.INACTIVE
    rol_rwd: bool = False
    rol_rka: bool = False
    bridge_reserved: int = 0
    station_reserved: int = 0
    rka_reserved: int = 0

    def __post_init__(self) -> None:
        for name, limit in (("r", 7), ("rte", 31), ("rwd", 31), ("rka", 31)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} is {getattr(self, name)}, not 0..{limit}")
        if not (0 <= self.bridge_reserved < 32 and 0 <= self.station_reserved < 16 and 0 <= self.rka_reserved < 4):
            raise ValueError("reserved bits out of range")

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read the value of the LLDP TLV, OUI and subtype included.

        Raises:
            WireError: not exactly 9 octets, or not the EVB TLV.
        """
        with Cursor(value) as cursor:
            identity, bridge, station, retries, mode, keep_alive = cursor.unpack(_LAYOUT, "EVB TLV")
        if identity != cls.IDENTITY:
            raise WireError(f"{identity.hex()} is not the EVB TLV", field="OUI and subtype")
        return cls(
            bridge_reserved=bridge >> 3, bgid=bool(bridge & 4), rrcap=bool(bridge & 2), rrctr=bool(bridge & 1),
            station_reserved=station >> 4, sgid=bool(station & 8), rrreq=bool(station & 4),
            rrstat=_RRSTATS[station & 3],
            r=retries >> 5, rte=retries & 31,
            mode=_MODES[mode >> 6], rol_rwd=bool(mode & _ROL), rwd=mode & 31,
            rka_reserved=keep_alive >> 6, rol_rka=bool(keep_alive & _ROL), rka=keep_alive & 31,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The 9 octets of the value."""
        return _LAYOUT.pack(
            self.IDENTITY,
            self.bridge_reserved << 3 | self.bgid << 2 | self.rrcap << 1 | self.rrctr,
            self.station_reserved << 4 | self.sgid << 3 | self.rrreq << 2 | self.rrstat,
            self.r << 5 | self.rte,
            self.mode << 6 | self.rol_rwd << 5 | self.rwd,
            self.rka_reserved << 6 | self.rol_rka << 5 | self.rka,
        )
