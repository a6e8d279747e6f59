"""Who has to be told that a VM is somewhere else: the edges that are not ours.

Our own switches forward by (VID, MAC) and learn nothing.  What lies behind a HOST port may be somebody
else's bridge, which has learned where the VM was, and a VM that is silent never corrects it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.events import SendFrame
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role
from ryu_apps.evb.wire.announcement import gratuitous_arp, neighbour_advertisement, reverse_arp
from ryu_apps.evb.wire.ethernet import Frame


class Announcer:
    """Makes the announcements of VSIs for the HOST ports of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._edges: dict[int, list[tuple[PortId, int | None]]] = defaultdict(list)
        for port in fabric.ports(Role.HOST):
            interface = fabric.interface(port)
            assert interface is not None
            for vid in interface.vids:
                self._edges[vid].append((port, None if vid == interface.native_vlan else vid))

    def frames(self, binding: VsiBinding, before: VsiBinding | None = None) -> tuple[SendFrame, ...]:
        """What to send when a VSI has become active.

        Args:
            before: what was active at the same port until now, and so has been announced.
        """
        known = frozenset(self._frames(before)) if before is not None else frozenset()
        return tuple(one for one in self._frames(binding) if one not in known)

    def _frames(self, binding: VsiBinding) -> Iterator[SendFrame]:
        for one in binding.bindings:
            edges = self._edges.get(one.vid, ())
            if one.mac is None or not edges:
                continue
            # Which of several MAC addresses or VLANs an address belongs to nobody has told us; a wrong
            # guess would lead its traffic astray.
            addresses = binding.addresses if len(binding.bindings) == 1 else ()
            for frame in _announcements(one.mac, addresses):
                for port, tag in edges:
                    yield SendFrame(port, frame.encode(pad=True, vid=tag))


def _announcements(mac: int, addresses: tuple[IPv4Address | IPv6Address, ...]) -> Iterator[Frame]:
    yield reverse_arp(mac)
    for address in addresses:
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            continue  # a station may tell what it likes
        if isinstance(address, IPv4Address):
            yield gratuitous_arp(mac, address)
        else:
            yield neighbour_advertisement(mac, address)
