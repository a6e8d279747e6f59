"""Anti-spoofing: a VM speaks only for itself, and may always say where it is.

The Ethernet source is settled before: a gate admits a frame by port, VID and source address, so only
filters without a MAC address leave it open.  What is checked here is what the frame *says* inside:
IP sources, ARP senders, targets of neighbour advertisements.

Whose addresses?  Per IP version, the first of these that is known: the VSI's own addresses, the
networks of its type (an exhaustive list: a version it leaves out is not allowed at all), anything.
Link-local IPv6 is allowed as a whole unless one of the own addresses is link-local: today's systems
do not derive it from the MAC address (RFC 7217).

Announcements (RARP, gratuitous ARP and ARP probes, unsolicited advertisements and duplicate address
detection for own addresses) skip the ACL: peers find a moved VM even if its default is deny.

Rules that name no VSI's own addresses exist once a type; those of a VSI stand above them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from ipaddress import IPv4Address
from typing import NamedTuple

from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    type_metadata,
    vsi_metadata,
)
from ryu_apps.evb.policy.model import AntiSpoofing, VsiType
from ryu_apps.evb.services.base import DIRECT, Route, Service

ARP, RARP, IPV4, IPV6 = 0x0806, 0x8035, 0x0800, 0x86DD
UDP, ICMPV6 = 17, 58
ROUTER_SOLICITATION, SOLICITATION, ADVERTISEMENT, MLD2_REPORT = 133, 135, 136, 143
DHCP_CLIENT, DHCP_SERVER = 68, 67


class Rung(IntEnum):
    """Priorities of this table: first the closed door of a family, then what may pass it."""

    OPEN = Priority.DEFAULT
    """Frames that no rule checks."""
    TYPE = 10
    VSI = 20
    COMMON = 30
    """Frames of a VM that has no address yet."""
    ANNOUNCE = 40


#: Above the rung of their owner: addresses, then doors and addresses of neighbour discovery.
_SOURCE, _ND_CLOSED, _ND_ALLOWED = 1, 2, 3


class PermittedNet(NamedTuple):
    """Addresses as a value and a mask."""

    value: int
    mask: int


_ALL_4, _ALL_6 = (1 << 32) - 1, (1 << 128) - 1
_LINK_LOCAL = PermittedNet(0xFE80 << 112, 0x3FF << 118)

#: What a rule of this table says: priority, fields, next table (None: drop).
_Line = tuple[int, MatchFields, Table | None]


def _rules(lines: Iterable[_Line], scope: tuple[int, int], owner: int) -> Iterator[Rule]:
    for priority, fields, goto in lines:
        yield Rule(Table.ANTISPOOF, priority, match(metadata=scope, **fields), owner, goto=goto)


def _networks(vsi_type: VsiType, version: int) -> list[PermittedNet]:
    return [
        PermittedNet(int(network.network_address), int(network.netmask))
        for network in vsi_type.addresses
        if network.version == version
    ]


def _ipv4(rung: Rung, allowed: list[PermittedNet], checks: AntiSpoofing) -> Iterator[_Line]:
    if not checks.ip:
        return
    yield rung, {"eth_type": IPV4}, None
    for net in allowed:
        yield rung + _SOURCE, {"eth_type": IPV4, "ipv4_src": net}, Table.ACL_FROM


def _ipv6(
    rung: Rung, allowed: list[PermittedNet], own: Iterable[PermittedNet], checks: AntiSpoofing
) -> Iterator[_Line]:
    allowed = _with_link_local(allowed)
    if checks.ip:
        yield rung, {"eth_type": IPV6}, None
        for net in allowed:
            yield rung + _SOURCE, {"eth_type": IPV6, "ipv6_src": net}, Table.ACL_FROM
    if not checks.arp:
        if not checks.ip:
            return
        yield rung + _SOURCE, {**_icmpv6(SOLICITATION), "ipv6_src": 0}, Table.ACL_FROM
        return
    yield rung + _ND_CLOSED, _icmpv6(ADVERTISEMENT), None
    yield rung + _ND_CLOSED, {**_icmpv6(SOLICITATION), "ipv6_src": 0}, None
    for net in allowed:
        if checks.ip and net in own:
            continue  # all that may be said about it are announcements
        yield rung + _ND_ALLOWED, {**_detection(net)}, Table.ACL_FROM
        sources = _with_link_local([net]) if checks.ip else [PermittedNet(0, 0)]
        for source in sources:
            yield rung + _ND_ALLOWED, {**_advertisement(net), "ipv6_src": source}, Table.ACL_FROM


def _arp(vsi_type: VsiType, binding: VsiBinding, own: list[PermittedNet]) -> Iterator[_Line]:
    senders: list[MatchFields] = [{}]
    if own or vsi_type.addresses:
        allowed = own or _networks(vsi_type, 4)
        senders = [{"arp_spa": net} for net in allowed]
        senders += [{"arp_spa": 0, "arp_tpa": net} for net in allowed]
    for hardware in _hardware(binding) if vsi_type.anti_spoofing.mac else [{}]:
        for sender in senders:
            yield Rung.VSI, {"eth_type": ARP, **hardware, **sender}, Table.ACL_FROM


def _announcements(
    binding: VsiBinding, own_4: list[PermittedNet], own_6: list[PermittedNet], following: Table
) -> Iterator[_Line]:
    for hardware in _hardware(binding):
        for own in own_4:
            about = {"eth_type": ARP, **hardware, "arp_tpa": own}
            yield Rung.ANNOUNCE, {**about, "arp_spa": own}, following
            yield Rung.ANNOUNCE, {**about, "arp_spa": 0}, following
    for own in own_6:
        yield Rung.ANNOUNCE, {**_detection(own)}, following
        for source in _with_link_local([own]):
            yield Rung.ANNOUNCE, {**_advertisement(own), "ipv6_src": source}, following


def _without_address() -> Iterator[_Line]:
    """A VM that is about to get an address: DHCP (RFC 2131), router solicitation, MLD (RFC 3590)."""
    dhcp: MatchFields = {"eth_type": IPV4, "ip_proto": UDP, "ipv4_src": 0, "ipv4_dst": _ALL_4}
    yield Rung.COMMON, {**dhcp, "udp_src": DHCP_CLIENT, "udp_dst": DHCP_SERVER}, Table.ACL_FROM
    for kind in (ROUTER_SOLICITATION, MLD2_REPORT):
        yield Rung.COMMON, {**_icmpv6(kind), "ipv6_src": 0}, Table.ACL_FROM


def _hardware(binding: VsiBinding) -> list[MatchFields]:
    """The hardware addresses ARP may carry; anything if the filter leaves a VID's addresses open."""
    if any(vid_mac.mac is None for vid_mac in binding.bindings):
        return [{}]
    return [{"arp_sha": mac} for mac in binding.macs]


