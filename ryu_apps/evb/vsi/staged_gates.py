"""Gates that open by a meter: the rules and the meter that are staged with the body.

The meter drops all frames until the gate opens; flows that a switch has cached meanwhile pass as soon as it does.
"""

from __future__ import annotations

from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.pipeline.metered_gate import metered_gate, opened, shut
from ryu_apps.evb.services.body import entry_of, gate_meter
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.gate_meters import GateMeters
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment, OpenMeter
from ryu_apps.evb.vsi.steering import passed_frames
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable


class StagedGates:
    """Parts of gates that are in a switch before the gate opens."""

    def __init__(self, fabric: Fabric, vsi_ports: VsiPortTable, meters: GateMeters) -> None:
        self._fabric = fabric
        self._vsi_ports = vsi_ports
        self._meters = meters

    def rules(self, port: PortId, program: Installation) -> tuple[Rule, ...]:
        """Return the rules that are staged with the body of a program, and lead through the meter of its gate."""
        interface, binding = self._vsi_ports.behind(port, program.binding), program.binding
        if interface is None or not self._meters.used_at(port.dpid):
            return ()
        entry, policer = entry_of(program.vsi_type), gate_meter(program.vsi_type, binding)
        copied = self._fabric.converge is Converge.COPY
        passed = passed_frames(self._fabric, program)
        return tuple(metered_gate(interface, binding, program.epoch, entry, policer, copied, passed))

    def basis(self, port: PortId, program: Installation) -> tuple[object, ...]:
        """Return what :meth:`rules` depends on beside type and binding."""
        return program.epoch, self._vsi_ports.behind(port, program.binding), self._meters.used_at(port.dpid)

    def meters(self, attachment: Attachment, program: Installation) -> tuple[Meter, ...]:
        """Return the meter of the gate of a program as it should be now; empty: it has none."""
        meter, dpid = program.binding.gate_meter, attachment.port.dpid
        if meter is None or not self._meters.used_at(dpid):
            return ()
        is_open = attachment.vsi.open_meter == OpenMeter(dpid, meter.number)
        return (opened(meter.number) if is_open else shut(meter.number),)
