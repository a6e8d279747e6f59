"""The modest cluster of the founding paper: two switches, 8 to 32 nodes, single and distributed vSwitches.

A shared NMS and a load balancer are hosts; half of the nodes are servers with an Open vSwitch of their own, the others
have a VEPA.  ``mn --custom topologies/paper_modest.py --topo papermodest,n=8``, ``evbridge topology paper_modest``.
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
from ryu_apps.topologies.mininet_topo import topo_of  # noqa: E402
from ryu_apps.topologies.station_host import station_host  # noqa: E402
from ryu_apps.topologies.vswitch_servers import END_SYSTEMS, HOST_PORT, edge_switch, end_system, with_vswitches  # noqa: E402

SMALLEST, LARGEST = 8, 32
TRUNK_PORTS = (1001, 1002)
_AT = {"nms": 1, "client": 2, "balancer": 1}


def fabric(n: int = 8) -> Fabric:
    """Describe the cluster: ``hv1`` to ``hvN``, odd numbers at s1, even ones at s2; four of eight are servers.

    Raises:
        ValueError: n is not a number from 8 to 32.
    """
    if not isinstance(n, int) or not SMALLEST <= n <= LARGEST:
        raise ValueError(f"n={n!r}: the modest cluster has {SMALLEST} to {LARGEST} nodes")
    servers = [number for number in range(1, n + 1) if (number - 1) % 8 < 4]
    switches = [
        switch
        for dpid in (1, 2)
        for switch in edge_switch(dpid, f"s{dpid}", range(dpid, n + 1, 2), servers, _others(dpid))
    ]
    return with_vswitches(Fabric({switch.dpid: switch for switch in switches}), servers)


def _others(dpid):
    other = 3 - dpid
    hosts = [system for system in END_SYSTEMS if _AT[system.name] == dpid]
    ports = [end_system(HOST_PORT + index, system) for index, system in enumerate(hosts)]
    return ports + [Interface(port_no, f"s{other}", Role.TRUNK, peer=PortId(other, port_no)) for port_no in TRUNK_PORTS]


def _topo(n: int = 8) -> object:
    try:
        return topo_of(fabric(n), END_SYSTEMS)
    except ValueError as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        raise SystemExit(f"papermodest: {error}") from None


topos = {"papermodest": _topo}
hosts = {"station": station_host}
