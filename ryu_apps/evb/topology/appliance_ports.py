"""Appliances that are hardware: instances whose legs, or whose address as a router, are those of host ports.

Standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from ryu_apps.evb.topology.appliance import Appliance
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId

#: A part of an instance: its name, and the VID of a leg or that of the clients of a router.
Part = tuple[str, int]


def parts_at_hosts(fabric: Fabric, appliance: Appliance) -> dict[Part, PortId]:
    """Return the parts of an appliance's instances that are at host ports, and these ports."""
    hosts = [(port, fabric.switches[port.dpid].interfaces[port.port_no]) for port in fabric.ports(Role.HOST)]
    return {
        (instance.name, vid): port
        for instance in appliance.instances
        for vid in instance.legs or (appliance.vid,)
        for port, host in hosts
        if not host.uplink and vid in host.vids and (not instance.mac or instance.mac in host.macs)
    }
