"""Groups of IP multicast that VSIs receive at each port where they are staged or active, and the rules for them.

A program of a snooped VSI has its groups from its staging to its removal, whether its gate is open or not: the copies
pass table GROUP_GATE, whose rules belong to gates.  So a flip changes no rule of a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, merge
from ryu_apps.evb.model import MulticastGroup, Subscription
from ryu_apps.evb.pipeline.multicast import GroupMembers, MemberPort, MulticastVid
from ryu_apps.evb.services.body import multicast_of
from ryu_apps.evb.snooping.listener import MembershipTable
from ryu_apps.evb.snooping.subscriptions import subscriptions
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.vsi.floods import Floods
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Vsi

Item = TypeVar("Item")


#: A group in a VLAN: ``(vid, group)``.
VlanGroup = tuple[int, MulticastGroup]


@dataclass(frozen=True, slots=True)
class GroupChanges:
    """Changes by a program that comes or goes.

    Attributes:
        common: of each switch, in rules that flood members also change; a few for each VID.
        touched: groups whose rules have to be computed anew.
    """

    common: dict[int, RuleChange] = field(default_factory=dict)
    touched: frozenset[VlanGroup] = frozenset()


class _Places(NamedTuple):
    """A program's places and groups, by VID."""

    dpid: int
    members: frozenset[tuple[int, MemberPort]] = frozenset()
    receptions: frozenset[tuple[int, GroupMembers]] = frozenset()


class MulticastGroups:
    """Members of groups in all VLANs.

    Attributes:
        stale: groups whose rules do not follow from their members yet, the first to be computed first.
    """

    def __init__(self, wiring: TrunkGraph, dpids: Iterable[int], floods: Floods) -> None:
        self.stale: dict[VlanGroup, None] = {}
        self._wiring = wiring
        self._floods = floods
        # Updated in place: the groups of all VLANs of a plane share its dictionary.
        self._trees = {
            plane: {dpid: wiring.branches(dpid, plane) for dpid in dpids} for plane in (None, *wiring.planes)
        }
        self._vids: dict[int, MulticastVid] = {}
        self._placed: dict[Installation, _Places] = {}

    def place(self, vsi: Vsi, dpid: int, program: Installation) -> GroupChanges:
        """Add a program with the groups that the VSI receives; nothing changes if the VSI is not snooped."""
        if multicast_of(program.vsi_type, program.binding.bindings) is None:
            return GroupChanges()
        return self._replace(program, _places(vsi.listener, dpid, program))

    def withdraw(self, program: Installation) -> GroupChanges:
        """Remove a program."""
        placed = self._placed.get(program)
        return self._replace(program, _Places(placed.dpid)) if placed is not None else GroupChanges()

    def refresh(self, vsi: Vsi) -> None:
        """Note changed memberships of a VSI for all its programs."""
        for attachment in vsi.attachments.values():
            for program in attachment.holding.programs:
                if program in self._placed:
                    self._replace(program, _places(vsi.listener, attachment.port.dpid, program))

    def rebase(self, vids: Iterable[int]) -> dict[int, RuleChange]:
        """Compute the common rules of VLANs whose flood members have changed; returns the change of each switch."""
        return _merged(self._vids[vid].rebase() for vid in vids if vid in self._vids)

    def concerns(self, vids: Iterable[int]) -> bool:
        """True if a VLAN has a VSI whose multicast is snooped, so that its common rules follow its flood members."""
        return any(self._vids[vid].is_snooped for vid in vids if vid in self._vids)

    def rebase_all(self) -> dict[int, RuleChange]:
        """Compute the common rules of all VLANs; returns the change of each switch."""
        return self.rebase(self._vids)

    def rewire(self) -> dict[int, RuleChange]:
        """Compute the common rules for a new broadcast tree; returns the change of each switch."""
        # First: the VLANs compute their rules from these dictionaries.
        for plane, tree in self._trees.items():
            tree.update((dpid, self._wiring.branches(dpid, plane)) for dpid in tree)
        for vid, of_vid in self._vids.items():
            self.stale.update(((vid, group), None) for group in of_vid.groups)
        return self.rebase_all()

    def compute(self, most: int | None = None) -> tuple[frozenset[VlanGroup], dict[tuple[int, int], RuleChange]]:
        """Compute the rules of stale groups, ``most`` of them or (None) all.

        Returns:
            These groups, and the changes by switch and VID.
        """
        computed = list(islice(self.stale, most))
        changes: dict[tuple[int, int], RuleChange] = {}
        for vid in sorted({vid for vid, _ in computed}):
            changed = self._vids[vid].compute([group for there, group in computed if there == vid])
            changes |= {(dpid, vid): change for dpid, change in changed.items()}
        for key in computed:
            del self.stale[key]
        return frozenset(computed), changes

    def rules(self, dpid: int) -> RuleSet:
        """Return the multicast rules of a switch."""
        return {key: rule for of_vid in self._vids.values() for key, rule in of_vid.rules(dpid).items()}

    def count(self, program: Installation) -> int:
        """Return the number of groups that a program receives, at all its addresses together."""
        placed = self._placed.get(program)
        return 0 if placed is None else len(placed.receptions)

    def _replace(self, program: Installation, after: _Places) -> GroupChanges:
        before = self._placed.pop(program, _Places(after.dpid))
        if after.members:
            self._placed[program] = after
        dropped, gained = before.receptions - after.receptions, after.receptions - before.receptions
        common: list[dict[int, RuleChange]] = []
        for vid in sorted({vid for vid, _ in before.members | after.members}):
            of_vid = self._vid(vid)
            common.append(of_vid.enter(_at(before.members - after.members, vid), _at(after.members, vid)))
            of_vid.change(_at(dropped, vid), _at(gained, vid))
        touched = frozenset((vid, reception.group) for vid, reception in dropped | gained)
        # Sorted, so that the same changes are sent in the same order in each process.
        self.stale.update(dict.fromkeys(sorted(touched, key=_order)))
        return GroupChanges(_merged(common), touched)

    def _vid(self, vid: int) -> MulticastVid:
        if vid not in self._vids:
            plane = self._wiring.plane_of([vid])
            self._vids[vid] = MulticastVid(vid, self._trees[plane], partial(self._floods.at, vid), self._floods.plain)
        return self._vids[vid]


def _order(group: VlanGroup) -> tuple[int, int, int]:
    vid, address = group
    return vid, address.version, int(address)


def _at(items: Iterable[tuple[int, Item]], vid: int) -> list[Item]:
    return [item for there, item in items if there == vid]


def _merged(changes: Iterable[dict[int, RuleChange]]) -> dict[int, RuleChange]:
    merged: dict[int, RuleChange] = {}
    for of_vid in changes:
        for dpid, change in of_vid.items():
            merged[dpid] = merge(merged.get(dpid, RuleChange()), change)
    return merged


def _places(listener: MembershipTable, dpid: int, program: Installation) -> _Places:
    bindings = program.binding.bindings
    multicast = multicast_of(program.vsi_type, bindings)
    assert multicast is not None, "only snooped VSIs have groups"

    def reception(subscription: Subscription) -> tuple[int, GroupMembers]:
        vid, mac = subscription.binding
        assert mac is not None, "a VSI that owns a whole VID is not snooped"
        place = MemberPort(dpid, program.binding.vsi_index, mac)
        return vid, GroupMembers(place, subscription.group, subscription.source_filter)

    members = frozenset(
        (vid, MemberPort(dpid, program.binding.vsi_index, mac)) for vid, mac in bindings if mac is not None
    )
    return _Places(dpid, members, frozenset(map(reception, subscriptions(listener, multicast, bindings))))
