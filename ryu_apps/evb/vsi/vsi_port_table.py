"""VSI ports that are there, by switch and name; and the port behind which the VM of a VSI is.

A VSI has two ports: the one by which its station requests it (``Attachment.port``), and the one behind which the VM is.
Behind an uplink both are the same.  At the switch of its own server the second one is a VSI port, known by its name
(``VsiBinding.vsi_port``); its number is found when a gate is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.port_id import PortId

#: Number of a port whose switch has not connected yet: the last one that a port may have.
UNKNOWN = 0xFEFF


class VsiPortTable:
    """VSI ports of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._there: dict[int, _Ports] = {dpid: _Ports({}, {}) for dpid in fabric.switches}

    def behind(self, station_port: PortId, binding: VsiBinding) -> Interface | None:
        """Return the port behind which the VM of a VSI is; None: it is not there now.

        Of several native VLANs that a VSI port may have, it has that of the VSI.
        """
        if not binding.vsi_port:
            return self._fabric.interface(station_port)
        there = self.interface(station_port.dpid, binding.vsi_port)
        if there is None or not there.native_vlans:
            return there
        local = self._fabric.switches[station_port.dpid].translation.local
        return there.with_native_of(vid for pair in binding.bindings if (vid := local(pair.vid)) is not None)

    def interface(self, dpid: int, name: str) -> Interface | None:
        """Return a VSI port; None: it is not there, or no VSI port."""
        return self._there[dpid].by_name.get(name)

    def at(self, port: PortId) -> Interface | None:
        """Return the VSI port that has a number now; None: no VSI port has it."""
        there = self._there.get(port.dpid)
        return None if there is None else there.by_number.get(port.port_no)

    def interfaces(self, dpid: int) -> Iterator[Interface]:
        """Yield the VSI ports of a switch that are there, in the order of their names."""
        for _, found in sorted(self._there[dpid].by_name.items()):
            yield found

    # --- what switches show ---
    def shown(self, dpid: int, names: Mapping[int, str]) -> dict[str, int | None]:
        """Take the ports of a switch that has connected.

        Returns:
            The numbers that VSI ports have had until now, of those whose number has changed; None: it was not there.
        """
        there = _Ports({}, {})
        for number, name in sorted(names.items()):
            if (found := self._vsi_port(dpid, number, name)) is not None:
                there.put(found)
        before, self._there[dpid] = self._there[dpid].numbers, there
        after = there.numbers
        return {name: before.get(name) for name in {**before, **after} if before.get(name) != after.get(name)}

    def changed(self, port: PortId, name: str) -> dict[str, int | None]:
        """Take a port that has appeared, or is gone (``name`` is empty); returns as :meth:`shown`."""
        there = self._there[port.dpid]
        found = self._vsi_port(port.dpid, port.port_no, name) if name else None
        # A name that is at another number already has moved: the old number is about to be reported as gone.
        moved = None if found is None else there.by_name.get(name)
        left = there.by_number.get(port.port_no)
        if found == left:
            return {}
        before: dict[str, int | None] = {}
        if left is not None:
            there.remove(left)
            before[left.name] = left.port_no
        if found is not None:
            before[name] = None if moved is None else moved.port_no
            there.put(found)
        return before

    def assume(self, dpid: int, name: str) -> None:
        """Take a VSI port for present, under any number, until its switch has connected after a restart.

        Without it the other switches would lose the gates of a VM that is there.
        """
        found = self._fabric.switches[dpid].vsi_port(name, UNKNOWN)
        if found is not None:
            self._there[dpid].by_name.setdefault(name, found)

    def _vsi_port(self, dpid: int, number: int, name: str) -> Interface | None:
        switch = self._fabric.switches[dpid]
        # A number of the configuration is that of an uplink or a station, whatever it is called.
        configured = any(number in interface.links for interface in switch.interfaces.values())
        return None if configured else switch.vsi_port(name, number)


class _Ports(NamedTuple):
    """VSI ports of one switch, built once when they appear: gates, and each snooped frame, ask for them."""

    by_name: dict[str, Interface]
    by_number: dict[int, Interface]

    @property
    def numbers(self) -> dict[str, int]:
        return {name: found.port_no for name, found in self.by_name.items()}

    def put(self, found: Interface) -> None:
        if (moved := self.by_name.get(found.name)) is not None:
            self.remove(moved)
        self.by_name[found.name] = self.by_number[found.port_no] = found

    def remove(self, gone: Interface) -> None:
        del self.by_name[gone.name]
        # One that is assumed to be there has no number.
        self.by_number.pop(gone.port_no, None)
