"""The larger cluster of the founding paper: many switches, or two large ones, 32 to 256 nodes, vSwitches.

``leaves`` switches with nodes and ``spines`` between them; without spines the leaves are two, linked to each other: the
larger dual-switch configuration.  ``mn --custom topologies/paper_larger.py --topo paperlarger,n=32``.
Standard library only, and every name also lands among mn's own globals: see ``two_switch``.
"""

import sys
from pathlib import Path

# mn executes the text of this file without __file__ and without its folder on sys.path.
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
from ryu_apps.topologies.vswitch_servers import (  # noqa: E402
    END_SYSTEMS as _SHARED,
)
from ryu_apps.topologies.vswitch_servers import (  # noqa: E402
    HOST_PORT,
    MOST_SERVERS,
    edge_switch,
    end_system,
    with_vswitches,
)

SMALLEST, LARGEST = 32, 256
MOST_LEAVES, MOST_SPINES = 24, 8
UPLINKS, SPINES_FROM = 1001, 1001

END_SYSTEMS = (*_SHARED, EndSystem("router", 0x525400006405, "10.0.100.254/24"))
#: The leaf that each is at: the first, the second, ... or the last.
_LEAF_OF = {"nms": 0, "client": 1, "balancer": 2, "router": -1}


def fabric(n: int = 32, leaves: int = 4, spines: int = 2, servers: int = 8) -> Fabric:
    """Describe the cluster: ``hv1`` to ``hvN`` dealt out to the leaves in turn, of which the first are servers.

    Args:
        leaves: switches with nodes.
        spines: switches between them; 0: two leaves with two links to each other.
        servers: nodes with an Open vSwitch of their own.

    Raises:
        ValueError: a number that is none, or out of its bounds.
    """
    _check("n", n, SMALLEST, LARGEST, "nodes")
    _check("spines", spines, 0, MOST_SPINES, "spines")
    _check("leaves", leaves, 2, MOST_LEAVES if spines else 2, "leaves")
    _check("servers", servers, 4, min(n, MOST_SERVERS), "servers")
    numbers = range(1, servers + 1)
    switches = [
        switch
        for leaf in range(leaves)
        for switch in edge_switch(
            1 + leaf, f"leaf{1 + leaf}", range(1 + leaf, n + 1, leaves), numbers, _others(leaf, leaves, spines)
        )
    ]
    switches += [_spine(spine, leaves) for spine in range(spines)]
    return with_vswitches(Fabric({switch.dpid: switch for switch in switches}), numbers)


def _check(name, number, smallest, largest, what):
    if not isinstance(number, int) or not smallest <= number <= largest:
        raise ValueError(f"{name}={number!r}: this larger cluster has {smallest} to {largest} {what}")


def _others(leaf, leaves, spines):
    hosts = [system for system in END_SYSTEMS if _LEAF_OF[system.name] % leaves == leaf]
    ports = [end_system(HOST_PORT + index, system) for index, system in enumerate(hosts)]
    if not spines:
        other = 2 - leaf
        links = (UPLINKS, UPLINKS + 1)
        return ports + [Interface(no, f"leaf{other}", Role.TRUNK, peer=PortId(other, no)) for no in links]
    return ports + [
        Interface(UPLINKS + spine, f"spine{1 + spine}", Role.TRUNK, peer=PortId(SPINES_FROM + spine, 1 + leaf))
        for spine in range(spines)
    ]


def _spine(spine, leaves):
    ports = [
        Interface(1 + leaf, f"leaf{1 + leaf}", Role.TRUNK, peer=PortId(1 + leaf, UPLINKS + spine))
        for leaf in range(leaves)
    ]
    return Switch(SPINES_FROM + spine, f"spine{1 + spine}", {port.port_no: port for port in ports})


def _topo(**sizes):
    try:
        return topo_of(fabric(**sizes), END_SYSTEMS)
    except (ValueError, TypeError) as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        raise SystemExit(f"paperlarger: {error}") from None


topos = {"paperlarger": _topo}
hosts = {"station": station_host}
