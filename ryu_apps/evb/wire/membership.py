"""A group membership message in its frame: Ethernet, an optional VLAN tag, IP with Router Alert, IGMP or MLD."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import Frame
from ryu_apps.evb.wire.igmp import Igmp, decode_igmp
from ryu_apps.evb.wire.ip import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    PROTO_ICMPV6,
    PROTO_IGMP,
    ROUTER_ALERT_4,
    ROUTER_ALERT_6,
    IpAddress,
    Ipv4,
    Ipv6,
)
from ryu_apps.evb.wire.mld import Mld, decode_mld

ETHERTYPE_VLAN = 0x8100
_VID_MASK = 0xFFF
#: Precedence "internetwork control", which hosts and routers set in these messages.
_TOS = 0xC0

MembershipMessage = Igmp | Mld


@dataclass(frozen=True, slots=True)
class MembershipFrame:
    """One membership message in an Ethernet frame.

    Attributes:
        dst, src: 48-bit Ethernet addresses.
        tci: the 16 bits of the VLAN tag, None for an untagged frame.
        source, destination: IP addresses, of the version that the message belongs to.
    """

    dst: int
    src: int
    tci: int | None
    source: IpAddress
    destination: IpAddress
    message: MembershipMessage

    @property
    def vid(self) -> int | None:
        """The VLAN of the tag."""
        return None if self.tci is None else self.tci & _VID_MASK

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a frame.

        Raises:
            WireError: no membership message, or a damaged one; MLD that is not from the link (RFC 3810 5.1.14,
                5.2.13: hop limit 1, Router Alert, a link-local or unspecified source).
        """
        frame = Frame.decode(data)
        tci, ethertype, payload = None, frame.ethertype, frame.payload
        if ethertype == ETHERTYPE_VLAN:
            cursor = Cursor(payload)
            tci, ethertype, payload = cursor.u16("VLAN tag"), cursor.u16("ethertype"), cursor.rest()
        if ethertype == ETHERTYPE_IPV4:
            packet = Ipv4.decode(payload)
            if packet.protocol != PROTO_IGMP:
                raise WireError(f"IP protocol {packet.protocol}", field="protocol")
            return cls(frame.dst, frame.src, tci, packet.source, packet.destination, decode_igmp(packet.payload))
        if ethertype == ETHERTYPE_IPV6:
            return cls(frame.dst, frame.src, tci, *_mld(Ipv6.decode(payload)))
        raise WireError(f"ethertype {ethertype:#06x}", field="ethertype")

    def encode(self) -> bytes:
        ethertype, payload = self._packet()
        if self.tci is not None:
            ethertype, payload = ETHERTYPE_VLAN, self.tci.to_bytes(2) + ethertype.to_bytes(2) + payload
        return Frame(self.dst, self.src, ethertype, payload).encode(pad=True)

    def _packet(self) -> tuple[int, bytes]:
        source, destination = self.source, self.destination
        if isinstance(source, IPv4Address) and isinstance(destination, IPv4Address):
            assert isinstance(self.message, Igmp)
            octets = self.message.encode()
            packet = Ipv4(source, destination, PROTO_IGMP, octets, ROUTER_ALERT_4, _TOS)
            return ETHERTYPE_IPV4, packet.encode()
        assert isinstance(source, IPv6Address) and isinstance(destination, IPv6Address)
        assert isinstance(self.message, Mld)
        octets = self.message.encode(source, destination)
        return ETHERTYPE_IPV6, Ipv6(source, destination, PROTO_ICMPV6, octets, ROUTER_ALERT_6).encode()


def _mld(packet: Ipv6) -> tuple[IPv6Address, IPv6Address, Mld]:
    if packet.protocol != PROTO_ICMPV6:
        raise WireError(f"IP protocol {packet.protocol}", field="protocol")
    if packet.hop_limit != 1 or not packet.router_alert:
        raise WireError("MLD without hop limit 1 and Router Alert", field="IPv6 header")
    message = decode_mld(packet.payload, packet.source, packet.destination)
    unspecified = packet.source == mld.NO_GROUP and not is_query(message)
    if not (packet.source.is_link_local or unspecified):
        raise WireError(f"MLD from {packet.source}", field="IPv6 source")
    return packet.source, packet.destination, message


def is_query(message: MembershipMessage) -> bool:
    """True for a query, False for a report or a leave."""
    if isinstance(message, igmp.IgmpV1V2 | mld.MldV1):
        return message.type in (igmp.IgmpType.QUERY, mld.MldType.QUERY)
    return isinstance(message, igmp.Query3 | mld.Query2)


def group_mac(group: IpAddress) -> int:
    """Destination address of frames to a group (RFC 1112 6.4, RFC 2464 7); several groups share one address."""
    if isinstance(group, IPv4Address):
        return 0x01005E << 24 | int(group) & 0x7FFFFF
    return 0x3333 << 32 | int(group) & 0xFFFFFFFF
