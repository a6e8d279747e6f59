"""A ``Fabric`` as a Mininet ``Topo``: the same names, datapath ids and port numbers.

Mininet is imported only when a topology is built, so that descriptions can be read where it is absent.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import BondMode, Interface, Role
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.topologies.station_host import STATION_PARAMETER

#: Names of interfaces in Linux.
_LONGEST = 15
#: Datapath ids of the bridges of bonds begin here.
_BOND_DPIDS = 0xB0 << 56
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")


class EndSystem(NamedTuple):
    """A host with fixed addresses: ``mac`` as a 48-bit integer, ``ip`` with its prefix length or empty for none."""

    name: str
    mac: int
    ip: str


def mac_text(mac: int) -> str:
    """``52:54:00:00:64:01`` for a 48-bit integer."""
    return mac.to_bytes(6, "big").hex(":")


def systems_of(fabric: Fabric, known: Iterable[EndSystem], addresses: Mapping[str, str]) -> tuple[EndSystem, ...]:
    """The end system behind each HOST port.

    Args:
        known: those of the topology; others get the first address of their port, and no IP address.
        addresses: IP addresses with their prefix length, by name, where there are none or others.
    """
    found = {system.name: system for system in known}
    systems = []
    for port in fabric.ports(Role.HOST):
        interface = fabric.switches[port.dpid].interfaces[port.port_no]
        system = found.get(interface.name) or EndSystem(interface.name, interface.macs[0], "")
        systems.append(system._replace(ip=addresses.get(system.name, system.ip)))
    return tuple(systems)


def oddities(fabric: Fabric) -> Iterator[str]:
    """Yield the reasons that Mininet cannot build a fabric; none of them matters to a controller.

    What is at the far end of a port becomes a node of that name, and a switch's end of a link an interface.
    """
    switches = fabric.switches.values()
    ports = [port for switch in switches for port in switch.interfaces.values()]
    nodes = [port.name for port in ports if port.role is not Role.TRUNK]
    names = [*(switch.name for switch in switches), *nodes, *(station_bond(port) for port in ports if port.bond)]
    for name, number in Counter(names).items():
        if number > 1:
            yield f"{number} nodes are named {name!r}, Mininet wants a name for each"
        if not _NAME.match(name):
            yield f"{name!r} cannot be the name of a node in Mininet: letters, digits, '_', '.' and '-'"
    ends = [f"{switch.name}-eth{link}" for switch in switches for link in _port_numbers(switch)]
    ends += [f"{name}-eth0" for name in nodes]
    ends += [f"{station_bond(port)}-eth{len(port.links) + 1}" for port in ports if port.bond]
    for end in sorted(set(ends)):
        if len(end) > _LONGEST:
            yield f"{end!r} is too long for the name of an interface, {_LONGEST} characters"


def _port_numbers(switch: Switch) -> Iterator[int]:
    return (link for interface in switch.interfaces.values() for link in interface.links)


def station_bond(interface: Interface) -> str:
    """The name of the Open vSwitch bridge that has the links of a station's bond, numbered from 1, and its uplink."""
    return f"{interface.name}b"


def topo_of(fabric: Fabric, hosts: Iterable[EndSystem] = ()) -> Any:
    """Build the Mininet topology of a fabric.

    Hypervisors get no address and a private ``/dev/shm``, because every lldpad wants its own.

    Args:
        fabric: what to build.
        hosts: the :class:`EndSystem` behind each HOST port.
    """
    from mininet.topo import Topo

    topo = Topo()
    systems = {host.name: host for host in hosts}
    for switch in fabric.switches.values():
        topo.addSwitch(switch.name, dpid=f"{switch.dpid:016x}")
    for switch in fabric.switches.values():
        for interface in switch.interfaces.values():
            if interface.role is Role.TRUNK:
                _add_trunk(topo, fabric, switch, interface)
            else:
                _add_host(topo, switch, interface, systems.get(interface.name))
    return topo


def _add_host(topo: Any, switch: Switch, interface: Interface, system: EndSystem | None) -> None:
    addresses: dict[str, str | None] = (
        {"mac": mac_text(system.mac), "ip": system.ip or None} if system else {"ip": None}
    )
    station = {"privateDirs": ["/dev/shm"], STATION_PARAMETER: True} if interface.role is Role.STATION else {}
    topo.addHost(interface.name, **station, **addresses)
    if interface.bond:
        _add_bond(topo, switch, interface)
    else:
        topo.addLink(interface.name, switch.name, port1=0, port2=interface.port_no)


def _add_bond(topo: Any, switch: Switch, interface: Interface) -> None:
    """The links of a station that ends them by a bond of Open vSwitch, behind which it has one uplink."""
    name, links = station_bond(interface), len(interface.links)
    dpid = f"{_BOND_DPIDS | switch.dpid << 16 | interface.port_no:016x}"
    options = {"links": links, "options": bond_options(interface)}
    topo.addSwitch(name, cls=_bond_class(), dpid=dpid, datapath="user", **options)
    topo.addLink(interface.name, name, port1=0, port2=links + 1)
    for number, link in enumerate(interface.links, start=1):
        topo.addLink(name, switch.name, port1=number, port2=link)


@cache
def _bond_class() -> Any:
    """A bridge without a controller, as a class of Mininet's: the part of a station that is its bond.

    It learns no addresses: with reflective relay the frames of a VM come back by the bond.
    """
    from mininet.node import OVSSwitch

    def start(bridge: Any, controllers: object) -> None:
        bridge.protocols, bridge.failMode = None, "standalone"
        OVSSwitch.start(bridge, [])
        ends = [f"{bridge.name}-eth{number}" for number in range(1, bridge.params["links"] + 1)]
        # LLDP and ECP have addresses that a bridge does not forward otherwise.
        bridge.vsctl(f" -- set bridge {bridge.name} other-config:forward-bpdu=true flood_vlans=0-4095")
        bridge.vsctl("".join(f" -- del-port {bridge.name} {end}" for end in ends))
        bridge.vsctl(f" -- add-bond {bridge.name} {bridge.name}ond {' '.join(ends)} {bridge.params['options']}")

    return type("StationBond", (OVSSwitch,), {"start": start})


def bond_options(interface: Interface) -> str:
    """Options of a bond of Open vSwitch, as ``ovs-vsctl add-bond`` takes them."""
    if interface.bond_mode is BondMode.LACP:
        return "bond_mode=balance-tcp lacp=active"
    return "bond_mode=active-backup"


def _add_trunk(topo: Any, fabric: Fabric, switch: Switch, interface: Interface) -> None:
    peer = interface.peer
    assert peer is not None, "of a trunk port"
    if (switch.dpid, interface.port_no) < peer:
        topo.addLink(switch.name, fabric.switches[peer.dpid].name, port1=interface.port_no, port2=peer.port_no)
