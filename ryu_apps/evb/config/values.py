"""Values of evbridge.yaml as annotated types: addresses, names, VIDs, GroupIDs, URLs."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.config.group_ids import group_range
from ryu_apps.evb.flow.match import GROUP_BIT
from ryu_apps.evb.policy.address_set import is_reference
from ryu_apps.evb.policy.fields import full_mask, parse_field
from ryu_apps.evb.topology.station_limits import limit_pattern
from ryu_apps.evb.wire.mac import mac_from_text

StageOnText = Literal["preassociate", "preassociate_rr"]
TakeoverText = Literal["announced", "reserved", "any"]
StationText = Literal["evb", "libvirt", "auto"]
RelayText = Literal["agreed", "always", "never"]
#: Port numbers have 16 bits in metadata; OpenFlow reserves the highest.
MAX_PORT = 0xFEFF


def _mac(written: object) -> int:
    if not isinstance(written, str):
        raise ValueError("a MAC address was expected, such as '02:00:00:00:0f:01'")
    mac = mac_from_text(written)
    if mac & GROUP_BIT or mac == 0:
        raise ValueError(f"{written} is not the address of an end system")
    return mac


MacText = Annotated[int, PlainValidator(_mac), WithJsonSchema({"type": "string"})]


def _ip(written: object) -> IPv4Address | IPv6Address:
    if is_reference(written):
        raise ValueError(f"the set {written} may stand in rules of VSI types only")
    if not isinstance(written, str):
        raise ValueError("an IP address was expected, such as '10.0.100.200'")
    address = ip_address(written)
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"{written} is not the address of an end system")
    return address


def _transport_port(written: object) -> int:
    block, *more = parse_field("tcp_dst", written)
    if more or block.mask != full_mask("tcp_dst") or not block.value:
        raise ValueError("one port was expected")
    return block.value


IpAddressText = Annotated[IPv4Address | IPv6Address, PlainValidator(_ip), WithJsonSchema({"type": "string"})]
#: A port of TCP or UDP: a number or a name.
TransportPort = Annotated[int, PlainValidator(_transport_port), WithJsonSchema({"type": ["string", "integer"]})]
VlanId = Annotated[int, Field(ge=1, le=4094)]
PortNo = Annotated[int, Field(ge=1, le=MAX_PORT)]
_REMOTE = re.compile(r"(tcp|ssl):([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}|unix:/[^,]{1,100}")
#: kbit/s, as OpenFlow has the speed of a port.
Speed = Annotated[int, Field(ge=1, le=0xFFFFFFFF)]
#: A name that is a segment of a URL without escaping.
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ShortName = Annotated[str, Field(min_length=1, max_length=64)]
#: A name or address by which a client finds this machine, without a port.
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9:._-]{1,253}$")]
#: Patterns of what a station may request.
Limit = Annotated[list[Annotated[str, AfterValidator(limit_pattern)]], Field(min_length=1, max_length=1000)]
FileName = Annotated[str, Field(min_length=1)]
Exponent = Annotated[int, Field(ge=0, le=31)]


def _group_ids(written: object) -> str | int:
    """The key as written, so that a diagnostic finds it in the file."""
    if isinstance(written, bool) or not isinstance(written, str | int):
        raise ValueError("a GroupID or a range was expected, such as 1000 or 5000-5999")
    group_range(written)
    return written


WrittenGroupIds = Annotated[str | int, PlainValidator(_group_ids), WithJsonSchema({"type": ["string", "integer"]})]
#: GroupIDs -> VID; of a range, that of its first group, and the others follow.
GroupsWritten = Annotated[dict[WrittenGroupIds, VlanId], Field(max_length=4094)]


def _url(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("a URL was expected, such as 'https://vsi.example.net/types/'")
    parts = urlsplit(written)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{written!r} is not a URL of http or https with a host")
    if not written.isascii() or not written.isprintable() or " " in written or (parts.port or 1) < 1:
        raise ValueError(f"{written!r} is not a URL")
    if parts.username is not None or "?" in written or "#" in written:
        raise ValueError("the URL of a VSI manager must not have a user, a query or a fragment")
    return written if written.endswith("/") else f"{written}/"


Url = Annotated[str, PlainValidator(_url), WithJsonSchema({"type": "string"})]


def _remote(written: object) -> str:
    """A server of OVSDB; a comma would begin another one."""
    if not isinstance(written, str) or not _REMOTE.fullmatch(written):
        raise ValueError(
            "a server was expected, such as 'tcp:10.0.0.1:6641', 'ssl:[2001:db8::1]:6641' or 'unix:/run/evb.sock'"
        )
    if not written.startswith("unix:") and not 1 <= int(written.rpartition(":")[2]) <= 0xFFFF:
        raise ValueError(f"{written}: ports are 1 to 65535")
    return written


Remote = Annotated[str, PlainValidator(_remote), WithJsonSchema({"type": "string"})]
