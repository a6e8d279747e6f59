"""Ports towards other pods: frames for an address that nothing in the fabric has leave there.

The VM of such an address is active in another pod, or nowhere.  A frame that came from there is not sent back: OpenFlow
sends nothing out of the port that a frame came in by, and each switch on the way would use that port.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.tables import PORT_MASK, CookieKind, Priority, Table, cookie, metadata
from ryu_apps.evb.topology.fabric import Fabric, Role
from ryu_apps.evb.topology.graph import TrunkGraph


def uplinks(fabric: Fabric, dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    """Rules of one switch for all ports towards other pods, one of each of their VLANs."""
    for port in fabric.ports(Role.HOST):
        interface = fabric.interface(port)
        if interface is None or not interface.uplink:
            continue
        for vid in interface.vids:
            rest, owner = match(vlan_vid=VLAN_PRESENT | vid), cookie(CookieKind.INFRASTRUCTURE)
            if port.dpid == dpid:
                there = metadata(port=port.port_no), PORT_MASK
                yield Rule(Table.FORWARD, Priority.DEFAULT, rest, owner, metadata=there, goto=Table.OUTPUT)
            elif port.dpid in wiring.others(dpid):
                yield Rule(Table.FORWARD, Priority.DEFAULT, rest, owner, (towards(wiring, dpid, port.dpid),))
