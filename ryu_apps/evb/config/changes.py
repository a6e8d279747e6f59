"""Changes of a configuration that a running bridge cannot take, with the places in the new file.

A VSI that is at a port keeps its gate and its body while the file is read again, so what both are made of stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ryu_apps.evb.config.bridge_config import BridgeConfig
from ryu_apps.evb.policy.diagnostic import Diagnostic, error, in_reading_order
from ryu_apps.evb.policy.document import Finding, Path, read_document
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch

#: Keys that the process has taken at its start.
_OF_THE_PROCESS = ("state_dir", "store", "cluster", "pod", "rest", "openflow_reader")
#: Attributes of an interface, which are keys of the file too, of which gates and conversations are made.
_OF_A_PORT = ("native_vlan", "bond", "bond_mode", "port_names", "reflective_relay")
#: Attributes of a switch, and their keys.
_OF_A_SWITCH = {"profile": "profile", "metered": "meters", "translation": "groups"}
_RESTART = "cannot change while the bridge runs; start it anew"


class RefusedChanges:
    """Changes from a configuration to a new one that are refused.

    Args:
        before: the configuration in force.
        file: name of the file.
        text: its present content.
        after: what it says.
    """

    def __init__(self, before: BridgeConfig, file: str, text: str, after: BridgeConfig) -> None:
        self._before, self._after = before, after
        self._document = read_document(file, text)

    def of_the_process(self) -> list[Diagnostic]:
        """Refuse other values of what is read once."""
        changed = (key for key in _OF_THE_PROCESS if getattr(self._before, key) != getattr(self._after, key))
        return self._told(((key,), f"{key} {_RESTART}") for key in changed)

    def in_use(self, vsis: Iterable[tuple[PortId, str]]) -> list[Diagnostic]:
        """Refuse changes of ports and switches at which VSIs are.

        Args:
            vsis: their ports, and the names of their VSI ports; empty: they are behind the port itself.
        """
        names: dict[PortId, set[str]] = {}
        for port, vsi_port in vsis:
            names.setdefault(port, set()).add(vsi_port)
        return self._told(chain.from_iterable(self._at(port, used) for port, used in names.items()))

    def lost(self, vsis: Iterable[tuple[PortId, str, str]]) -> list[Diagnostic]:
        """Refuse a configuration with which some VSIs cannot go on.

        Args:
            vsis: port, VSI and reason of each.
        """
        return self._told((self._path(port), f"VSI {vsi} is at port {port}: {reason}") for port, vsi, reason in vsis)

    def _at(self, port: PortId, used: set[str]) -> Iterator[Finding]:
        before, after = self._before.fabric, self._after.fabric
        path = self._path(port)
        switch, interface = after.switches.get(port.dpid), after.interface(port)
        if switch is None:
            yield ("dps",), f"{before.switches[port.dpid].name} has VSIs and cannot be removed"
        elif interface is None:
            yield path, f"port {_name(before, port)} has VSIs and cannot be removed"
        elif interface.role is not Role.STATION:
            yield path, f"port {_name(before, port)} has VSIs and remains a station"
        else:
            yield from _of_port(path, _interface(before, port), interface)
            yield from _of_switch(path[:2], before.switches[port.dpid], switch, used - {""})

    def _path(self, port: PortId) -> Path:
        """Path of a port in the file, as far as the file has it."""
        found = self._after.fabric.switches.get(port.dpid)
        return ("dps",) if found is None else ("dps", found.name, "interfaces", port.port_no)

    def _told(self, findings: Iterable[Finding]) -> list[Diagnostic]:
        document = self._document
        return in_reading_order(error(document.file, document.key_place(path), reason) for path, reason in findings)


def _of_port(path: Path, before: Interface, after: Interface) -> Iterator[Finding]:
    for key in _OF_A_PORT:
        if getattr(before, key) != getattr(after, key):
            yield (*path, key), f"{key} of port {before.name} cannot change while VSIs are there"


def _of_switch(path: Path, before: Switch, after: Switch, vsi_ports: set[str]) -> Iterator[Finding]:
    for attribute, key in _OF_A_SWITCH.items():
        if getattr(before, attribute) != getattr(after, attribute):
            yield (*path, key), f"{key} of {before.name} cannot change while VSIs are there"
    for name in sorted(vsi_ports):
        if before.vsi_port(name) != after.vsi_port(name):
            yield (*path, "interfaces"), f"VSI port {name} of {before.name} cannot change while its VSI is there"


def _interface(fabric: Fabric, port: PortId) -> Interface:
    return fabric.switches[port.dpid].interfaces[port.port_no]


def _name(fabric: Fabric, port: PortId) -> str:
    return f"{port} ({_interface(fabric, port).name})"
