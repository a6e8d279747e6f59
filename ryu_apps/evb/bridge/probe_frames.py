"""Probes of appliances: ARP that an inspecting VM passes on, or that a router answers.

The target hardware address of what comes back has a number of 32 bits that only the VM has been sent.  The sender's IP
address is 0.0.0.0, as in ARP probes (RFC 5227 2.1.1), so that no receiver notes it.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from ryu_apps.evb.pipeline.appliance_probes import INNER, OUTER, PREFIX, PREFIX_MASK
from ryu_apps.evb.wire.announcement import ARP, ETHERTYPE_ARP
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


def question(mac: int, address: IPv4Address, number: int) -> Frame:
    """A request to a router for its own address; the answer has the sender of the request as target."""
    sender = PREFIX | number
    return Frame(mac, sender, ETHERTYPE_ARP, _arp(sender, address, 0))


def number_of(data: bytes) -> int | None:
    """Return the number of a tagged frame that is a probe or its answer; None: it is neither."""
    end = _PAYLOAD + ARP.size
    if len(data) < end or int.from_bytes(data[_ETHERTYPE]) != ETHERTYPE_ARP:
        return None
    target = int.from_bytes(ARP.unpack(data[_PAYLOAD:end])[7])
    is_ours = int.from_bytes(data[:6]) & PREFIX_MASK == target & PREFIX_MASK == PREFIX
    return target & _NUMBER_BITS if is_ours else None


def _arp(sender: int, asked: IPv4Address, target: int) -> bytes:
    return ARP.pack(1, 0x0800, 6, 4, _REQUEST, sender.to_bytes(6), _NONE.packed, target.to_bytes(6), asked.packed)
