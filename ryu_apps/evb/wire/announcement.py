"""Frames that announce an end station's new location to switches and hosts beyond the fabric.

The three frames that a hypervisor or a guest sends after a move: RARP, gratuitous ARP, unsolicited
neighbour advertisement.  Built here and never decoded: the bridge takes the location of a VSI from VDP,
not from announcements.  A neighbour solicitation has the same form.  The caller makes sure that the addresses are
unicast.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from ryu_apps.evb.wire.ethernet import Frame

BROADCAST = 0xFFFFFFFFFFFF
#: All nodes of a link, ff02::1, and its Ethernet address (RFC 2464 7).
ALL_NODES = IPv6Address("ff02::1")
_ALL_NODES_MAC = 0x333300000001

ETHERTYPE_ARP, ETHERTYPE_RARP, ETHERTYPE_IPV6 = 0x0806, 0x8035, 0x86DD
_REQUEST, _REQUEST_REVERSE = 1, 3
_ICMPV6, _SOLICITATION, _ADVERTISEMENT, _OVERRIDE = 58, 135, 136, 1 << 29
#: Options of RFC 4861 4.6.1.
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2

#: RFC 826: Ethernet, IPv4, lengths, operation; hardware and protocol address of sender and target.
ARP = Struct("!HHBBH6s4s6s4s")
#: RFC 8200 3: version, class and flow label; payload length, next header, hop limit.
_IPV6 = Struct("!IHBB16s16s")
#: RFC 8200 8.1: what the checksum covers before the payload.
_PSEUDO = Struct("!16s16sII")
#: RFC 4861 4.4 and 4.6.1: type, code, checksum, flags, target; option type, its length in 8 octets, address.
_NEIGHBOUR = Struct("!BBHI16sBB6s")


def reverse_arp(mac: int) -> Frame:
    """A RARP request (RFC 903) as QEMU sends it: sender and target are ``mac``, no protocol address."""
    own = mac.to_bytes(6)
    return Frame(BROADCAST, mac, ETHERTYPE_RARP, _arp(_REQUEST_REVERSE, own, bytes(4), own))


def gratuitous_arp(mac: int, address: IPv4Address) -> Frame:
    """An ARP request (RFC 826) for the sender's own address: the ARP announcement of RFC 5227 2.3."""
    return Frame(BROADCAST, mac, ETHERTYPE_ARP, _arp(_REQUEST, mac.to_bytes(6), address.packed, bytes(6)))


def neighbour_advertisement(mac: int, address: IPv6Address) -> Frame:
    """An unsolicited neighbour advertisement to all nodes (RFC 4861 7.2.6), override flag set.

    R and S flags clear; hop limit 255, without which receivers discard it (7.1.2).
    """
    told = _OVERRIDE, address.packed, _TARGET_LINK_LAYER, 1, mac.to_bytes(6)
    return Frame(_ALL_NODES_MAC, mac, ETHERTYPE_IPV6, _neighbour(_ADVERTISEMENT, address, ALL_NODES, told))


def neighbour_solicitation(mac: int, address: IPv6Address, there: int, target: IPv6Address) -> Frame:
    """A neighbour solicitation to a node whose Ethernet address is known, as for reachability (RFC 4861 7.3.3).

    Args:
        mac, address: of the sender, to which the advertisement comes.
        there, target: of the node.
    """
    asked = 0, target.packed, _SOURCE_LINK_LAYER, 1, mac.to_bytes(6)
    return Frame(there, mac, ETHERTYPE_IPV6, _neighbour(_SOLICITATION, address, target, asked))


def _neighbour(
    kind: int, source: IPv6Address, destination: IPv6Address, content: tuple[int, bytes, int, int, bytes]
) -> bytes:
    """A packet of neighbour discovery; ``content`` is what follows the checksum."""
    blank = _NEIGHBOUR.pack(kind, 0, 0, *content)
    covered = _PSEUDO.pack(source.packed, destination.packed, len(blank), _ICMPV6) + blank
    message = _NEIGHBOUR.pack(kind, 0, _checksum(covered), *content)
    return _IPV6.pack(6 << 28, len(message), _ICMPV6, 255, source.packed, destination.packed) + message


def _arp(operation: int, own: bytes, address: bytes, target: bytes) -> bytes:
    return ARP.pack(1, 0x0800, 6, 4, operation, own, address, target, address)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of octets."""
    total = sum(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
