"""VLAN and priority of each filter entry at a port: from its GroupID, its VSI type, or the port (802.1Q 41.2.9).

A filter has the local VIDs of the switch, bindings have the relay VIDs of the fabric.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ryu_apps.evb.model import Binding
from ryu_apps.evb.policy.model import VsiNetwork, VsiType
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo

_RESERVED_VID = 4095


class _Unplaceable(ValueError):
    """An entry that has no VLAN at the port; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A filter at a port.

    Attributes:
        filled: the filter to answer: null VIDs and priorities filled in, entry by entry in the same order.
        bindings: its (relay VID, MAC) pairs, without repetition.
        priorities: the default PCP of each binding that has one.
    """

    filled: FilterInfo
    bindings: tuple[Binding, ...]
    priorities: tuple[tuple[Binding, int], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A station port, or a VSI port, with the VLANs of its switch and its fabric.

    Attributes:
        groups: GroupID -> relay VID.
        remote_vlans: relay VIDs of copies to mirrors, which no VSI may have.
    """

    interface: Interface
    translation: VidTranslation
    groups: dict[int, int]
    remote_vlans: frozenset[int] = frozenset()

    @classmethod
    def of(cls, fabric: Fabric, port: PortId, vsi_port: str = "") -> Place:
        """The place of a configured station port, or of a VSI port of its switch."""
        switch = fabric.switches[port.dpid]
        named = switch.unnamed_vsi_port() if vsi_port == UNNAMED else switch.vsi_port(vsi_port)
        interface = (named if vsi_port else None) or switch.interfaces[port.port_no]
        return cls(interface, switch.translation, fabric.groups, fabric.remote_vlans)

    @property
    def vsi_port(self) -> str:
        """The name of a VSI port; empty: a station port."""
        return self.interface.name if self.interface.role is Role.VSI else ""

    def fill(self, filter_info: FilterInfo, vsi_type: VsiType) -> Placed | str:
        """Fill in null VIDs and default priorities; or the reason why an entry has no VLAN here.

        Deterministic, so that the original and the answered filter identify the same VSI.
        """
        network = vsi_type.network
        try:
            named = self._vids_of(network)
            filled = [
                self._prioritized(self._with_vid(entry, self._permitted(entry, named, vsi_type)), network)
                for entry in filter_info.entries
            ]
        except _Unplaceable as reason:
            return str(reason)
        return self.placed(replace(filter_info, entries=tuple(filled)))

    def placed(self, filled: FilterInfo) -> Placed | str:
        """The bindings of a filter that has been answered; or the reason why it has no VLAN here any more."""
        try:
            pairs = [(self._binding(entry), entry) for entry in filled.entries]
        except _Unplaceable as reason:
            return str(reason)
        natives = self.interface.natives_of(entry.vid for _, entry in pairs)
        if len(natives) > 1:
            return f"VIDs {natives[0]} and {natives[1]} are both untagged at port {self.interface.name}"
        bindings = tuple(dict.fromkeys(binding for binding, _ in pairs))
        return Placed(filled, bindings, tuple(_priorities(pairs)))

    # --- the VLANs that an entry may have ---
    def _vids_of(self, network: VsiNetwork) -> tuple[int, ...]:
        """The relay VIDs of a type; empty: any."""
        return network.vids or tuple(self._vid_of(group) for group in network.groups)

    def _vid_of(self, group: int) -> int:
        if group not in self.groups:
            raise _Unplaceable(f"GroupID {group} is not mapped to a VID")
        return self.groups[group]

    def _permitted(self, entry: FilterEntry, named: tuple[int, ...], vsi_type: VsiType) -> tuple[int, ...]:
        """The relay VIDs that an entry may have, the first for a null VID; empty: any."""
        if entry.group is None:
            return named
        vid = self._vid_of(entry.group)
        if named and vid not in named:
            raise _Unplaceable(f"GroupID {entry.group} is not in the network of VSI type {vsi_type.key}")
        return (vid,)

    # --- the VLAN that it has ---
    def _with_vid(self, entry: FilterEntry, permitted: tuple[int, ...]) -> FilterEntry:
        if entry.vid:
            if permitted and self._relay_vid(entry.vid) not in permitted:
                raise _Unplaceable(f"VID {entry.vid} is not that of {_source(entry)}")
            return entry
        return entry.with_vid(self._local_vid(permitted[0]) if permitted else self._native())

    def _native(self) -> int:
        if self.interface.name == UNNAMED and self.interface.native_vlan is None:
            raise _Unplaceable("null VID, and the VSI port that decides its VLAN is not named yet")
        chosen = self.interface.native_vlan or next(iter(self.interface.tagged_vlans), None)
        if chosen is None:
            raise _Unplaceable("null VID, but neither GroupID, VSI type nor port has a VLAN")
        return chosen

    def _binding(self, entry: FilterEntry) -> Binding:
        if entry.vid >= _RESERVED_VID:
            raise _Unplaceable(f"VID {entry.vid} is reserved")
        if self.interface.vids and entry.vid not in self.interface.vids:
            raise _Unplaceable(f"VID {entry.vid} is not configured at port {self.interface.name}")
        vid = self._relay_vid(entry.vid)
        if entry.group is not None and self._vid_of(entry.group) != vid:
            raise _Unplaceable(f"VID {entry.vid} is not that of {_source(entry)}")
        if vid in self.remote_vlans:
            raise _Unplaceable(f"VID {vid} is that of copies to a mirror")
        return Binding(vid, entry.mac)

    def _local_vid(self, relay: int) -> int:
        local = self.translation.local(relay)
        if local is None:
            raise _Unplaceable(f"VLAN {relay} has no VID at this switch: {relay} is the VID of another VLAN here")
        return local

    def _relay_vid(self, local: int) -> int:
        relay = self.translation.relay(local)
        if relay is None:
            raise _Unplaceable(f"VID {local} is of no VLAN at this switch")
        return relay

    def _prioritized(self, entry: FilterEntry, network: VsiNetwork) -> FilterEntry:
        # A priority that the station has chosen counts: it would take another one for a mismatch.
        return entry if entry.ps or network.pcp is None else entry.with_vid(entry.vid, network.pcp)


def _source(entry: FilterEntry) -> str:
    return "the VSI type" if entry.group is None else f"GroupID {entry.group}"


def _priorities(pairs: list[tuple[Binding, FilterEntry]]) -> Iterator[tuple[Binding, int]]:
    """The PCP of each binding; of several entries for one binding, the first that has one counts."""
    found: dict[Binding, int] = {}
    for binding, entry in pairs:
        if entry.ps:
            found.setdefault(binding, entry.pcp)
    return iter(found.items())
