"""VSI ports that appear, disappear, or return under another number; and frames of VMs that speak as a station does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.ports import ForeignEvbFrames
from ryu_apps.evb.event_catalogue.vsis import VsiPortFound, VsiPortGone
from ryu_apps.evb.events.effect import GATE_LANE, Mode
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.pipeline.vsi_ports import vsi_port, without_vsi_port
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Registry, Vsi
from ryu_apps.evb.vsi.vsi_port_table import UNKNOWN, VsiPortTable

#: Seconds between two events about frames of a VM at one VSI port.
REPORT_INTERVAL = 1.0
_COUNTER = "not_the_station"


class VsiPortEvents:
    """Events of the VSI ports of all switches.

    Attributes:
        foreign: frames of station protocols from VMs that were dropped, by switch and name of the VSI port.
    """

    def __init__(
        self,
        fabric: Fabric,
        table: VsiPortTable,
        registry: Registry,
        lifecycle: Lifecycle,
        requests: Associations,
        effects: EffectSink,
    ) -> None:
        self._fabric = fabric
        self._table = table
        self._registry = registry
        self._lifecycle = lifecycle
        self._requests = requests
        self._effects = effects
        self._local = {port.dpid: port for port in fabric.local_stations()}
        self.foreign: Counter[tuple[int, str]] = Counter()
        self._reported: dict[tuple[int, str], tuple[float, int]] = {}

    def station_port(self, port: PortId) -> PortId:
        """Return the port of the station whose VM is at a VSI port; any other port stands for itself."""
        return port if self._table.at(port) is None else self._local[port.dpid]

    def connected(self, dpid: int, names: Mapping[int, str], now: float) -> None:
        """Take the ports of a switch that has connected, before it is compared with what it should hold."""
        self._follow(dpid, self._table.shown(dpid, names), now)

    def changed(self, event: PortChanged, now: float) -> None:
        """Take a port that has appeared, disappeared or changed its name."""
        if event.port.dpid in self._local:
            self._follow(event.port.dpid, self._table.changed(event.port, event.name), now)

    def frame(self, port: PortId, data: bytes, now: float) -> None:
        """Count a frame of a station protocol from a VM; nothing else comes untagged from a VSI port."""
        interface = self._table.at(port)
        if interface is None:
            return
        place = port.dpid, interface.name
        self.foreign[place] += 1
        last, counted = self._reported.get(place, (-REPORT_INTERVAL, 0))
        if now >= last + REPORT_INTERVAL:
            self._reported[place] = now, self.foreign[place]
            reason = f"from the VM at VSI port {interface.name}"
            self._effects.put(ForeignEvbFrames(port, _COUNTER, reason, self.foreign[place] - counted))

    # --- other numbers ---
    def _follow(self, dpid: int, before: Mapping[str, int | None], now: float) -> None:
        """Write what depends on the numbers of VSI ports anew; ``before``: those that are not valid any more."""
        if not before:
            return
        owners = [vsi for vsi in self._registry if _port_of(vsi, dpid) in before]
        gone = [vsi for vsi in owners if self._table.interface(dpid, _port_of(vsi, dpid)) is None]
        # A gate never leads to a port without groups: those are removed behind it, and written before it.
        # An owner whose port has another number has its old gate replaced in one change with the new one.
        self._relocate(dpid, gone, before)
        self._write(dpid, before)
        self._relocate(dpid, (vsi for vsi in owners if vsi not in gone), before)
        self._remove(dpid, before)
        for name in before:
            if self._table.interface(dpid, name) is None:
                self.foreign.pop((dpid, name), None)
                self._reported.pop((dpid, name), None)
            elif dpid in self._lifecycle.up:
                self._requests.port_appeared(dpid, name, now)

    def _relocate(self, dpid: int, vsis: Iterable[Vsi], before: Mapping[str, int | None]) -> None:
        for vsi in vsis:
            self._lifecycle.gates.follow(vsi)
            name = _port_of(vsi, dpid)
            there, port = self._table.interface(dpid, name), self._local[dpid]
            if there is None:
                self._effects.put(VsiPortGone(port, vsi.text, name))
            elif before[name] != UNKNOWN:
                self._effects.put(VsiPortFound(port, vsi.text, name, there.port_no))

    def _write(self, dpid: int, names: Iterable[str]) -> None:
        for name in names:
            if (there := self._table.interface(dpid, name)) is not None:
                self._send(dpid, vsi_port(there))

    def _remove(self, dpid: int, before: Mapping[str, int | None]) -> None:
        switch = self._fabric.switches[dpid]
        for name, number in before.items():
            # Unless another VSI port has that number by now.
            if number is not None and self._table.at(PortId(dpid, number)) is None:
                left = switch.vsi_port(name, number)
                assert left is not None, "only VSI ports are in the table"
                self._send(dpid, without_vsi_port(left))

    def _send(self, dpid: int, change: RuleChange) -> None:
        # A switch that is away is compared when it returns; what one refuses leads to a comparison, too.
        if dpid in self._lifecycle.up:
            self._lifecycle.pending.send(dpid, change, Mode.BULK, GATE_LANE)


def _port_of(vsi: Vsi, dpid: int) -> str:
    """The VSI port to which the gate of a VSI leads at a switch; empty: to none."""
    if vsi.owner is None or vsi.gate_program is None or vsi.owner.port.dpid != dpid:
        return ""
    return vsi.gate_program.binding.vsi_port
