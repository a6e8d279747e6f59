"""A ``Fabric`` as a Mininet ``Topo``: the same names, datapath ids and port numbers.

Mininet is imported only when a topology is built, so that descriptions can be read where it is absent.
"""

from typing import NamedTuple

from ryu_apps.evb.topology.fabric import Role


class EndSystem(NamedTuple):
    """A host with fixed addresses: ``mac`` as a 48-bit integer, ``ip`` with its prefix length."""

    name: str
    mac: int
    ip: str


def mac_text(mac):
    """``52:54:00:00:64:01`` for a 48-bit integer."""
    return mac.to_bytes(6, "big").hex(":")


def topo_of(fabric, hosts=()):
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


def _add_host(topo, switch, interface, system):
    addresses = {"mac": mac_text(system.mac), "ip": system.ip} if system else {"ip": None}
    private = ["/dev/shm"] if interface.role is Role.STATION else []
    topo.addHost(interface.name, privateDirs=private, **addresses)
    topo.addLink(interface.name, switch.name, port1=0, port2=interface.port_no)


def _add_trunk(topo, fabric, switch, interface):
    peer = interface.peer
    if (switch.dpid, interface.port_no) < peer:
        topo.addLink(switch.name, fabric.switches[peer.dpid].name, port1=interface.port_no, port2=peer.port_no)
