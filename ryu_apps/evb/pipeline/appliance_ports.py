"""Appliances at host ports: the way to their legs, and what they send.

What goes through them, and what becomes of it behind them, is as with VMs (:mod:`.appliances`).  In place of the gate
of a VSI there are rules of infrastructure.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.match import GROUP_BIT, VLAN_PRESENT, MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.tables import PORT_MASK, CookieKind, Priority, Table, cookie, metadata
from ryu_apps.evb.topology.appliance_ports import parts_at_hosts
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.port_id import PortId

#: In INGRESS: above the rules of host ports.
_OF_APPLIANCE = Priority.EXACT + 1
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def appliance_port_rules(fabric: Fabric, dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    """The rules of one switch for all appliances that are at host ports."""
    for appliance in fabric.appliances:
        macs = {instance.name: instance.mac for instance in appliance.instances}
        for (name, vid), port in parts_at_hosts(fabric, appliance).items():
            if port.dpid == dpid:
                yield _sent(vid, macs[name], port)
            # End systems have a rule for their address.
            if not macs[name]:
                yield from _to_leg(vid, port, dpid, wiring)


def _sent(vid: int, mac: int, port: PortId) -> Rule:
    """Frames from a leg, whatever their source, or from the address of a router."""
    source: MatchFields = {"eth_src": mac} if mac else {}
    fields = match(in_port=port.port_no, vlan_vid=VLAN_PRESENT | vid, **source)
    return Rule(Table.INGRESS, _OF_APPLIANCE, fields, _COOKIE, goto=Table.STEER_BACK)


def _to_leg(vid: int, port: PortId, dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    fields = match(vlan_vid=VLAN_PRESENT | vid, eth_dst=(0, GROUP_BIT))
    if port.dpid == dpid:
        there = metadata(port=port.port_no), PORT_MASK
        yield Rule(Table.FORWARD, Priority.EXACT, fields, _COOKIE, metadata=there, goto=Table.OUTPUT)
    elif port.dpid in wiring.others(dpid):
        yield Rule(Table.FORWARD, Priority.EXACT, fields, _COOKIE, (towards(wiring, dpid, port.dpid),))