def _with_link_local(nets: list[PermittedNet]) -> list[PermittedNet]:
    known = any(net.value & _LINK_LOCAL.mask == _LINK_LOCAL.value for net in nets)
    return nets if known else [*nets, _LINK_LOCAL]


def _icmpv6(kind: int) -> MatchFields:
    return {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": kind}


def _advertisement(target: PermittedNet) -> MatchFields:
    return {**_icmpv6(ADVERTISEMENT), "ipv6_nd_target": target}


def _detection(target: PermittedNet) -> MatchFields:
    """Duplicate address detection (RFC 4862 5.4.2): a solicitation from the unspecified address."""
    return {**_icmpv6(SOLICITATION), "ipv6_src": 0, "ipv6_nd_target": target}


class AntiSpoofingService(Service):
    """Checks of what a VM says of itself inside its frames."""

    name = "anti_spoofing"
    plain = True

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        checks = vsi_type.anti_spoofing
        lines: list[_Line] = [
            (Rung.OPEN, {}, Table.ACL_FROM),
            (Rung.TYPE, {"eth_type": RARP}, route.past_services),
        ]
        if checks.arp:
            lines.append((Rung.TYPE, {"eth_type": ARP}, None))
        if vsi_type.addresses:
            lines += _ipv4(Rung.TYPE, _networks(vsi_type, 4), checks)
            lines += _ipv6(Rung.TYPE, _networks(vsi_type, 6), (), checks)
        if checks.ip:
            lines += _without_address()
        return _rules(lines, type_metadata(epoch, Direction.FROM_VM), cookie(CookieKind.TYPE_BODY, epoch))

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        checks = vsi_type.anti_spoofing
        own_4 = [
            PermittedNet(int(address), _ALL_4) for address in binding.addresses if isinstance(address, IPv4Address)
        ]
        own_6 = [
            PermittedNet(int(address), _ALL_6) for address in binding.addresses if not isinstance(address, IPv4Address)
        ]
        lines: list[_Line] = [*_announcements(binding, own_4, own_6, route.past_services)]
        if checks.arp:
            lines += _arp(vsi_type, binding, own_4)
        if own_4:
            lines += _ipv4(Rung.VSI, own_4, checks)
        if own_6:
            lines += _ipv6(Rung.VSI, own_6, own_6, checks)
        scope = vsi_metadata(binding.vsi_index, Direction.FROM_VM)
        return _rules(lines, scope, cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation))


ANTI_SPOOFING = AntiSpoofingService()
