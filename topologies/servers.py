"""A rack of servers, each with an Open vSwitch that has its VMs on taps, and hypervisors with a VEPA beside them.

``mn --custom topologies/servers.py --topo servers,n=2``, ``evbridge topology servers --set n=2``.
Standard library only, and every name also lands among mn's own globals: see ``two_switch``.
"""

import sys
from pathlib import Path

# mn executes the text of this file without __file__ and without its folder on sys.path.
_PARENTS = Path(sys._getframe().f_code.co_filename).resolve().parents
_ROOT = str(next(folder for folder in _PARENTS if (folder / "ryu_apps").is_dir()))
if _ROOT not in sys.path:
    sys.path.append(_ROOT)

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay  # noqa: E402
from ryu_apps.evb.topology.fabric import Fabric  # noqa: E402
from ryu_apps.evb.topology.interface import Interface, Role  # noqa: E402
from ryu_apps.evb.topology.port_id import PortId  # noqa: E402
from ryu_apps.evb.topology.switch import Switch  # noqa: E402
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern  # noqa: E402
from ryu_apps.topologies.mininet_topo import EndSystem, topo_of  # noqa: E402
from ryu_apps.topologies.station_host import station_host  # noqa: E402

NATIVE_VLAN = 100
HOST_PORTS = (50, 51)
UPLINK_PORT, STATION_PORT = 1, 2
LARGEST = 40
_RACK = 1
#: Ports of the rack's switch towards servers, and datapath ids of their switches: this plus the server's number.
_DOWNLINKS, _SERVERS = 100, 0x100

END_SYSTEMS = (
    EndSystem("nms", 0x525400006401, "10.0.100.1/24"),
    EndSystem("client", 0x525400006402, "10.0.100.2/24"),
)


def fabric(n: int = 2, vepas: int = 1) -> Fabric:
    """Describe the rack: servers ``hv1`` to ``hvN`` with switches ``vs1`` to ``vsN``, then hypervisors with a VEPA.

    Raises:
        ValueError: too few or too many of either.
    """
    if not 1 <= n <= LARGEST:
        raise ValueError(f"n={n!r}: a rack has 1 to {LARGEST} servers")
    if not 0 <= vepas <= LARGEST:
        raise ValueError(f"vepas={vepas!r}: a rack has 0 to {LARGEST} hypervisors beside its servers")
    servers = {_SERVERS + number: _server(number) for number in range(1, n + 1)}
    return Fabric({_RACK: _rack(n, vepas), **servers})


def _rack(n: int, vepas: int) -> Switch:
    ports = [Interface(number, f"hv{n + number}", Role.STATION, NATIVE_VLAN) for number in range(1, vepas + 1)]
    for port_no, system in zip(HOST_PORTS, END_SYSTEMS, strict=True):
        ports.append(Interface(port_no, system.name, Role.HOST, NATIVE_VLAN, macs=(system.mac,)))
    for number in range(1, n + 1):
        peer = PortId(_SERVERS + number, UPLINK_PORT)
        ports.append(Interface(_DOWNLINKS + number, f"vs{number}", Role.TRUNK, peer=peer))
    return Switch(_RACK, "s1", {port.port_no: port for port in ports})


def _server(number: int) -> Switch:
    # Names differ from server to server: Mininet has all switches in one network namespace.
    uplink = Interface(UPLINK_PORT, "s1", Role.TRUNK, peer=PortId(_RACK, _DOWNLINKS + number))
    relay = ReflectiveRelay.NEVER
    station = Interface(
        STATION_PORT, f"hv{number}", Role.STATION, reflective_relay=relay, port_names=f"t{number}{{mac}}"
    )
    ports = {port.port_no: port for port in (uplink, station)}
    return Switch(_SERVERS + number, f"vs{number}", ports, vsi_ports=(VsiPortPattern(f"t{number}*", NATIVE_VLAN),))


def _topo(n: int = 2, vepas: int = 1) -> object:
    try:
        return topo_of(fabric(n, vepas), END_SYSTEMS)
    except ValueError as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        raise SystemExit(f"servers: {error}") from None


topos = {"servers": _topo}
hosts = {"station": station_host}
