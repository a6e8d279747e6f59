"""Flips of gates: the change of each switch that opens the gate of one program, and shuts that of another.

A flip is composed from the gate, the floods, the rotations of load balancers and the copies of a VSI.  Those of staged
programs are prepared, and used if nothing has changed from which they were composed.
"""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.flow.change import NO_CHANGE, RuleChange
from ryu_apps.evb.flow.plan import RuleSet, difference, joined
from ryu_apps.evb.flow.rule import Group
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.gate import to_vm_metadata
from ryu_apps.evb.pipeline.infrastructure import port_groups
from ryu_apps.evb.pipeline.metered_gate import opened, shut
from ryu_apps.evb.services.body import classes_of, multicast_of
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.floods import Floods, Membership
from ryu_apps.evb.vsi.gate_meters import GateMeters
from ryu_apps.evb.vsi.gate_rules import GateRules
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.multicast_groups import MulticastGroups
from ryu_apps.evb.vsi.pools import Pools
from ryu_apps.evb.vsi.prepared_flips import Departure, Flip, FlipInputs, PreparedFlip, PreparedFlips
from ryu_apps.evb.vsi.registry import Attachment, OpenMeter, Vsi
from ryu_apps.evb.vsi.set_members import SetMembers
from ryu_apps.evb.vsi.steering import Steering
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable

_NOTHING: RuleSet = {}


