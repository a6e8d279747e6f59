"""Servers with an Open vSwitch of their own, and the vSwitches that they are members of.

What ``paper_modest`` and ``paper_larger`` have in common.  Standard library only, as all topologies.
"""

from dataclasses import replace

from ryu_apps.evb.topology.appliance import MOST_APPLIANCES, Appliance, ApplianceInstance
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.numbering import numbers_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.topologies.mininet_topo import EndSystem

#: VLANs: of all kinds of ports; of a single vSwitch beside a distributed one; of a second distributed one.
COMMON_VLAN, SINGLE_VLAN, SECOND_VLAN = 100, 200, 300
UPLINK_PORT, STATION_PORT = 1, 2
#: Ports of a switch of the rack: hypervisors from 1, servers from here, end systems from there.
DOWNLINKS, HOST_PORT = 301, 901
#: Datapath ids of servers' switches: this and the number of the hypervisor.
SERVERS_FROM = 0x10000
#: The names of taps have two digits for the server.
MOST_SERVERS = 60

_BALANCER = EndSystem("balancer", 0x525400006404, "10.0.100.4/24")
END_SYSTEMS = (
    EndSystem("nms", 0x525400006401, "10.0.100.1/24"),
    EndSystem("client", 0x525400006402, "10.0.100.2/24"),
    _BALANCER,
)


def station(number, port_no):
    """The port of a hypervisor with a VEPA."""
    return Interface(port_no, f"hv{number}", Role.STATION, COMMON_VLAN, (SINGLE_VLAN, SECOND_VLAN))


def end_system(port_no, system):
    """The port of an end system."""
    return Interface(port_no, system.name, Role.HOST, COMMON_VLAN, macs=(system.mac,))


def downlink(number, port_no):
    """The port of a switch of the rack towards the switch of a server."""
    return Interface(port_no, f"vs{number}", Role.TRUNK, peer=PortId(SERVERS_FROM + number, UPLINK_PORT))


def server(number, rack, rack_name):
    """The switch of a server; ``rack`` is the port that it hangs on."""
    uplink = Interface(UPLINK_PORT, rack_name, Role.TRUNK, peer=rack)
    # Names differ from server to server: Mininet has all switches in one network namespace.
    names, relay = f"t{number:02}{{mac}}", ReflectiveRelay.NEVER
    local = Interface(STATION_PORT, f"hv{number}", Role.STATION, reflective_relay=relay, port_names=names)
    return Switch(SERVERS_FROM + number, f"vs{number}", {port.port_no: port for port in (uplink, local)})


def with_vswitches(fabric, numbers):
    """The fabric with the vSwitches of these servers, and the load balancer as an appliance in hardware."""
    name = _BALANCER.name
    number, instance = numbers_of([name], MOST_APPLIANCES)[name], ApplianceInstance(name, mac=_BALANCER.mac)
    balancer = Appliance(number, name, COMMON_VLAN, (instance,))
    return replace(fabric.with_vswitches(vswitches(numbers)), appliances=(balancer,))


def vswitches(numbers):
    """Single and distributed vSwitches, several of each kind, of four servers or more.

    The first server is ``svs1``, in the VLAN of ``dvs1``, which has all others.  The second one is ``svs2`` as well,
    the first and the fourth are ``dvs2``, in VLANs of their own.
    """
    members = [SERVERS_FROM + number for number in numbers]
    first, second, _, fourth = members[:4]
    distributed = Vswitch("dvs1", tuple(members[1:]), "t*", (COMMON_VLAN,), uplinks=(UPLINK_PORT,))
    beside = Vswitch("dvs2", (first, fourth), "t*", (SECOND_VLAN,), uplinks=(UPLINK_PORT,))
    single = Vswitch("svs1", (first,), "t*", (COMMON_VLAN,), uplinks=(UPLINK_PORT,))
    return distributed, beside, single, Vswitch("svs2", (second,), "t*", (SINGLE_VLAN,), uplinks=(UPLINK_PORT,))


def edge_switch(dpid, name, numbers, servers, more):
    """A switch of the rack, and the switches of the servers at it.

    Args:
        numbers: of the hypervisors at it, in order.
        servers: numbers of those with an Open vSwitch.
        more: its other ports.
    """
    ports, found = [], []
    for index, number in enumerate(numbers):
        if number in servers:
            ports.append(downlink(number, DOWNLINKS + index))
            found.append(server(number, PortId(dpid, DOWNLINKS + index), name))
        else:
            ports.append(station(number, 1 + index))
    ports += more
    return [Switch(dpid, name, {port.port_no: port for port in ports}), *found]
