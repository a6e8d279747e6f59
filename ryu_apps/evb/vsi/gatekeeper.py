"""Gates of all VSIs: computes one change a switch that moves a VSI to another port.

The gatekeeper holds the flood memberships, because a gate and the copies of broadcasts open in one change, and the
rotations of load balancers, because a back end gets connections from the moment its gate is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ryu_apps.evb.flow.change import NO_CHANGE, RuleChange
from ryu_apps.evb.flow.plan import RuleSet, difference, merge
from ryu_apps.evb.flow.rule import Group, Meter, Rule
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.flood_reader import ShownMember
from ryu_apps.evb.pipeline.gate import to_vm_metadata
from ryu_apps.evb.pipeline.infrastructure import port_groups
from ryu_apps.evb.pipeline.metered_gate import metered_gate, opened, shut
from ryu_apps.evb.services.body import classes_of, entry_of, gate_meter, multicast_of
from ryu_apps.evb.topology.fabric import Converge, Fabric, Interface, PortId, Profile, Role
from ryu_apps.evb.topology.graph import TrunkGraph
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
from ryu_apps.evb.vsi.steering import Steering, passed_frames
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
        self._moves = 0
        self._prepared = PreparedFlips()

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
        place = self.place(owner, program)
        flip = self._flip(vsi, owner, program, place, pages)
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
            dpid: _joined(
                _with_detour(flip, dpid, detours[dpid]) if dpid in detours else flip.changes[dpid],
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
        place = self.place(owner, program)
        gates, members = self._gates.of(owner, program, place), _members(owner, program, place, self.floods.plain)
        self.floods.replace(vsi.text, vsi.members, members, pages)
        self.pools.place(vsi.text, program if place is not None else None)
        self.steering.place(vsi.text, owner.port if place is not None else None, program)
        meter = self._open_meter(owner, program) if gates else None
        self._note(vsi, owner, program, place, Flip(gates, members, {}, meter))

    def _note(
        self, vsi: Vsi, owner: Attachment | None, program: Installation | None, place: Interface | None, flip: Flip
    ) -> None:
        self._moves += 1
        self.set_members.moved(vsi, active=place is not None)
        vsi.owner, vsi.gate_program = owner, program
        vsi.gates, vsi.members, vsi.open_meter = flip.gates, flip.members, flip.open_meter

    # --- before it is asked for ---
    def prepare(self, owner: Attachment, program: Installation) -> dict[int, RuleChange] | None:
        """Compute the changes with which :meth:`move` will open a gate, and keep them.

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
        detour = self._in_flight.foresee(vsi, owner, program, self.copies.shield(vsi))
        return None if detour is None else Departure(*detour, _joined(flip.changes[detour[0]], detour[1]))

    def foresee(self, owner: Attachment, program: Installation) -> dict[int, RuleChange] | None:
        """Compute the same changes, and keep nothing."""
        flip = self._foreseen(owner, program, self.place(owner, program))
        return None if flip is None else {dpid: change for dpid, change in flip.changes.items() if change}

    def _foreseen(self, owner: Attachment, program: Installation, place: Interface | None) -> Flip | None:
        vsi, members = owner.vsi, _members(owner, program, place, self.floods.plain)
        flooded = self.floods.preview(vsi.members, members)
        if place is None or flooded is None:
            return None
        rotated = self.pools.preview(vsi.text, program)
        flip = self._composed(vsi, owner, program, place, members, flooded.changes, rotated)
        return replace(flip, same_receivers=flooded.same_receivers)

    def certain(self, owner: Attachment, program: Installation) -> dict[int, RuleChange]:
        """Return the changes of :meth:`move` that are those of the prepared flip, by switch; empty: there is none.

        They are the same objects.  Where something else may have to change with them they are left out.
        """
        place, prepared = self.place(owner, program), self._prepared.get(program)
        if place is None or prepared is None:
            return {}
        vsi, flip = owner.vsi, prepared.flip
        shielded = self.copies.is_shielded(owner, program)
        regrouped = not flip.same_receivers and self.groups.concerns(vid for _, vid, _ in (*vsi.members, *flip.members))
        concerned = regrouped or self.steering.concerns(vsi.text, program) or self._in_flight.has(vsi)
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
        return self._moves + self.set_members.version + self.copies.version + self.pools.version

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
        floods = self.floods.versions((*before, *members))
        meters = owner.vsi.open_meter, self._open_meter(owner, program)
        sets, copy = self.set_members.version, self.copies.of(owner.vsi)
        rotations = self.pools.basis(owner.vsi.text, program)
        kept = owner.port, program.binding, place, owner.silent, before
        return FlipInputs(*kept, floods, sets, meters, copy, rotations)

    def _flip(
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
                self.floods.replace(vsi.text, vsi.members, prepared.flip.members)
                self.pools.place(vsi.text, program)
                return prepared.flip
        members = _members(owner, program, place, self.floods.plain)
        shared = self.floods.change(vsi.text, vsi.members, members, pages)
        rotated = self.pools.place(vsi.text, program if place is not None else None)
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
        meter = self._open_meter(owner, program) if gates else None
        copies = self.copies.removed_by(owner, program)
        rotation = RuleChange(groups=rotated) if rotated else NO_CHANGE
        changes = {
            dpid: _joined(
                self._change_of_gate(vsi, dpid, gates, meter),
                shared.get(dpid, NO_CHANGE),
                copies.get(dpid, NO_CHANGE),
                rotation,
                _egress(place) if owner is not None and owner.port.dpid == dpid else NO_CHANGE,
            )
            for dpid in self._fabric.switches
        }
        return Flip(gates, members, changes, meter)

    def _open_meter(self, owner: Attachment | None, program: Installation | None) -> OpenMeter | None:
        """Return the meter that is open with the gate of a program; None: there is none."""
        if owner is None or program is None or owner.silent or program.binding.gate_meter is None:
            return None
        dpid = owner.port.dpid
        return OpenMeter(dpid, program.binding.gate_meter.number) if self.meters.used_at(dpid) else None

    @staticmethod
    def _change_of_gate(vsi: Vsi, dpid: int, gates: dict[int, RuleSet], meter: OpenMeter | None) -> RuleChange:
        change = difference(vsi.gates.get(dpid, _NOTHING), gates.get(dpid, _NOTHING))
        before = vsi.open_meter
        if before == meter:
            return change
        # Shut before the rules above it go, opened when those above it are there.
        shutting = (shut(before.number),) if before is not None and before.dpid == dpid else ()
        opening = (opened(meter.number),) if meter is not None and meter.dpid == dpid else ()
        return replace(change, meters=shutting, opened=opening) if shutting or opening else change

    def renew(self, vsi: Vsi) -> dict[int, RuleChange]:
        """Update the gate of a VSI whose station reports that the VM is suspended, or runs; returns the changes."""
        self._moves += 1
        place = self.place(vsi.owner, vsi.gate_program)
        gates = self._gates.of(vsi.owner, vsi.gate_program, place)
        meter = self._open_meter(vsi.owner, vsi.gate_program) if gates else None
        changes = {dpid: self._change_of_gate(vsi, dpid, gates, meter) for dpid in self._fabric.switches}
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
        self._moves += 1
        _, vids = self.floods.drop(dpid)
        members = tuple(shown)
        self.floods.adopt(dpid, members)
        return self.groups.rebase(vids | {found.vid for found in members})

    def drop_members(self, dpid: int) -> dict[int, RuleChange]:
        """Remove the members of a switch that were not claimed; returns the change of each switch."""
        self._moves += 1
        change, vids = self.floods.drop(dpid)
        changes = self.groups.rebase(vids)
        return {**changes, dpid: merge(change, changes.get(dpid, NO_CHANGE))}

    def flood_rules(self, dpid: int) -> RuleSet:
        """Return the flood and multicast rules of a switch."""
        rules = self.floods.rules(dpid)
        rules.update(self.groups.rules(dpid))
        return rules

    def staged_gate(self, port: PortId, program: Installation) -> tuple[Rule, ...]:
        """Return the rules that are staged with the body of a program, and lead through the meter of its gate."""
        interface, binding = self.vsi_ports.behind(port, program.binding), program.binding
        if interface is None or not self.meters.used_at(port.dpid):
            return ()
        entry, policer = entry_of(program.vsi_type), gate_meter(program.vsi_type, binding)
        copied = self._fabric.converge is Converge.COPY
        passed = passed_frames(self._fabric, program)
        return tuple(metered_gate(interface, binding, program.epoch, entry, policer, copied, passed))

    def basis_of_gate(self, port: PortId, program: Installation) -> tuple[object, ...]:
        """Return what :meth:`staged_gate` depends on beside type and binding."""
        return program.epoch, self.vsi_ports.behind(port, program.binding), self.meters.used_at(port.dpid)

    def staged_meters(self, attachment: Attachment, program: Installation) -> tuple[Meter, ...]:
        """Return the meter of the gate of a program as it should be now; empty: it has none."""
        meter, dpid = program.binding.gate_meter, attachment.port.dpid
        if meter is None or not self.meters.used_at(dpid):
            return ()
        is_open = attachment.vsi.open_meter == OpenMeter(dpid, meter.number)
        return (opened(meter.number) if is_open else shut(meter.number),)

    def place(self, owner: Attachment | None, program: Installation | None) -> Interface | None:
        """Return the port behind which the VM of a program is; None: there is no owner, or the port is not there."""
        return None if owner is None or program is None else self.vsi_ports.behind(owner.port, program.binding)


def _joined(*changes: RuleChange) -> RuleChange:
    """Merge changes; the only one that changes anything stays the same object, which may be prepared."""
    some = [change for change in changes if change is not NO_CHANGE and change]
    return some[0] if len(some) == 1 else merge(*some)


def _with_detour(flip: Flip, dpid: int, detour: RuleChange) -> RuleChange:
    """Return the change of a switch with its detour: the one that was prepared, if it is the same."""
    departure = flip.departure
    if departure is not None and departure.dpid == dpid and departure.detour == detour:
        return departure.change
    return _joined(flip.changes[dpid], detour)


def _egress(place: Interface | None) -> RuleChange:
    """Egress groups of a VSI port, with the gate: the station is answered when they are confirmed too."""
    if place is None or place.role is not Role.VSI:
        return NO_CHANGE
    return RuleChange(groups=port_groups(place, reflective_relay=False))


def _members(
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


def host_addresses(fabric: Fabric) -> dict[tuple[int, int], tuple[int, int]]:
    """Configured end systems: ``(vid, mac) -> (dpid, port_no)``."""
    return {
        (vid, mac): (port.dpid, port.port_no)
        for port in fabric.ports(Role.HOST)
        if (interface := fabric.interface(port))
        for vid in interface.vids
        for mac in interface.macs
    }