class Flips:
    """Composes flips, and keeps those that are prepared.

    Attributes:
        moves: changes of gates and floods so far; the gatekeeper counts them.
    """

    def __init__(
        self,
        fabric: Fabric,
        gates: GateRules,
        floods: Floods,
        groups: MulticastGroups,
        pools: Pools,
        steering: Steering,
        meters: GateMeters,
        set_members: SetMembers,
        copies: Copies,
        in_flight: InFlight,
        vsi_ports: VsiPortTable,
    ) -> None:
        self.moves = 0
        self._fabric = fabric
        self._gates = gates
        self._floods = floods
        self._groups = groups
        self._pools = pools
        self._steering = steering
        self._meters = meters
        self._set_members = set_members
        self._copies = copies
        self._in_flight = in_flight
        self._vsi_ports = vsi_ports
        self._prepared = PreparedFlips()

    def prepare(self, owner: Attachment, program: Installation) -> dict[int, RuleChange] | None:
        """Compute the changes with which :meth:`.Gatekeeper.move` will open a gate, and keep them.

        Returns:
            What is to be sent to each switch unless something else has to change with it; None: it cannot be known.
        """
        place = self.place(owner, program)
        flip = self._foreseen(owner, program, place)
        if place is None or flip is None:
            return None
        departure = self._departure(owner, program, flip)
        if departure is not None:
            flip = replace(flip, departure=departure)
        inputs = self._inputs(owner, program, place, flip.members)
        self._prepared.put(program, PreparedFlip(inputs, owner.vsi.gates, flip))
        changes = flip.changes if departure is None else {**flip.changes, departure.dpid: departure.change}
        return {dpid: change for dpid, change in changes.items() if change}

    def _departure(self, owner: Attachment, program: Installation, flip: Flip) -> Departure | None:
        """Return the change of the switch that a VSI leaves, when it has no other detour; None: there will be none."""
        vsi = owner.vsi
        detour = self._in_flight.foresee(vsi, owner, program, self._copies.shield(vsi))
        return None if detour is None else Departure(*detour, joined(flip.changes[detour[0]], detour[1]))

    def foresee(self, owner: Attachment, program: Installation) -> dict[int, RuleChange] | None:
        """Compute the same changes, and keep nothing."""
        flip = self._foreseen(owner, program, self.place(owner, program))
        return None if flip is None else {dpid: change for dpid, change in flip.changes.items() if change}

    def _foreseen(self, owner: Attachment, program: Installation, place: Interface | None) -> Flip | None:
        vsi, members = owner.vsi, memberships(owner, program, place, self._floods.plain)
        flooded = self._floods.preview(vsi.members, members)
        if place is None or flooded is None:
            return None
        rotated = self._pools.preview(vsi.text, program)
        flip = self._composed(vsi, owner, program, place, members, flooded.changes, rotated)
        return replace(flip, same_receivers=flooded.same_receivers)

    def certain(self, owner: Attachment, program: Installation) -> dict[int, RuleChange]:
        """Return the changes of a move that are those of the prepared flip, by switch; empty: there is none.

        They are the same objects.  Where something else may have to change with them they are left out.
        """
        place, prepared = self.place(owner, program), self._prepared.get(program)
        if place is None or prepared is None:
            return {}
        vsi, flip = owner.vsi, prepared.flip
        shielded = self._copies.is_shielded(owner, program)
        regrouped = not flip.same_receivers and self._groups.concerns(
            vid for _, vid, _ in (*vsi.members, *flip.members)
        )
        concerned = regrouped or self._steering.concerns(vsi.text, program) or self._in_flight.has(vsi)
        if concerned or shielded is None or not self._holds(prepared, owner, program, place):
            return {}
        changes = dict(flip.changes)
        # Not kept with the inputs: routes and budgets change it, too.
        if (departure := self._departure(owner, program, flip)) is not None:
            if (known := flip.departure) is None or known[:2] != departure[:2]:
                del changes[departure.dpid]
            else:
                changes[known.dpid] = known.change
        return {dpid: change for dpid, change in changes.items() if change}

    @property
    def version(self) -> int:
        """A number that grows whenever flips may be outdated."""
        return self.moves + self._set_members.version + self._copies.version + self._pools.version

    def is_prepared(self, owner: Attachment, program: Installation) -> bool:
        """True if a flip is prepared, and nothing has changed since."""
        prepared = self._prepared.get(program)
        return prepared is not None and self._holds(prepared, owner, program, self.place(owner, program))

    def _holds(self, prepared: PreparedFlip, owner: Attachment, program: Installation, place: Interface | None) -> bool:
        # The gates by identity: a move replaces them, and members of sets, which come and go in them, have a version.
        if place is None or prepared.gates is not owner.vsi.gates:
            return False
        return prepared.inputs == self._inputs(owner, program, place, prepared.flip.members)

    def _inputs(
        self, owner: Attachment, program: Installation, place: Interface, members: tuple[Membership, ...]
    ) -> FlipInputs:
        before = owner.vsi.members
        floods = self._floods.versions((*before, *members))
        meters = owner.vsi.open_meter, self.open_meter(owner, program)
        sets, copy = self._set_members.version, self._copies.of(owner.vsi)
        rotations = self._pools.basis(owner.vsi.text, program)
        kept = owner.port, program.binding, place, owner.silent, before
        return FlipInputs(*kept, floods, sets, meters, copy, rotations)

    def take(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        place: Interface | None,
        pages: tuple[int | None, ...],
    ) -> Flip:
        """Return a flip, the prepared one if it still holds; floods and rotations have changed by it."""
        if owner is not None and program is not None:
            prepared = self._prepared.take(program)
            if prepared is not None and not pages and self._holds(prepared, owner, program, place):
                self._floods.replace(vsi.text, vsi.members, prepared.flip.members)
                self._pools.place(vsi.text, program)
                return prepared.flip
        members = memberships(owner, program, place, self._floods.plain)
        shared = self._floods.change(vsi.text, vsi.members, members, pages)
        rotated = self._pools.place(vsi.text, program if place is not None else None)
        return self._composed(vsi, owner, program, place, members, shared, rotated)

    def _composed(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        place: Interface | None,
        members: tuple[Membership, ...],
        shared: dict[int, RuleChange],
        rotated: tuple[Group, ...],
    ) -> Flip:
        gates = self._gates.of(owner, program, place)
        meter = self.open_meter(owner, program) if gates else None
        copies = self._copies.removed_by(owner, program)
        rotation = RuleChange(groups=rotated) if rotated else NO_CHANGE
        changes = {
            dpid: joined(
                self.change_of_gate(vsi, dpid, gates, meter),
                shared.get(dpid, NO_CHANGE),
                copies.get(dpid, NO_CHANGE),
                rotation,
                _egress(place) if owner is not None and owner.port.dpid == dpid else NO_CHANGE,
            )
            for dpid in self._fabric.switches
        }
        return Flip(gates, members, changes, meter)

    def open_meter(self, owner: Attachment | None, program: Installation | None) -> OpenMeter | None:
        """Return the meter that is open with the gate of a program; None: there is none."""
        if owner is None or program is None or owner.silent or program.binding.gate_meter is None:
            return None
        dpid = owner.port.dpid
        return OpenMeter(dpid, program.binding.gate_meter.number) if self._meters.used_at(dpid) else None

    @staticmethod
    def change_of_gate(vsi: Vsi, dpid: int, gates: dict[int, RuleSet], meter: OpenMeter | None) -> RuleChange:
        """Return the change of a switch to other gates of a VSI, and another open meter."""
        change = difference(vsi.gates.get(dpid, _NOTHING), gates.get(dpid, _NOTHING))
        before = vsi.open_meter
        if before == meter:
            return change
        # Shut before the rules above it go, opened when those above it are there.
        shutting = (shut(before.number),) if before is not None and before.dpid == dpid else ()
        opening = (opened(meter.number),) if meter is not None and meter.dpid == dpid else ()
        return replace(change, meters=shutting, opened=opening) if shutting or opening else change

    def place(self, owner: Attachment | None, program: Installation | None) -> Interface | None:
        """Return the port behind which the VM of a program is; None: there is no owner, or the port is not there."""
        return None if owner is None or program is None else self._vsi_ports.behind(owner.port, program.binding)


def _egress(place: Interface | None) -> RuleChange:
    """Egress groups of a VSI port, with the gate: the station is answered when they are confirmed too."""
    if place is None or place.role is not Role.VSI:
        return NO_CHANGE
    return RuleChange(groups=port_groups(place, reflective_relay=False))


def memberships(
    owner: Attachment | None, program: Installation | None, place: Interface | None, plain: frozenset[int]
) -> tuple[tuple[int, int, FloodMember], ...]:
    if owner is None or program is None or place is None:
        return ()
    meta = to_vm_metadata(place.port_no, program.binding.vsi_index, program.epoch)
    snooped = multicast_of(program.vsi_type, program.binding.bindings) is not None

    def member(binding: Binding) -> FloodMember:
        if owner.port.dpid in plain:
            return FloodMember(meta, binding.mac, classes=classes_of(program.vsi_type, binding))
        return FloodMember(meta, binding.mac, snooped)

    return tuple((owner.port.dpid, binding.vid, member(binding)) for binding in program.binding.bindings)
