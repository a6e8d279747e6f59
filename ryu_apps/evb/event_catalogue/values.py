"""JSON form of the values in log events."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import UnionType
from typing import Any, NamedTuple, NewType, Union, get_args, get_origin

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text
from ryu_apps.evb.wire.status import STATUS, ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode

#: A MAC address, as a 48-bit integer.
MacAddress = NewType("MacAddress", int)


class AlarmSeverity(Enum):
    """Severity of an alarm."""

    CRITICAL = "critical"
    """VMs have no network or a wrong one, or will have after the next restart."""
    WARNING = "warning"
    """No VM has lost its network."""


class JsonCodec(NamedTuple):
    """Conversion of the values of one type to JSON and back.

    Attributes:
        name: description of the JSON form, for the manual.
    """

    name: str
    encode: Callable[[Any], object]
    decode: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def port_from_text(text: str) -> PortId:
    """``"0000000000000001:2"`` -> port 2 of switch 1.

    Raises:
        ValueError: not a datapath id in hexadecimal and a port number.
    """
    dpid, _, port_no = text.partition(":")
    return PortId(int(dpid, 16), int(port_no))


def _type_from_text(text: str) -> VsiTypeKey:
    type_id, _, version = text.partition("/")
    return VsiTypeKey(int(type_id), int(version))


_CODECS: dict[object, JsonCodec] = {
    bool: JsonCodec("true or false", _same, _same),
    int: JsonCodec("integer", _same, _same),
    float: JsonCodec("number", _same, _same),
    str: JsonCodec("text", _same, _same),
    list[str]: JsonCodec("array of texts", _same, _same),
    tuple[str, ...]: JsonCodec("array of texts", _same, tuple),
    dict[str, int]: JsonCodec("object of integers", _same, _same),
    PortId: JsonCodec("dpid:port", str, port_from_text),
    tuple[PortId, ...]: JsonCodec(
        "array of dpid:port",
        lambda ports: [str(port) for port in ports],
        lambda texts: tuple(port_from_text(text) for text in texts),
    ),
    MacAddress: JsonCodec("MAC address", mac_to_text, lambda text: MacAddress(mac_from_text(text))),
    IPv4Address | IPv6Address: JsonCodec("IP address", str, ip_address),
    VsiTypeKey: JsonCodec("type/version", str, _type_from_text),
    VdpMode: JsonCodec("VDP mode", lambda mode: mode.name, VdpMode.__getitem__),
    VdpError: JsonCodec("VDP error", lambda error: error.name, VdpError.__getitem__),
    ResponseStatus: JsonCodec(
        "status octet, 0x40", lambda status: f"{status.encode():#04x}", lambda text: STATUS[int(text, 16)]
    ),
    AlarmSeverity: JsonCodec("severity", lambda severity: severity.value, AlarmSeverity),
}


def codec_of(hint: object) -> JsonCodec:
    """Return the codec for a type hint; ``X | None`` is that of X with null.

    Raises:
        TypeError: values of this type have no JSON form.
    """
    if (codec := _CODECS.get(hint)) is not None:
        return codec
    parts = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) not in (Union, UnionType) or len(parts) != 1:
        raise TypeError(f"values of type {hint} have no JSON form")
    name, encode, decode = codec_of(parts[0])
    return JsonCodec(
        f"{name} or null",
        lambda value: None if value is None else encode(value),
        lambda value: None if value is None else decode(value),
    )
