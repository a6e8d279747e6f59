"""Fabrics with much that has groups and meters, and the same fabrics without."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.rule import Bucket, Group, GroupType, Meter
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance, Probing
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Converge, Fabric
from tests.worlds.bridge import VLAN

#: What other applications have in a switch: groups with other ids, meters with other ids or rates.
FOREIGN_GROUPS = tuple(Group(number, GroupType.ALL, (Bucket((Output(1),)),)) for number in (7, 0xFFFFF, 0x3200000))
FOREIGN_METERS = Meter(5, 500, 50), Meter(0x19999, 1000, 100), Meter(0x2FFFF, 1000, 100)

_MAC = 0x0200_0000_0C00


def balancer(backends: int) -> LoadBalancer:
    """A load balancer for UDP, of which each back end has a group."""
    ends = tuple(
        Backend(f"b{n}", 0x0200_0000_0C00 + n, (ip_address(f"10.0.0.{n}"),), 53) for n in range(1, backends + 1)
    )
    vip = ip_address("10.0.0.200")
    return LoadBalancer(9, "dns", VLAN, 0x0200_0000_0C00, (vip,), TransportProtocol.UDP, 53, ends)


def with_services(fabric: Fabric, backends: int = 3) -> Fabric:
    """A fabric with a load balancer, an appliance that is probed, and copies."""
    appliance = Appliance(77, "fw", VLAN, (ApplianceInstance("one", 4001, 4002),), 4000, Probing())
    return replace(fabric, balancers=(balancer(backends),), appliances=(appliance,), converge=Converge.COPY)


def without_port(fabric: Fabric, port_no: int) -> Fabric:
    """A fabric of which each switch has lost a port."""
    return replace(
        fabric,
        switches={
            dpid: replace(switch, interfaces={no: port for no, port in switch.interfaces.items() if no != port_no})
            for dpid, switch in fabric.switches.items()
        },
    )
