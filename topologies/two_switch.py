"""The modest cluster of the founding paper: two switches, 2 to 128 hypervisors, a shared NMS host, a client.

One description, ``fabric``, gives the Mininet topology (``mn --custom topologies/two_switch.py --topo
twoswitch,n=8``), the controller's configuration (``evbridge topology two_switch --set n=8``) and the graph
that the controller computes on.

Port numbers are the same for every n: hypervisors from 1 to 49 and from 101, the host at 50, a proxy at 51 if
there is one, the two trunks at 61 and 62.
Standard library only here: ``mn`` runs this file under the system's Python, and does not tell it
where it lies.  Every name of this module also lands among mn's own globals, so none may be one of those.
"""

import sys
from dataclasses import replace
from pathlib import Path

# mn executes the text of this file without __file__ and without its folder on sys.path.
# In a checkout ryu_apps stands beside this folder, in a wheel around it.
_PARENTS = Path(sys._getframe().f_code.co_filename).resolve().parents
_ROOT = str(next(folder for folder in _PARENTS if (folder / "ryu_apps").is_dir()))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from ryu_apps.evb.topology.fabric import Fabric  # noqa: E402
from ryu_apps.evb.topology.interface import BondMode, Interface, Role  # noqa: E402
from ryu_apps.evb.topology.port_id import PortId  # noqa: E402
from ryu_apps.evb.topology.switch import Switch  # noqa: E402
from ryu_apps.topologies.mininet_topo import EndSystem, topo_of  # noqa: E402
from ryu_apps.topologies.station_host import station_host  # noqa: E402

NATIVE_VLAN = 100
TAGGED_VLANS = (200,)
HOST_PORT, PROXY_PORT, MIRROR_PORT = 50, 51, 52
#: VID of copies to the mirror on the trunks.
REMOTE_VLAN = 4001
TRUNK_PORTS = (61, 62)
#: Second links of stations: this and the number of the first.
SECOND_LINKS = 200
_STATION_PORTS = (*range(1, HOST_PORT), *range(101, 201))
SMALLEST, LARGEST = 2, 128

#: The end systems that speak no EVB; the first is on s1, the second on s2.
END_SYSTEMS = (
    EndSystem("nms", 0x525400006401, "10.0.100.1/24"),
    EndSystem("client", 0x525400006402, "10.0.100.2/24"),
)
#: Transparent proxies, one at each switch, if asked for.
PROXIES = (
    EndSystem("proxy1", 0x525400006403, "10.0.100.3/24"),
    EndSystem("proxy2", 0x525400006404, "10.0.100.4/24"),
)


def fabric(n: int = 8, proxies: int = 0, bonds: int = 0, lacp: int = 0, mirrors: int = 0) -> Fabric:
    """Describe the cluster with ``n`` hypervisors, the first half on s1, the rest on s2.

    Args:
        proxies: 1: with a transparent proxy at each switch.
        bonds: so many hypervisors of each switch, the first ones, have two links.
        lacp: 1: with LACP on them.
        mirrors: 1: with an analyser at s1, the mirror ``ids``.

    Raises:
        ValueError: n is not a number from 2 to 128, or there are fewer hypervisors than bonds.
    """
    if not isinstance(n, int) or not SMALLEST <= n <= LARGEST:
        raise ValueError(f"n={n!r}: a two-switch cluster has {SMALLEST} to {LARGEST} hypervisors")
    if not 0 <= bonds <= n // 2:
        raise ValueError(f"bonds={bonds!r}: a switch has {n // 2} hypervisors")
    names = [f"hv{number}" for number in range(1, n + 1)]
    half = (n + 1) // 2
    mode = BondMode.LACP if lacp else BondMode.ACTIVE_BACKUP
    stations = [_stations(names[:half], bonds, mode), _stations(names[half:], bonds, mode)]
    if mirrors:
        stations[0].append(Interface(MIRROR_PORT, "ids", Role.MIRROR, remote_vlan=REMOTE_VLAN))
    return Fabric(
        {
            1: _switch(1, 2, stations[0], END_SYSTEMS[0], PROXIES[0] if proxies else None),
            2: _switch(2, 1, stations[1], END_SYSTEMS[1], PROXIES[1] if proxies else None),
        }
    )


def _stations(names: list[str], bonds: int, mode: BondMode) -> list[Interface]:
    single = [
        Interface(port_no, name, Role.STATION, NATIVE_VLAN, TAGGED_VLANS)
        for port_no, name in zip(_STATION_PORTS, names, strict=False)
    ]
    bonded = [
        replace(station, bond=(station.port_no, SECOND_LINKS + station.port_no), bond_mode=mode)
        for station in single[:bonds]
    ]
    return bonded + single[bonds:]


def _switch(dpid: int, other: int, stations: list[Interface], host: EndSystem, proxy: EndSystem | None) -> Switch:
    interfaces = list(stations)
    interfaces.append(Interface(HOST_PORT, host.name, Role.HOST, NATIVE_VLAN, macs=(host.mac,)))
    if proxy:
        appliance = Interface(PROXY_PORT, proxy.name, Role.HOST, NATIVE_VLAN, macs=(proxy.mac,), appliance="tcp_proxy")
        interfaces.append(appliance)
    interfaces += [Interface(port_no, f"s{other}", Role.TRUNK, peer=PortId(other, port_no)) for port_no in TRUNK_PORTS]
    return Switch(dpid, f"s{dpid}", {interface.port_no: interface for interface in interfaces})


def _topo(n: int = 8, proxies: int = 0, bonds: int = 0, lacp: int = 0, mirrors: int = 0) -> object:
    try:
        return topo_of(fabric(n, proxies, bonds, lacp, mirrors), END_SYSTEMS + PROXIES)
    except ValueError as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        raise SystemExit(f"twoswitch: {error}") from None


topos = {"twoswitch": _topo}
hosts = {"station": station_host}
