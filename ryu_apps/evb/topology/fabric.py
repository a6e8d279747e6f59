"""The cluster as its operator describes it: switches, the role of each port, and the links.

Plain data, standard library only, so that ``mn --custom`` can load a topology file under any Python.
A fabric is the configured state; ports that are down and failed links reach the engine as events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from ryu_apps.evb.topology.appliance import Appliance
from ryu_apps.evb.topology.balancer import LoadBalancer
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vswitches import Vswitch, vsi_ports_at


class Converge(Enum):
    """The way in which switches that are neither end of a move follow it."""

    SWITCH = "switch"
    """Each leads frames to the VM's new place from its own change on, and the Associate waits for all of them."""
    COPY = "copy"
    """They send copies to both ends while the VM moves, and the Associate waits for the ends alone."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """All switches, by datapath id, and the load balancers distributed over them.

    Attributes:
        groups: GroupID (32 bits) -> relay VID; no two groups have the same.
        converge: how the switches that are neither end of a move follow it.
        vswitches: their members have the VSI ports that these give them, and no others.
        appliances: VMs through which traffic of others is led.
    """

    switches: dict[int, Switch] = field(default_factory=dict)
    balancers: tuple[LoadBalancer, ...] = ()
    groups: dict[int, int] = field(default_factory=dict)
    converge: Converge = Converge.SWITCH
    vswitches: tuple[Vswitch, ...] = ()
    appliances: tuple[Appliance, ...] = ()

    def with_vswitches(self, vswitches: Iterable[Vswitch]) -> Fabric:
        """The same fabric with these vSwitches, whose members have no VSI ports but theirs."""
        found = tuple(vswitches)
        members = {dpid for vswitch in found for dpid in vswitch.members}
        switches = {
            dpid: replace(switch, vsi_ports=vsi_ports_at(dpid, found, switch.translation))
            if dpid in members
            else switch
            for dpid, switch in self.switches.items()
        }
        return replace(self, switches=switches, vswitches=found)

    def interface(self, port: PortId) -> Interface | None:
        """The configuration of a port, None if it has none."""
        switch = self.switches.get(port.dpid)
        return switch.interfaces.get(port.port_no) if switch else None

    def bonds(self) -> Iterator[tuple[PortId, Interface]]:
        """The ports that stand for several links."""
        for dpid, switch in self.switches.items():
            for interface in switch.interfaces.values():
                if interface.bond:
                    yield PortId(dpid, interface.port_no), interface

    def vid_at(self, port: PortId, vid: int) -> int | None:
        """The VID that frames of a relay VID have at a port; None: none."""
        switch = self.switches[port.dpid]
        return switch.translation.local(vid) if switch.interfaces[port.port_no].has_local_vids else vid

    def local_stations(self) -> list[PortId]:
        """The ports of stations at the switches of their own servers."""
        return [port for port in self.ports(Role.STATION) if self.switches[port.dpid].interfaces[port.port_no].is_local]

    def has_groups(self, port: PortId) -> bool:
        """True if the VLAN of at least one group is admitted at a station port."""
        switch, vids = self.switches[port.dpid], self.switches[port.dpid].interfaces[port.port_no].vids
        return any(not vids or switch.translation.local(vid) in vids for vid in self.groups.values())

    @property
    def mirrors(self) -> dict[str, PortId]:
        """The ports that receive copies, by name."""
        return {self.switches[port.dpid].interfaces[port.port_no].name: port for port in self.ports(Role.MIRROR)}

    @property
    def remote_vlans(self) -> frozenset[int]:
        """The VIDs that copies have on trunks, and nothing else."""
        interfaces = (interface for switch in self.switches.values() for interface in switch.interfaces.values())
        return frozenset(interface.remote_vlan for interface in interfaces if interface.remote_vlan is not None)

    def reachable(self, dpid: int) -> frozenset[int]:
        """The switches to which trunks lead from a switch, itself included."""
        found, left = {dpid}, [dpid]
        while left:
            interfaces = self.switches[left.pop()].interfaces.values()
            new = {interface.peer.dpid for interface in interfaces if interface.peer is not None} - found
            found |= new
            left += new
        return frozenset(found)

    def balancer(self, name: str) -> LoadBalancer | None:
        """The load balancer of that name, None if there is none."""
        return next((balancer for balancer in self.balancers if balancer.name == name), None)

    def appliance(self, name: str, vid: int) -> Appliance | None:
        """The appliance of that name for the clients of a VLAN, None if there is none."""
        return next((found for found in self.appliances if found.name == name and found.vid == vid), None)

    def router_of(self, vid: int, mac: int | None) -> str | None:
        """The appliance of which an address in a VLAN is that of a router, None if there is none."""
        there = (found for found in self.appliances if mac and found.vid == vid)
        return next((found.name for found in there if any(each.mac == mac for each in found.instances)), None)

    def ports(self, role: Role) -> list[PortId]:
        """All ports of a role, in a stable order."""
        return [
            PortId(dpid, port_no)
            for dpid, switch in sorted(self.switches.items())
            for port_no, interface in sorted(switch.interfaces.items())
            if interface.role is role
        ]
