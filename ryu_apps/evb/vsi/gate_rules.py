"""The rules of the gate of one VSI at each switch."""

from __future__ import annotations

from ryu_apps.evb.flow.actions import OutputGroup
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.gate import group_gate, local_gate, remote_gate, remote_group_gate
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.vsi_ports import tags
from ryu_apps.evb.services.body import entry_of, gate_meter, multicast_of
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.set_members import SetMembers
from ryu_apps.evb.vsi.steering import remote_steered_gate, steered_gate


class GateRules:
    """Rules of gates."""

    def __init__(self, fabric: Fabric, wiring: TrunkGraph, set_members: SetMembers) -> None:
        self._fabric = fabric
        self._wiring = wiring
        self._set_members = set_members
        self._groups: dict[int, list[tuple[OutputGroup, bool, list[int]]]] = {}

    def of(
        self, owner: Attachment | None, program: Installation | None, interface: Interface | None
    ) -> dict[int, RuleSet]:
        """Return the gate of a VSI at each switch.

        Args:
            interface: the port behind which its VM is.
        """
        if owner is None or program is None or interface is None:
            return {}
        binding, entry, home = program.binding, entry_of(program.vsi_type), owner.port.dpid
        policer = gate_meter(program.vsi_type, binding)
        local = local_gate(interface, binding, program.epoch, entry, policer, silent=owner.silent)
        if interface.role is Role.VSI:
            local |= tags(interface, self._fabric.switches[home].translation, binding)
        snooped = multicast_of(program.vsi_type, binding.bindings) is not None
        if snooped and self._fabric.switches[home].extended:
            rule = group_gate(interface, binding, program.epoch)
            local[rule.key] = rule
        gates = {home: local} | self._remote(home, binding, snooped)
        if self._fabric.appliances:
            gates = self._with_steering(home, program, interface, gates)
        if not self._set_members.any:
            return gates
        return {dpid: self._with_members(dpid, program, gate) for dpid, gate in gates.items()}

    def _remote(self, home: int, binding: VsiBinding, snooped: bool) -> dict[int, RuleSet]:
        """Return the gate at each other switch; also without stations: frames for the VSI come in at any host port."""
        # Switches that forward alike have one set of rules together: else a VSI costs as many sets as switches.
        gates: dict[int, RuleSet] = {}
        for output, extended, dpids in self._alike(home):
            gate = remote_gate(output, binding)
            if snooped and extended:
                rule = remote_group_gate(binding)
                gate[rule.key] = rule
            gates.update(dict.fromkeys(dpids, gate))
        return gates

    def _alike(self, home: int) -> list[tuple[OutputGroup, bool, list[int]]]:
        """Return the other switches, grouped by their output towards a switch; routes change groups, no rules."""
        if home not in self._groups:
            groups: dict[tuple[OutputGroup, bool], list[int]] = {}
            for dpid in self._wiring.others(home):
                output = towards(self._wiring, dpid, home)
                groups.setdefault((output, self._fabric.switches[dpid].extended), []).append(dpid)
            self._groups[home] = [(*alike, dpids) for alike, dpids in groups.items()]
        return self._groups[home]

    def _with_steering(
        self, home: int, program: Installation, interface: Interface, gates: dict[int, RuleSet]
    ) -> dict[int, RuleSet]:
        return {
            dpid: gate
            | (
                steered_gate(self._fabric, program, interface)
                if dpid == home
                else remote_steered_gate(self._fabric, program, towards(self._wiring, dpid, home))
            )
            for dpid, gate in gates.items()
        }

    def _with_members(self, dpid: int, program: Installation, gate: RuleSet) -> RuleSet:
        members = self._set_members.rules(dpid, program)
        return {**gate, **members} if members else gate
