"""Gates of all VSIs: computes one change a switch that moves a VSI to another port.

The gatekeeper holds the flood memberships, because a gate and the copies of broadcasts open in one change, and the
rotations of load balancers, because a back end gets connections from the moment its gate is open.
"""

from __future__ import annotations

from functools import partial

from ryu_apps.evb.flow.plan import RuleSet, difference, merge
from ryu_apps.evb.flow.rule import RuleChange
from ryu_apps.evb.model import Binding, Subscription
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.gate import local_gate, remote_gate, to_vm_metadata
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.pipeline.multicast import GroupMembers, MemberPort, MulticastVid
from ryu_apps.evb.services.body import classes_of, entry_of, gate_meter, multicast_of
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.snooping.subscriptions import subscriptions
from ryu_apps.evb.topology.fabric import Fabric, Profile, Role
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.vsi.floods import Floods, Membership
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pools import Pools
from ryu_apps.evb.vsi.registry import Attachment, Vsi

_NOTHING: RuleSet = {}


class Gatekeeper:
    """Gates of all VSIs, and the flood and multicast rules that VSIs share."""

    def __init__(self, fabric: Fabric, wiring: TrunkGraph, in_flight: InFlight) -> None:
        self._fabric = fabric
        self._wiring = wiring
        self._in_flight = in_flight
        self.floods = Floods(fabric)
        # Updated in place: the multicast groups of all VLANs share this dictionary.
        self._tree = {dpid: wiring.branches(dpid) for dpid in fabric.switches}
        self._groups: dict[int, MulticastVid] = {}
        self.pools = Pools(fabric)

    def move(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        pages: tuple[int | None, ...] = (),
    ) -> dict[int, RuleChange]:
        """Open the gate of a VSI at ``owner`` (with ``program``) and close any other; None: close it.

        Args:
            pages: its flood pages before the controller was restarted, from :meth:`pages`.

        Returns:
            The change of each switch, to be made atomically; switches without a change are left out.
        """
        gates = self._gates(owner, program)
        members = _members(owner, program, self.floods.plain)
        receptions = _receptions(vsi.listener, owner, program)
        # Floods first: the multicast rules of a VLAN are composed from its flood members.
        shared = self.floods.change(vsi.text, vsi.members, members, pages)
        groups = self._group_changes(vsi, members, receptions)
        # Before the owner changes: the detour starts at the switch of the old owner.
        detours = self._in_flight.moved(vsi, owner, program)
        rotation = RuleChange(groups=self.pools.place(vsi.text, program if owner is not None else None))
        # All in one bundle a switch: with the gate apart from the floods, a broadcast would reach the VM at both ports
        # or at neither.
        changes = {
            dpid: merge(
                difference(vsi.gates.get(dpid, _NOTHING), gates.get(dpid, _NOTHING)),
                shared.get(dpid, RuleChange()),
                groups.get(dpid, RuleChange()),
                detours.get(dpid, RuleChange()),
                rotation,
            )
            for dpid in self._fabric.switches
        }
        vsi.owner, vsi.gate_program = owner, program
        vsi.gates, vsi.members, vsi.receptions = gates, members, receptions
        return {dpid: change for dpid, change in changes.items() if change}

    def regroup(self, vsi: Vsi) -> dict[int, RuleChange]:
        """Update the multicast rules after the memberships of a VSI have changed; returns the change of each switch."""
        # Gate and floods stay: the VSI is at the same port with the same program.
        receptions = _receptions(vsi.listener, vsi.owner, vsi.gate_program)
        changes = self._group_changes(vsi, vsi.members, receptions)
        vsi.receptions = receptions
        return changes

    def others(self, dpid: int) -> tuple[int, ...]:
        """The switches that forward towards ``dpid``."""
        return self._wiring.others(dpid)

    def profile(self, dpid: int) -> Profile:
        """The profile of a switch."""
        return self._fabric.switches[dpid].profile

    def rewire(self) -> dict[int, RuleChange]:
        """Update the multicast rules to a new broadcast tree; returns the change of each switch."""
        # First: the groups compute their rules from this dictionary.
        self._tree.update((dpid, self._wiring.branches(dpid)) for dpid in self._fabric.switches)
        changes = [groups.renew() for groups in self._groups.values()]
        return {dpid: merge(*(change.get(dpid, RuleChange()) for change in changes)) for dpid in self._tree}

    def pages(self, vsi: Vsi) -> tuple[int | None, ...]:
        """Return the flood page of each of a VSI's memberships.

        Records keep them: after a restart the same pages give the same rules, so the comparison finds no difference.
        """
        return tuple(map(self.floods.page_of, vsi.members))

    def flood_rules(self, dpid: int) -> RuleSet:
        """Return the flood and multicast rules of a switch."""
        rules = self.floods.rules(dpid)
        for groups in self._groups.values():
            rules.update(groups.rules(dpid))
        return rules

    def _gates(self, owner: Attachment | None, program: Installation | None) -> dict[int, RuleSet]:
        if owner is None or program is None:
            return {}
        interface = self._fabric.interface(owner.port)
        assert interface is not None, "a request from an unconfigured port is refused before it gets here"
        binding, entry = program.binding, entry_of(program.vsi_type)
        policer = gate_meter(program.vsi_type, binding)
        gates = {owner.port.dpid: local_gate(interface, binding, program.epoch, entry, policer)}
        # In every switch, also without stations: frames for the VSI come in at any host port.
        for dpid in self.others(owner.port.dpid):
            gates[dpid] = remote_gate(towards(self._wiring, dpid, owner.port.dpid), binding)
        return gates

    def _group_changes(
        self, vsi: Vsi, members: tuple[Membership, ...], receptions: tuple[tuple[int, GroupMembers], ...]
    ) -> dict[int, RuleChange]:
        """Multicast changes, after those of floods: a member that receives every group is a flood member."""
        changes: dict[int, RuleChange] = {}
        for vid in {vid for _, vid, _ in (*vsi.members, *members)}:
            gone, come = _snooped(vsi.members, vid), _snooped(members, vid)
            if vid not in self._groups:
                # A VLAN without snooped members has no multicast rules: flooding serves its groups.
                if not come:
                    continue
                self._groups[vid] = MulticastVid(vid, self._tree, partial(self.floods.at, vid), self.floods.plain)
            # As sets: rules of a reception that stays are left alone.
            before = {group_members for there, group_members in vsi.receptions if there == vid}
            after = {group_members for there, group_members in receptions if there == vid}
            change = self._groups[vid].change(gone, come, tuple(before - after), tuple(after - before))
            changes = {
                dpid: merge(changes.get(dpid, RuleChange()), change.get(dpid, RuleChange())) for dpid in self._tree
            }
        return {dpid: change for dpid, change in changes.items() if change}


