"""Room for the broadcasts of VSIs at switches without extensions, where all VSIs of a VID share rules and groups."""

from __future__ import annotations

from collections import Counter

from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.flood_classes import MAX_MEMBERS, FloodClass
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.vsi.reservation import GROUPS, Amounts, Demand, in_tables

_CLASSES = len(FloodClass)


class FloodRooms:
    """Addresses of staged VSIs by switch and VID, and what they need together.

    A reservation for a VID is made with its first VSI at a switch, and released with the last one.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        #: Switch and VID -> VSI index and MAC address.
        self._users: dict[tuple[int, int], set[tuple[int, int | None]]] = {}

    def full(self, dpid: int, binding: VsiBinding) -> str | None:
        """Return the reason for which a VSI cannot receive broadcasts at a switch; None: it can."""
        wanted = Counter(vid_mac.vid for vid_mac in binding.bindings) if self._shared(dpid) else {}
        for vid, count in wanted.items():
            if len(self._users.get((dpid, vid), ())) + count > MAX_MEMBERS:
                return f"VID {vid} has {MAX_MEMBERS} addresses at the switch, the most without extensions"
        return None

    def demands(self, dpid: int, binding: VsiBinding) -> list[Demand]:
        """Return the demands for the VIDs of a VSI."""
        vids = dict.fromkeys(vid_mac.vid for vid_mac in binding.bindings) if self._shared(dpid) else {}
        return [Demand(dpid, ("flood", vid), self._amounts(dpid, vid)) for vid in vids]

    def staged(self, dpid: int, binding: VsiBinding) -> None:
        """Note a VSI whose demands are reserved."""
        if self._shared(dpid):
            for vid, mac in binding.bindings:
                self._users.setdefault((dpid, vid), set()).add((binding.vsi_index, mac))

    def ended(self, dpid: int, binding: VsiBinding) -> list[int]:
        """Forget a VSI; returns the VIDs that have none any more."""
        for vid, mac in binding.bindings:
            self._users.get((dpid, vid), set()).discard((binding.vsi_index, mac))
        return [vid for vid in {vid for vid, _ in binding.bindings} if not self._users.get((dpid, vid))]

    def _shared(self, dpid: int) -> bool:
        return not self._fabric.switches[dpid].extended

    def _amounts(self, dpid: int, vid: int) -> Amounts:
        switch = self._fabric.switches[dpid]
        forms = {port.native_vlan == vid for port in switch.interfaces.values() if port.role is Role.STATION}
        rules = Counter[int]({Table.FLOOD_PAGE: _CLASSES})
        if switch.untagged(vid):
            rules[Table.FLOOD_STRIPPED] = _CLASSES
        return in_tables(rules) + Counter({GROUPS: _CLASSES * len(forms)})
