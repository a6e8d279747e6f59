"""Gates of all VSIs: computes one change a switch that moves a VSI to another port.

The gatekeeper holds the flood memberships, because a gate and the copies of broadcasts open in one change, and the
rotations of load balancers, because a back end gets connections from the moment its gate is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.evb.flow.change import NO_CHANGE, RuleChange
from ryu_apps.evb.flow.plan import RuleSet, joined, merge
from ryu_apps.evb.pipeline.flood_reader import ShownMember
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.flips import Flips, memberships
from ryu_apps.evb.vsi.floods import Floods
from ryu_apps.evb.vsi.gate_meters import GateMeters
from ryu_apps.evb.vsi.gate_rules import GateRules
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.multicast_groups import MulticastGroups
from ryu_apps.evb.vsi.pools import Pools
from ryu_apps.evb.vsi.prepared_flips import Flip
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.set_members import SetMembers
from ryu_apps.evb.vsi.staged_gates import StagedGates
from ryu_apps.evb.vsi.steering import Steering
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable

_NOTHING: RuleSet = {}


class GateMove(NamedTuple):
    """A gate that moves.

    Attributes:
        changes: of each switch, to be made atomically.
        followers: switches whose part the Associate does not wait for: they send copies to both ends of the move.
    """

    changes: dict[int, RuleChange]
    followers: frozenset[int]


class Gatekeeper:
    """Gates of all VSIs, and the flood rules that VSIs share.

    Attributes:
        groups: members of IP multicast, staged and active; their gates are here.
        pools: back ends of load balancers.
        steering: instances of appliances.
        meters: numbers of the meters of gates.
        set_members: sets that programs name, and the members that gates have for them.
        vsi_ports: the ports behind which VMs are.
        copies: of frames to VMs that move.
        flips: changes of gates, some of them prepared.
        staged: parts of gates that are staged with bodies.
    """

    def __init__(
        self,
        fabric: Fabric,
        wiring: TrunkGraph,
        in_flight: InFlight,
        copies: Copies,
        set_members: SetMembers,
        vsi_ports: VsiPortTable,
    ) -> None:
        self._fabric = fabric
        self.copies = copies
        self.vsi_ports = vsi_ports
        self.set_members = set_members
        self._wiring = wiring
        self._in_flight = in_flight
        self.floods = Floods(fabric)
        self._gates = GateRules(fabric, wiring, set_members)
        self.groups = MulticastGroups(wiring, fabric.switches, self.floods)
        self.pools = Pools(fabric)
        self.steering = Steering(fabric, wiring)
        self.meters = GateMeters(fabric)
        self.flips = Flips(
            *(fabric, self._gates, self.floods, self.groups, self.pools, self.steering, self.meters),
            *(set_members, copies, in_flight, vsi_ports),
        )
        self.staged = StagedGates(fabric, vsi_ports, self.meters)

    def move(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        pages: tuple[int | None, ...] = (),
    ) -> GateMove:
        """Open the gate of a VSI at ``owner`` (with ``program``) and close any other; None: close it.

        Args:
            pages: its flood pages until now, from :meth:`pages`, if it is to keep them.

        Returns:
            The change of each switch, to be made atomically; switches without a change are left out.
        """
        place = self.flips.place(owner, program)
        flip = self.flips.take(vsi, owner, program, place, pages)
        # Floods first: the common multicast rules of a VLAN are composed from its flood members.
        vids = () if flip.same_receivers else {vid for _, vid, _ in (*vsi.members, *flip.members)}
        groups = self.groups.rebase(vids)
        # Before the owner changes: the detour starts at the switch of the old owner.
        copied = self.copies.moved(vsi, owner, program)
        detours = self._in_flight.moved(vsi, owner, program, copied.shield)
        steered = self.steering.place(vsi.text, owner.port if owner and place else None, program)
        # All in one bundle a switch: with the gate apart from the floods, a broadcast would reach the VM at both ports
        # or at neither.
        changes = {
            dpid: joined(
                flip.with_detour(dpid, detours[dpid]) if dpid in detours else flip.changes[dpid],
                groups.get(dpid, NO_CHANGE),
                RuleChange(groups=steered[dpid]) if steered else NO_CHANGE,
            )
            for dpid in self._fabric.switches
        }
        self._note(vsi, owner, program, place, flip)
        return GateMove({dpid: change for dpid, change in changes.items() if change}, copied.followers)

    def resume(self, vsi: Vsi, owner: Attachment, program: Installation, pages: tuple[int | None, ...]) -> None:
        """Take up a gate that the switches have, without the rules of groups (:meth:`.GroupInstaller.resumed`).

        Args:
            pages: its flood pages before the controller was restarted, from :meth:`pages`.
        """
        # Rules that VSIs share are not composed here: for each of thousands of VSIs in turn they grow with the square.
        place = self.flips.place(owner, program)
        gates, members = self._gates.of(owner, program, place), memberships(owner, program, place, self.floods.plain)
        self.floods.replace(vsi.text, vsi.members, members, pages)
        self.pools.place(vsi.text, program if place is not None else None)
        self.steering.place(vsi.text, owner.port if place is not None else None, program)
        meter = self.flips.open_meter(owner, program) if gates else None
        self._note(vsi, owner, program, place, Flip(gates, members, {}, meter))

    def _note(
        self, vsi: Vsi, owner: Attachment | None, program: Installation | None, place: Interface | None, flip: Flip
    ) -> None:
        self.flips.moves += 1
        self.set_members.moved(vsi, active=place is not None)
        vsi.owner, vsi.gate_program = owner, program
        vsi.gates, vsi.members, vsi.open_meter = flip.gates, flip.members, flip.open_meter

    def renew(self, vsi: Vsi) -> dict[int, RuleChange]:
        """Update the gate of a VSI whose station reports that the VM is suspended, or runs; returns the changes."""
        self.flips.moves += 1
        place = self.flips.place(vsi.owner, vsi.gate_program)
        gates = self._gates.of(vsi.owner, vsi.gate_program, place)
        meter = self.flips.open_meter(vsi.owner, vsi.gate_program) if gates else None
        changes = {dpid: self.flips.change_of_gate(vsi, dpid, gates, meter) for dpid in self._fabric.switches}
        vsi.gates, vsi.open_meter = gates, meter
        return {dpid: change for dpid, change in changes.items() if change}

    def others(self, dpid: int) -> tuple[int, ...]:
        """The switches that forward towards ``dpid``."""
        return self._wiring.others(dpid)

    def profile(self, dpid: int) -> Profile:
        """The profile of a switch."""
        return self._fabric.switches[dpid].profile

    def pages(self, vsi: Vsi) -> tuple[int | None, ...]:
        """Return the flood page of each of a VSI's memberships.

        Records keep them: after a restart the same pages give the same rules, so the comparison finds no difference.
        """
        return tuple(map(self.floods.page_of, vsi.members))

    def adopt_members(self, dpid: int, shown: Iterable[ShownMember]) -> dict[int, RuleChange]:
        """Take up members of broadcasts that no record explains; returns the changes of other switches."""
        self.flips.moves += 1
        _, vids = self.floods.drop(dpid)
        members = tuple(shown)
        self.floods.adopt(dpid, members)
        return self.groups.rebase(vids | {found.vid for found in members})

    def drop_members(self, dpid: int) -> dict[int, RuleChange]:
        """Remove the members of a switch that were not claimed; returns the change of each switch."""
        self.flips.moves += 1
        change, vids = self.floods.drop(dpid)
        changes = self.groups.rebase(vids)
        return {**changes, dpid: merge(change, changes.get(dpid, NO_CHANGE))}

    def flood_rules(self, dpid: int) -> RuleSet:
        """Return the flood and multicast rules of a switch."""
        rules = self.floods.rules(dpid)
        rules.update(self.groups.rules(dpid))
        return rules
