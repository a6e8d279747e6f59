"""Memberships of a VSI as octets in a record of the store."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import msgpack

from ryu_apps.evb.model import Binding, MulticastGroup, SourceFilter
from ryu_apps.evb.snooping.listener import Generation, Membership, MembershipTable


def pack(listener: MembershipTable) -> bytes:
    """Encode the memberships, without the time of their reports and without running checks."""
    # Encoded once: the record of a VSI is written at its Associate, before the station is answered.
    if listener.packed is None:
        listener.packed = _packed(listener)
    return listener.packed


def _packed(listener: MembershipTable) -> bytes:
    fields = [
        [
            *binding,
            group.packed,
            int(held.generation),
            held.source_filter.exclude,
            [source.packed for source in held.source_filter.sources],
        ]
        for (binding, group), held in listener.memberships.items()
    ]
    octets = msgpack.packb(fields)
    assert isinstance(octets, bytes)
    return octets


def unpack(listener: MembershipTable, octets: bytes, now: float) -> None:
    """Restore the memberships, as if reported now.

    Raises:
        ValueError, TypeError, msgpack.UnpackException: damaged.
    """
    for vid, mac, group, generation, exclude, sources in msgpack.unpackb(octets):
        source_filter = SourceFilter(bool(exclude), frozenset(map(_address, sources)))
        key = Binding(vid, mac), _address(group)
        listener.memberships[key] = Membership(source_filter, Generation(generation), now)
    listener.packed = None


def _address(octets: bytes) -> MulticastGroup:
    found: IPv4Address | IPv6Address = ip_address(octets)
    return found