def _members(
    owner: Attachment | None, program: Installation | None, plain: frozenset[int]
) -> tuple[tuple[int, int, FloodMember], ...]:
    if owner is None or program is None:
        return ()
    meta = to_vm_metadata(owner.port.port_no, program.binding.vsi_index, program.epoch)
    snooped = multicast_of(program.vsi_type, program.binding.bindings) is not None

    def member(binding: Binding) -> FloodMember:
        if owner.port.dpid in plain:
            return FloodMember(meta, binding.mac, classes=classes_of(program.vsi_type, binding))
        return FloodMember(meta, binding.mac, snooped)

    return tuple((owner.port.dpid, binding.vid, member(binding)) for binding in program.binding.bindings)


def _snooped(members: tuple[Membership, ...], vid: int) -> tuple[MemberPort, ...]:
    return tuple(MemberPort(dpid, member) for dpid, there, member in members if there == vid and member.snooped)


def _receptions(
    listener: MembershipTable, owner: Attachment | None, program: Installation | None
) -> tuple[tuple[int, GroupMembers], ...]:
    """Groups that a VSI receives at its port, by VID."""
    if owner is None or program is None:
        return ()
    bindings = program.binding.bindings
    multicast = multicast_of(program.vsi_type, bindings)
    if multicast is None:
        return ()
    meta = to_vm_metadata(owner.port.port_no, program.binding.vsi_index, program.epoch)

    def reception(subscription: Subscription) -> GroupMembers:
        place = MemberPort(owner.port.dpid, FloodMember(meta, subscription.binding.mac, snooped=True))
        return GroupMembers(place, subscription.group, subscription.source_filter)

    return tuple(
        (subscription.binding.vid, reception(subscription))
        for subscription in subscriptions(listener, multicast, bindings)
    )


def host_addresses(fabric: Fabric) -> dict[tuple[int, int], tuple[int, int]]:
    """Configured end systems: ``(vid, mac) -> (dpid, port_no)``."""
    return {
        (vid, mac): (port.dpid, port.port_no)
        for port in fabric.ports(Role.HOST)
        if (interface := fabric.interface(port))
        for vid in interface.vids
        for mac in interface.macs
    }
