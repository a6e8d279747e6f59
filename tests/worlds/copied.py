"""A VM that moves between switches that copy (``converge: copy``), and where frames for it come out."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Priority, Table
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Switch
from tests.property.test_fabric_paths import HOST, STATION, joined, mac_of
from tests.worlds.bridge import VLAN, Vm, World, with_gates

VM = Vm(1)
#: Stations that need not say for three minutes that they are there.
_PATIENT = Timers(rka=24)
TRIANGLE = [(1, 2), (1, 3), (2, 3)]


def copying(count: int, links: list[tuple[int, int]], gate: GateMode = GateMode.RULES) -> Fabric:
    """Switches with a host and a patient station each, all of which copy."""
    fabric = with_gates(joined(count, links), gate)
    switches = {dpid: replace(switch, interfaces=_patient(switch)) for dpid, switch in fabric.switches.items()}
    return replace(fabric, switches=switches, converge=Converge.COPY)


def _patient(switch: Switch) -> dict[int, Interface]:
    return {number: replace(interface, timers=_PATIENT) for number, interface in switch.interfaces.items()}


def at(dpid: int) -> PortId:
    """The station of a switch."""
    return PortId(dpid, STATION)


def to_vm(world: World, source: int) -> list[int]:
    """A frame from the host of a switch to the VM; the switches at whose stations it comes out, once for each copy."""
    frame = {"eth_src": mac_of(source), "eth_dst": VM.mac, "eth_type": 0x88B5, "vlan_vid": 0}
    return sorted(arrival.port.dpid for arrival in world.carry(PortId(source, HOST), frame))


def everywhere(world: World) -> list[list[int]]:
    """The same for all hosts, and for a frame on each link in either direction, which was under way."""
    found = [to_vm(world, dpid) for dpid in sorted(world.fabric.switches)]
    for port in world.fabric.ports(Role.TRUNK):
        frame = {"eth_src": mac_of(9), "eth_dst": VM.mac, "eth_type": 0x88B5, "vlan_vid": VLAN_PRESENT | VLAN}
        found.append(sorted(arrival.port.dpid for arrival in world.carry(port, frame)))
    return found


def copying_switches(world: World) -> set[int]:
    """The switches with rules by which they send copies."""
    return {dpid for dpid in world.fabric.switches if any(rule.apply for rule in _timed(world, dpid))}


def guarded_switches(world: World) -> set[int]:
    """The switches with rules by which they drop copies."""
    return {dpid for dpid in world.fabric.switches if any(not rule.apply for rule in _timed(world, dpid))}


def _timed(world: World, dpid: int) -> list[Rule]:
    rules = world.tables[dpid].rules.values()
    return [rule for rule in rules if rule.table == Table.FORWARD and rule.priority == Priority.COPY]
