"""The larger cluster: leaf and spine switches, 32 to 256 nodes, appliances, and a router to the outside.

Every leaf is linked to every spine, no leaf to another leaf.  With one spine this is a two-tier tree.

One description, ``fabric``, as in ``two_switch``: ``mn --custom topologies/multi_switch.py --topo
multiswitch,leaves=4,spines=2,n=32``; ``evbridge topology multi_switch --set leaves=4 --set spines=2 --set n=32``.

Port numbers are the same for every size.  At a leaf: hypervisors from 1, end systems from 901, a proxy at 951 if
there is one, and 1021 is the first link to spine 2.  At a spine: 31 is the first link to leaf 3.
Standard library only here, and no name that mn has itself; see ``two_switch``.
"""

import sys
from pathlib import Path

# In a checkout ryu_apps stands beside this folder, in a wheel around it.
_PARENTS = Path(sys._getframe().f_code.co_filename).resolve().parents
_ROOT = str(next(folder for folder in _PARENTS if (folder / "ryu_apps").is_dir()))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from ryu_apps.evb.topology.fabric import Fabric  # noqa: E402
from ryu_apps.evb.topology.interface import Interface, Role  # noqa: E402
from ryu_apps.evb.topology.port_id import PortId  # noqa: E402
from ryu_apps.evb.topology.switch import Switch  # noqa: E402
from ryu_apps.topologies.mininet_topo import EndSystem, topo_of  # noqa: E402
from ryu_apps.topologies.station_host import station_host  # noqa: E402

NATIVE_VLAN = 100
TAGGED_VLANS = (200,)
HOST_PORT, PROXY_PORT, UPLINK_PORT = 901, 951, 1000
#: Datapath ids of spines are above, those of leaves below.
SPINES_FROM = 1000
MOST_LEAVES, MOST_SPINES, MOST_LINKS, MOST_NODES = 48, 8, 4, 256
#: Limit of a switch's ports that lead to other switches.
MOST_TRUNKS = 63

#: The end systems that speak no EVB, and which leaf each is at: the first, the second, ... or the last.
END_SYSTEMS = (
    EndSystem("nms", 0x525400006401, "10.0.100.1/24"),
    EndSystem("client", 0x525400006402, "10.0.100.2/24"),
    EndSystem("firewall", 0x525400006403, "10.0.100.3/24"),
    EndSystem("balancer", 0x525400006404, "10.0.100.4/24"),
    EndSystem("router", 0x525400006405, "10.0.100.254/24"),
)
_LEAF_OF = {"nms": 0, "client": 1, "firewall": 2, "balancer": 3, "router": -1}
#: Transparent proxies, one at each leaf, if asked for.
PROXIES = tuple(
    EndSystem(f"proxy{leaf}", 0x525400006500 + leaf, f"10.0.100.{200 + leaf}/24") for leaf in range(1, MOST_LEAVES + 1)
)


def fabric(leaves: int = 4, spines: int = 2, n: int = 32, links: int = 1, proxies: int = 0) -> Fabric:
    """Describe a cluster with ``n`` hypervisors, dealt out to the leaves in equal shares.

    Args:
        leaves: switches with nodes.
        spines: switches between them; one makes a two-tier tree.
        links: in parallel from each leaf to each spine.
        proxies: 1: with a transparent proxy at each leaf.

    Raises:
        ValueError: a number that is none, or out of its bounds.
    """
    _check("leaves", leaves, 2, MOST_LEAVES, "leaves")
    _check("spines", spines, 1, MOST_SPINES, "spines")
    _check("links", links, 1, MOST_LINKS, "links from a leaf to a spine")
    _check("n", n, leaves, MOST_NODES, f"hypervisors at {leaves} leaves")
    _check("proxies", proxies, 0, 1, "proxies a leaf")
    if leaves * links > MOST_TRUNKS:
        raise ValueError(
            f"leaves={leaves}, links={links}: a spine has {leaves * links} links, {MOST_TRUNKS} at the most"
        )
    switches = [_leaf(leaf, leaves, spines, n, links, proxies) for leaf in range(1, leaves + 1)]
    switches += [_spine(spine, leaves, links) for spine in range(1, spines + 1)]
    return Fabric({switch.dpid: switch for switch in switches})


def _check(name, number, smallest, largest, what):
    if not isinstance(number, int) or not smallest <= number <= largest:
        raise ValueError(f"{name}={number!r}: a multi-switch cluster has {smallest} to {largest} {what}")


def _leaf(leaf, leaves, spines, n, links, proxies):
    first, beyond = (n * (leaf - 1) // leaves, n * leaf // leaves)
    interfaces = [
        Interface(number - first, f"hv{number}", Role.STATION, NATIVE_VLAN, TAGGED_VLANS)
        for number in range(first + 1, beyond + 1)
    ]
    systems = [system for system in END_SYSTEMS if _LEAF_OF[system.name] % leaves == leaf - 1]
    interfaces += [_host(HOST_PORT + index, system) for index, system in enumerate(systems)]
    if proxies:
        interfaces.append(_host(PROXY_PORT, PROXIES[leaf - 1], "tcp_proxy"))
    interfaces += [
        Interface(_up(spine, link), f"spine{spine}", Role.TRUNK, peer=PortId(SPINES_FROM + spine, _down(leaf, link)))
        for spine in range(1, spines + 1)
        for link in range(1, links + 1)
    ]
    return _switch(leaf, f"leaf{leaf}", interfaces)


def _spine(spine, leaves, links):
    interfaces = [
        Interface(_down(leaf, link), f"leaf{leaf}", Role.TRUNK, peer=PortId(leaf, _up(spine, link)))
        for leaf in range(1, leaves + 1)
        for link in range(1, links + 1)
    ]
    return _switch(SPINES_FROM + spine, f"spine{spine}", interfaces)


def _up(spine, link):
    """A leaf's port to a spine."""
    return UPLINK_PORT + 10 * spine + link


def _down(leaf, link):
    """A spine's port to a leaf."""
    return 10 * leaf + link


def _host(port_no, system, appliance=None):
    return Interface(port_no, system.name, Role.HOST, NATIVE_VLAN, macs=(system.mac,), appliance=appliance)


def _switch(dpid, name, interfaces):
    return Switch(dpid, name, {interface.port_no: interface for interface in interfaces})


def _topo(**sizes):
    try:
        return topo_of(fabric(**sizes), END_SYSTEMS + PROXIES)
    except (ValueError, TypeError) as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        raise SystemExit(f"multiswitch: {error}") from None


topos = {"multiswitch": _topo}
hosts = {"station": station_host}
