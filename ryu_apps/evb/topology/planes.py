"""Planes: VLANs that do not use all trunks, because a vSwitch of theirs names its uplinks.

Standard library only, as ``fabric``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.numbering import numbers_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vswitches import Vswitch

#: The highest number of a plane: each has groups in every switch towards each other one, and routes to be computed.
MOST_PLANES = 32


class Plane(NamedTuple):
    """Some VLANs, and the links that they do not use.

    Attributes:
        number: 1 to :data:`MOST_PLANES`; others that come or go do not change it (:func:`.numbers_of`).
        vids: relay VIDs.
        shut: the ports at both ends of these links.
    """

    number: int
    vids: frozenset[int]
    shut: frozenset[PortId]


def planes_of(fabric: Fabric) -> tuple[Plane, ...]:
    """Return the planes of a fabric, in a stable order; a VLAN that may use all trunks is in none."""
    shut: dict[int, set[PortId]] = {}
    for vswitch in fabric.vswitches:
        for vid in vswitch.vids:
            shut.setdefault(vid, set()).update(ends_left_out(fabric, vswitch))
    for appliance in fabric.appliances:
        # Frames on their way through it are frames of its clients.
        for vid in appliance.own_vids:
            shut.setdefault(vid, set()).update(shut.get(appliance.vid, ()))
    vids: dict[frozenset[PortId], set[int]] = {}
    for vid, ports in shut.items():
        if ports:
            vids.setdefault(frozenset(ports), set()).add(vid)
    named = {" ".join(map(str, sorted(ports))): ports for ports in vids}
    numbers = numbers_of(named, MOST_PLANES)
    return tuple(Plane(numbers[name], frozenset(vids[ports]), ports) for name, ports in sorted(named.items()))


def ends_left_out(fabric: Fabric, vswitch: Vswitch) -> Iterator[PortId]:
    """Both ends of the trunks of a vSwitch's members that are not among its uplinks."""
    for dpid in vswitch.members if vswitch.uplinks else ():
        for port_no, interface in fabric.switches[dpid].interfaces.items():
            if interface.role is Role.TRUNK and interface.peer is not None and port_no not in vswitch.uplinks:
                yield from (PortId(dpid, port_no), interface.peer)
