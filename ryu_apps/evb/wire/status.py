"""The status octet of an association TLV: hints in a request, the result in a response (802.1Q 41.2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

_RESERVED, _ACK, _BIT5, _BIT4, _CODE = 0x80, 0x40, 0x20, 0x10, 0x0F


class VdpError(IntEnum):
    """Error types of a response; 6 to 15 are reserved.

    The standard has no code for an unknown VSI type: use OTHER_FAILURE with the hard bit.
    """

    SUCCESS = 0
    INVALID_FORMAT = 1
    INSUFFICIENT_RESOURCES = 2
    UNABLE_TO_CONTACT_VSI_MANAGER = 3
    OTHER_FAILURE = 4
    INVALID_VID_GROUP_MAC = 5


_ERRORS = {int(error): error for error in VdpError}


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Status octet without the ACK bit: a request, or a bridge's unsolicited De-Associate.

    Attributes:
        suspended: S, the VSI's user is suspended (the side it migrates from).
        migrating: M, the VSI's user is migrating (the side it migrates to).
        reason: 4 bits, meaningful in a De-Associate.
        reserved: bit 7.
    """

    suspended: bool = False
    migrating: bool = False
    reason: int = 0
    reserved: bool = False

    def __post_init__(self) -> None:
        _check_code(self.reason)

    def encode(self) -> int:
        return self.reserved * _RESERVED | self.suspended * _BIT5 | self.migrating * _BIT4 | self.reason


@dataclass(frozen=True, slots=True)
class ResponseStatus:
    """Status octet with the ACK bit.

    Attributes:
        error: a :class:`VdpError`, or a reserved code as a plain integer.
        hard: the same request will be refused again.
        keep: the request is refused, the previous state stays in force.
        reserved: bit 7.
    """

    error: int = VdpError.SUCCESS
    hard: bool = False
    keep: bool = False
    reserved: bool = False

    def __post_init__(self) -> None:
        _check_code(self.error)

    @property
    def success(self) -> bool:
        """True for error type 0, whatever the hard and keep bits are: stations decide by the error type alone."""
        return self.error == VdpError.SUCCESS

    def encode(self) -> int:
        return self.reserved * _RESERVED | _ACK | self.keep * _BIT5 | self.hard * _BIT4 | self.error


Status = RequestStatus | ResponseStatus


def _check_code(code: int) -> None:
    if not 0 <= code <= _CODE:
        raise ValueError(f"{code} does not fit the 4 bits of a status octet")


def _status(octet: int) -> Status:
    reserved, bit5, bit4 = bool(octet & _RESERVED), bool(octet & _BIT5), bool(octet & _BIT4)
    code = octet & _CODE
    if octet & _ACK:
        return ResponseStatus(_ERRORS.get(code, code), hard=bit4, keep=bit5, reserved=reserved)
    return RequestStatus(bit5, bit4, code, reserved)


#: Octet -> status.  There are only 256, all legal.
STATUS = tuple(_status(octet) for octet in range(256))
