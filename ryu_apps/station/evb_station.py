"""EVB agreement, station side (802.1Q clause 40).

Like lldpad it advertises the timers in force, not only its proposal, so that bridges are tested with a
neighbour that repeats their numbers.
"""

from __future__ import annotations

from ryu_apps.evb.protocol.evb import EvbPort
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus

__all__ = ["EvbStation"]


class EvbStation(EvbPort):
    """The uplink of a station.  Events and outputs are those of ``evb``."""

    __slots__ = ("_relay_wanted",)
    PEER = EvbMode.BRIDGE

    def __init__(self, timers: Timers, reflective_relay: bool = False, groups: bool = False) -> None:
        """
        Args:
            timers: own proposal.
            reflective_relay: request reflective relay.
            groups: VDP filter info with GroupIDs is supported.
        """
        super().__init__(timers, groups)
        self._relay_wanted = reflective_relay

    def _tlv(self) -> EvbTlv:
        ours, bridge, in_force = self._timers, self._heard, self.operational
        return EvbTlv(
            mode=EvbMode.STATION,
            bgid=bridge is not None and bridge.bgid,
            rrcap=bridge is not None and bridge.rrcap,
            rrctr=bridge is not None and bridge.rrctr,
            sgid=self._groups,
            rrreq=self._relay_wanted,
            rrstat=RrStatus.UNKNOWN if bridge is None else RrStatus(bridge.rrctr),
            r=in_force.r,
            rte=in_force.rte,
            rwd=in_force.rwd,
            rka=in_force.rka,
            rol_rwd=bridge is not None and bridge.rwd >= ours.rwd,
            rol_rka=bridge is not None and bridge.rka >= ours.rka,
        )

    def _authored(self, evb: EvbTlv) -> tuple[object, ...]:
        return (evb.bgid, evb.rrcap, evb.rrctr, evb.r, evb.rte, evb.rwd, evb.rka)

    def _relays(self, evb: EvbTlv) -> bool:
        return evb.rrctr

    def _groups_of(self, evb: EvbTlv) -> bool:
        return evb.bgid
