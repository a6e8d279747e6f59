"""A fabric of the user's own for ``mn``: ``evbridge topology my_fabric.yaml --mininet my_fabric.json`` writes the file.

``mn --custom topologies/from_file.py --topo fromfile,path=my_fabric.json`` builds it.  mn's Python reads no YAML,
and the checks are the controller's: so what arrives here is checked, and JSON.

Standard library only here, and no name that mn has itself; see ``two_switch``.
"""

import json as _json
import sys
from pathlib import Path

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

_VERSION = 1


def written(fabric, hosts=()):
    """The text of a file: what Mininet needs to know of a fabric, and the :class:`EndSystem` behind its HOST ports."""
    systems = {host.name: host for host in hosts}
    switches = [
        {
            "name": switch.name,
            "dpid": switch.dpid,
            "ports": [_written_port(port, systems.get(port.name)) for port in switch.interfaces.values()],
        }
        for switch in fabric.switches.values()
    ]
    return _json.dumps({"version": _VERSION, "switches": switches}, indent=1) + "\n"


def _written_port(one, system):
    port = {"port": one.port_no, "name": one.name, "role": one.role.value}
    if one.peer is not None:
        port["peer"] = list(one.peer)
    if one.macs:
        port["mac"] = one.macs[0]
    if one.bond:
        port |= {"bond": list(one.bond), "bond_mode": one.bond_mode.value}
    if system is not None and system.ip:
        port["ip"] = system.ip
    return port


def read(text):
    """The fabric and the end systems in a text of :func:`written`.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = _json.loads(text)
        if found["version"] != _VERSION:
            raise ValueError(f"version {found['version']}, this reads {_VERSION}")
        switches = [
            Switch(switch["dpid"], switch["name"], {port["port"]: _read_port(port) for port in switch["ports"]})
            for switch in found["switches"]
        ]
        hosts = tuple(
            EndSystem(port["name"], port["mac"], port.get("ip", ""))
            for switch in found["switches"]
            for port in switch["ports"]
            if port["role"] == Role.HOST.value
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not what evbridge topology --mininet writes: {error}") from None
    return Fabric({switch.dpid: switch for switch in switches}), hosts


def _read_port(port):
    peer = PortId(*port["peer"]) if "peer" in port else None
    macs = (port["mac"],) if "mac" in port else ()
    mode = BondMode(port.get("bond_mode", BondMode.ACTIVE_BACKUP))
    bond = tuple(port.get("bond", ()))
    return Interface(port["port"], port["name"], Role(port["role"]), macs=macs, peer=peer, bond=bond, bond_mode=mode)


def _topo(path=""):
    try:
        return topo_of(*read(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        # Not left to mn: it answers an exception by killing controllers by name.
        reason = getattr(error, "strerror", None) or error
        raise SystemExit(f"fromfile: path={path}: {reason}") from None


topos = {"fromfile": _topo}
hosts = {"station": station_host}
