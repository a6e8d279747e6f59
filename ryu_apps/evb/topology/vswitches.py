"""vSwitches: the VSI ports of one server, or of several that are one logical switch, in VLANs of their own.

A vSwitch is no datapath.  Its members are switches of servers, and what it says about its VSI ports holds at each of
them.  A server may be a member of several vSwitches, whose VLANs are apart.  Standard library only, as ``fabric``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern

#: Names of VSI ports, without a pattern in the configuration.
USUAL_PORTS = "tap*"


class Vswitch(NamedTuple):
    """One vSwitch.

    Attributes:
        name: operator's name.
        members: datapath ids of its switches, without repetition.
        ports: pattern of the names of its VSI ports.
        native_vlans: relay VIDs of which that of a VSI is untagged at its port; the first is that of a null VID.
        tagged_vlans: relay VIDs that VSIs may use besides these.
        uplinks: port numbers of its trunks, the same at each member; empty: all trunks of the member.
        limits: what VSIs may be.
        max_vsis: VSIs that it may have; None: no limit.
    """

    name: str
    members: tuple[int, ...]
    ports: str = USUAL_PORTS
    native_vlans: tuple[int, ...] = ()
    tagged_vlans: tuple[int, ...] = ()
    uplinks: tuple[int, ...] = ()
    limits: StationLimits = StationLimits()
    max_vsis: int | None = None

    @property
    def is_distributed(self) -> bool:
        """True if it spans several servers."""
        return len(self.members) > 1

    @property
    def vids(self) -> tuple[int, ...]:
        """Its VLANs."""
        return (*self.native_vlans, *self.tagged_vlans)


class VswitchIndex:
    """vSwitches by switch and VLAN."""

    def __init__(self, vswitches: Iterable[Vswitch]) -> None:
        self._at: dict[int, list[tuple[frozenset[int], Vswitch]]] = {}
        for vswitch in vswitches:
            entry = frozenset(vswitch.vids), vswitch
            for dpid in vswitch.members:
                self._at.setdefault(dpid, []).append(entry)

    def of(self, dpid: int, vids: Iterable[int]) -> tuple[Vswitch, ...]:
        """Return the vSwitches of a switch that have some of these VLANs."""
        wanted = set(vids)
        return tuple(vswitch for has, vswitch in self._at.get(dpid, ()) if not wanted.isdisjoint(has))


def vsi_ports_at(dpid: int, vswitches: Iterable[Vswitch], translation: VidTranslation) -> tuple[VsiPortPattern, ...]:
    """Return the VSI ports that the vSwitches of a switch give it, with its local VIDs.

    vSwitches with the same names of ports share the pattern: the VLAN of a VSI tells which of them it is in.
    """
    by_names: dict[str, list[Vswitch]] = {}
    for vswitch in vswitches:
        if dpid in vswitch.members:
            by_names.setdefault(vswitch.ports, []).append(vswitch)
    return tuple(_pattern(names, sharing, translation) for names, sharing in by_names.items())


def _pattern(names: str, sharing: list[Vswitch], translation: VidTranslation) -> VsiPortPattern:
    natives = _local((vid for vswitch in sharing for vid in vswitch.native_vlans), translation)
    tagged = _local((vid for vswitch in sharing for vid in vswitch.tagged_vlans), translation)
    native = natives[0] if natives else None
    return VsiPortPattern(names, native, tagged, natives if len(natives) > 1 else ())


def _local(vids: Iterable[int], translation: VidTranslation) -> tuple[int, ...]:
    return tuple(local for vid in vids if (local := translation.local(vid)) is not None)
