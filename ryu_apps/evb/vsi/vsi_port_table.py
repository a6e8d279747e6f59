"""VSI ports that are there, by switch and name; and the port behind which the VM of a VSI is.

A VSI has two ports: the one by which its station requests it (``Attachment.port``), and the one behind which the VM is.
Behind an uplink both are the same.  At the switch of its own server the second one is a VSI port, known by its name
(``VsiBinding.vsi_port``); its number is found when a gate is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId

#: Number of a port whose switch has not connected yet: the last one that a port may have.
UNKNOWN = 0xFEFF


class VsiPortTable:
    """VSI ports of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._there: dict[int, dict[str, int]] = {dpid: {} for dpid in fabric.switches}

    def behind(self, station_port: PortId, binding: VsiBinding) -> Interface | None:
        """Return the port behind which the VM of a VSI is; None: it is not there now."""
        if not binding.vsi_port:
            return self._fabric.interface(station_port)
        return self.interface(station_port.dpid, binding.vsi_port)

    def interface(self, dpid: int, name: str) -> Interface | None:
        """Return a VSI port; None: it is not there, or no VSI port."""
        number = self._there[dpid].get(name)
        return None if number is None else self._fabric.switches[dpid].vsi_port(name, number)

    def at(self, port: PortId) -> Interface | None:
        """Return the VSI port that has a number now; None: no VSI port has it."""
        there = self._there.get(port.dpid, {})
        name = next((name for name, number in there.items() if number == port.port_no), None)
        return None if name is None else self.interface(port.dpid, name)

    def interfaces(self, dpid: int) -> Iterator[Interface]:
        """Yield the VSI ports of a switch that are there."""
        switch = self._fabric.switches[dpid]
        for name, number in sorted(self._there[dpid].items()):
            if (found := switch.vsi_port(name, number)) is not None:
                yield found

    # --- what switches show ---
    def shown(self, dpid: int, names: Mapping[int, str]) -> dict[str, int | None]:
        """Take the ports of a switch that has connected.

        Returns:
            The numbers that VSI ports have had until now, of those whose number has changed; None: it was not there.
        """
        there = {name: number for number, name in sorted(names.items()) if self._is_vsi_port(dpid, number, name)}
        before, self._there[dpid] = self._there[dpid], there
        return {name: before.get(name) for name in {**before, **there} if before.get(name) != there.get(name)}

    def changed(self, port: PortId, name: str) -> dict[str, int | None]:
        """Take a port that has appeared, or is gone (``name`` is empty); returns as :meth:`shown`."""
        names = {number: shown for shown, number in self._there[port.dpid].items() if number != port.port_no}
        if name:
            # A name that is at another number already has moved: the old number is about to be reported as gone.
            names = {number: shown for number, shown in names.items() if shown != name}
            names[port.port_no] = name
        return self.shown(port.dpid, names)

    def assume(self, dpid: int, name: str) -> None:
        """Take a VSI port for present, under any number, until its switch has connected after a restart.

        Without it the other switches would lose the gates of a VM that is there.
        """
        self._there[dpid].setdefault(name, UNKNOWN)

    def _is_vsi_port(self, dpid: int, number: int, name: str) -> bool:
        switch = self._fabric.switches[dpid]
        # A number of the configuration is that of an uplink or a station, whatever it is called.
        configured = any(number in interface.links for interface in switch.interfaces.values())
        return not configured and switch.vsi_port(name) is not None
