"""Ports towards other pods: frames for an address that nothing in the fabric has leave there.

The VM of such an address is active in another pod, or nowhere.  A frame that came from there is not sent back: OpenFlow
sends nothing out of the port that a frame came in by, and each switch on the way would use that port.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.proxies import TCP_PROXY
from ryu_apps.evb.pipeline.tables import PORT_MASK, CookieKind, Priority, Table, cookie, metadata
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Role


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
                yield from _impostors(fabric, port.port_no, vid)
            elif port.dpid in wiring.others(dpid):
                yield Rule(Table.FORWARD, Priority.DEFAULT, rest, owner, (towards(wiring, dpid, port.dpid),))


def _impostors(fabric: Fabric, port_no: int, vid: int) -> Iterator[Rule]:
    """Drop frames of other pods with the source address of an appliance here: they would be taken for its own."""
    hosts = (fabric.interface(port) for port in fabric.ports(Role.HOST))
    proxies = (host for host in hosts if host is not None and host.appliance == TCP_PROXY and vid in host.vids)
    routers = (instance for found in fabric.appliances if found.vid == vid for instance in found.instances)
    macs = dict.fromkeys((*(mac for host in proxies for mac in host.macs), *(each.mac for each in routers if each.mac)))
    for mac in macs:
        fields = match(in_port=port_no, vlan_vid=VLAN_PRESENT | vid, eth_src=mac)
        # Above the rule that lets in what comes from there.
        yield Rule(Table.INGRESS, Priority.EXACT + 1, fields, cookie(CookieKind.INFRASTRUCTURE))
