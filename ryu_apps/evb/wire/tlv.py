"""The TLV header that LLDP (802.1AB 8.4) and VDP (802.1Q 41.2) share: 7 bits of type, 9 of length."""

from __future__ import annotations

from ryu_apps.evb.wire.cursor import Cursor

END, ORGANIZATIONAL = 0, 127
MAX_VALUE = 511
END_TLV = b"\0\0"


def pull_tlv(cursor: Cursor) -> tuple[int, bytes]:
    """Read one TLV as ``(type, value)``.

    Raises:
        WireError: the header or the value is cut off.
    """
    header = cursor.u16("TLV header")
    return header >> 9, cursor.take(header & MAX_VALUE, "TLV value")


def encode_tlv(tlv_type: int, value: bytes) -> bytes:
    """One TLV.

    Raises:
        ValueError: type above 127 or value above 511 octets.
    """
    check_tlv(tlv_type, len(value))
    return (tlv_type << 9 | len(value)).to_bytes(2) + value


def check_tlv(tlv_type: int, length: int) -> None:
    """Raise ValueError unless such a TLV can be encoded; called by constructors."""
    if not 0 <= tlv_type <= ORGANIZATIONAL or length > MAX_VALUE:
        raise ValueError(f"no TLV of type {tlv_type} holds {length} octets")


def at_end(cursor: Cursor) -> bool:
    """Test for the end of the TLVs: no octet left, an End TLV, or one octet of padding."""
    ahead = cursor.peek(2)
    if len(ahead) < 2:
        return ahead in (b"", b"\0")
    return ahead[0] >> 1 == END
