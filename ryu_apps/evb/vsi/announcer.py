"""Announcements of moved VMs to bridges behind HOST ports, which have learned the VM's old port.

Our own switches forward by (VID, MAC) and learn nothing.  Behind a HOST port there may be a foreign bridge that has
learned the old port, and a VM that sends nothing never corrects it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.steps import Announcement, GateSwitch
from ryu_apps.evb.wire.announcement import gratuitous_arp, neighbour_advertisement, reverse_arp
from ryu_apps.evb.wire.ethernet import Frame

#: Announcements that are kept for VSIs that are about to become active: of those that were staged last.
_ROOM = 64


class Announcer:
    """Builder of announcements of VSIs for the HOST ports of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._edges: dict[int, list[tuple[PortId, int | None]]] = defaultdict(list)
        for port in fabric.ports(Role.HOST):
            interface = fabric.interface(port)
            assert interface is not None
            for vid in interface.vids:
                self._edges[vid].append((port, None if vid == interface.native_vlan else vid))
        #: By identity of the binding, and with it, so that no other one has its identity meanwhile.
        self._prepared: dict[int, tuple[VsiBinding, tuple[SendFrame, ...]]] = {}

    def prepare(self, binding: VsiBinding) -> None:
        """Build the frames of a VSI that is staged, and keep them."""
        self._prepared[id(binding)] = binding, tuple(self._frames(binding))
        if len(self._prepared) > _ROOM:
            del self._prepared[next(iter(self._prepared))]

    def announce(self, gate_switch: GateSwitch, pending: PendingChanges) -> None:
        """Announce a VSI to bridges behind host ports; for one that has not moved, only new addresses."""
        stayed = all(displaced is gate_switch.attachment for displaced in gate_switch.displaced)
        before = gate_switch.old_program.binding if stayed and gate_switch.old_program is not None else None
        frames = self.frames(gate_switch.program.binding, before)
        if there := tuple([frame for frame in frames if frame.port.dpid in pending.up]):
            pending.announcements.append(Announcement(gate_switch.attachment, there))

    def frames(self, binding: VsiBinding, before: VsiBinding | None = None) -> tuple[SendFrame, ...]:
        """Frames to send when a VSI has become active.

        Args:
            before: the binding that was active at the same port until now, and so has been announced.
        """
        prepared = self._prepared.pop(id(binding), None)
        frames = tuple(self._frames(binding)) if prepared is None else prepared[1]
        if before is None:
            return frames
        known = frozenset(self._frames(before))
        return tuple(frame for frame in frames if frame not in known)

    def _frames(self, binding: VsiBinding) -> Iterator[SendFrame]:
        for pair in binding.bindings:
            edges = self._edges.get(pair.vid, ())
            if pair.mac is None or not edges:
                continue
            # With several MAC addresses or VLANs it is not known which of them an IP address belongs to; a wrong
            # guess would redirect its traffic to the wrong MAC address.
            addresses = binding.addresses if len(binding.bindings) == 1 else ()
            for frame in _announcements(pair.mac, addresses):
                for port, tag in edges:
                    yield SendFrame(port, frame.encode(pad=True, vid=tag))


def _announcements(mac: int, addresses: tuple[IPv4Address | IPv6Address, ...]) -> Iterator[Frame]:
    yield reverse_arp(mac)
    for address in addresses:
        if address.is_unspecified or address.is_multicast or address.is_loopback:
            continue  # addresses come from the station, unchecked
        if isinstance(address, IPv4Address):
            yield gratuitous_arp(mac, address)
        else:
            yield neighbour_advertisement(mac, address)
