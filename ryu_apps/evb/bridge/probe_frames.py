"""Probes of appliances: ARP that an inspecting VM passes on, or ARP or neighbour discovery that a router answers.

The address to which the answer comes has a number of 32 bits that only the instance has been sent.  The sender's IP
address of ARP is 0.0.0.0, as in ARP probes (RFC 5227 2.1.1), so that no receiver notes it.  A router with IPv6 has to
note a sender to answer it: it is always the same address, so it has one entry at most.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.pipeline.appliance_probes import INNER, OUTER, PREFIX, PREFIX_MASK, PROBER
from ryu_apps.evb.wire.announcement import ARP, ETHERTYPE_ARP, ETHERTYPE_IPV6, neighbour_solicitation
from ryu_apps.evb.wire.ethernet import Frame

_REQUEST = 1
#: An address for documentation (RFC 5737), which nothing has.
_NOWHERE = IPv4Address("192.0.2.1")
_NONE = IPv4Address(0)
_NUMBER_BITS = 0xFFFFFFFF
#: In a frame with one tag: its second Ethertype, and what follows.
_ETHERTYPE, _PAYLOAD = slice(16, 18), 18


def through(number: int) -> Frame:
    """A frame that comes out of the other leg of a bump in the wire as it is; ``number`` has 32 bits."""
    return Frame(OUTER, INNER, ETHERTYPE_ARP, _arp(INNER, _NOWHERE, PREFIX | number))


def question(mac: int, address: IPv4Address | IPv6Address, number: int) -> Frame:
    """A request to a router for its own address; the answer comes to the sender of the request."""
    sender = PREFIX | number
    if isinstance(address, IPv6Address):
        return neighbour_solicitation(sender, PROBER, mac, address)
    return Frame(mac, sender, ETHERTYPE_ARP, _arp(sender, address, 0))


def number_of(data: bytes) -> int | None:
    """Return the number of a tagged frame that is a probe or its answer; None: it is neither."""
    destination, end = int.from_bytes(data[:6]), _PAYLOAD + ARP.size
    if len(data) < end or destination & PREFIX_MASK != PREFIX:
        return None
    if int.from_bytes(data[_ETHERTYPE]) == ETHERTYPE_IPV6:
        # The rule by which it comes is for neighbour advertisements to the sender of probes.
        return destination & _NUMBER_BITS
    if int.from_bytes(data[_ETHERTYPE]) != ETHERTYPE_ARP:
        return None
    target = int.from_bytes(ARP.unpack(data[_PAYLOAD:end])[7])
    return target & _NUMBER_BITS if target & PREFIX_MASK == PREFIX else None


def _arp(sender: int, asked: IPv4Address, target: int) -> bytes:
    return ARP.pack(1, 0x0800, 6, 4, _REQUEST, sender.to_bytes(6), _NONE.packed, target.to_bytes(6), asked.packed)
