"""Broadcasts of all VLANs: their members at each switch, and the rules and groups that members share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, difference, merge
from ryu_apps.evb.flow.rule import Group
from ryu_apps.evb.pipeline.flood import Flood, FloodMember, FloodVid, unknown_unicast
from ryu_apps.evb.pipeline.flood_classes import ClassFlood
from ryu_apps.evb.pipeline.flood_reader import ShownMember
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.vsi.flood_rooms import FloodRooms

#: A VSI in the broadcasts of a VID on a switch: ``(dpid, vid, member)``.
Membership = tuple[int, int, FloodMember]


class FloodPreview(NamedTuple):
    """Outcome of memberships that are replaced.

    Attributes:
        changes: of each switch.
        same_receivers: those of every multicast group stay as they are, at all switches.
    """

    changes: dict[int, RuleChange]
    same_receivers: bool


class Floods:
    """Members of the broadcasts of each VID on each switch.

    Attributes:
        plain: switches without extensions.
        rooms: what staged VSIs need at those.
        of_hosts: rules and groups for host ports alone, at those.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.plain = frozenset(dpid for dpid, switch in fabric.switches.items() if not switch.extended)
        self.rooms = FloodRooms(fabric)
        self._floods: dict[tuple[int, int], Flood] = {}
        # Grows with each change of the members.
        self._versions: Counter[tuple[int, int]] = Counter()
        # Of VSIs that have yet to claim their rules, by VID and MAC address.
        self._unclaimed: dict[tuple[int, int | None], tuple[Membership, ...]] = {}
        # VSIs that own a whole VID, by VID: only these VIDs flood frames to unknown addresses.
        self._whole_vids: dict[int, set[str]] = {}
        for dpid, vid, ports in _host_ports(fabric):
            self._floods[dpid, vid] = self._new(dpid, vid, ports)
        self.of_hosts = {
            dpid: RuleChange(groups=self.groups(dpid), add=tuple(self.rules(dpid).values())) for dpid in self.plain
        }

    def at(self, vid: int, dpid: int) -> Flood | None:
        """Return the members of a VID on a switch; None if there has been none."""
        return self._floods.get((dpid, vid))

    def page_of(self, membership: Membership) -> int | None:
        """Return the page of a member."""
        dpid, vid, member = membership
        return self._floods[dpid, vid].page_of(member)

    def rules(self, dpid: int) -> RuleSet:
        """Return the flood rules of a switch."""
        rules: RuleSet = {}
        for (where, _), flood in self._floods.items():
            if where == dpid:
                rules.update(flood.rules())
        # At every switch: a frame to an unknown address may come in at any of them.
        for vid, owners in self._whole_vids.items():
            if owners:
                rule = unknown_unicast(vid)
                rules[rule.key] = rule
        return rules

    def groups(self, dpid: int) -> tuple[Group, ...]:
        """Return the flood groups of a switch."""
        return tuple(group for (where, _), flood in self._floods.items() if where == dpid for group in flood.groups())

    def change(
        self, vsi: str, before: Iterable[Membership], after: tuple[Membership, ...], pages: tuple[int | None, ...] = ()
    ) -> dict[int, RuleChange]:
        """Replace the memberships of a VSI; returns the change of each switch.

        Args:
            pages: earlier pages of ``after``, as far as they are known.
        """
        # Several members share a rule, so it is composed anew and compared; a change for each member alone could remove
        # a rule that another member needs.
        before = (*before, *self._claimed(after))
        memberships = (*before, *after)
        # The rules before are read in full: members and pages are changed in place below.
        old = {(dpid, vid): self._of(dpid, vid) for dpid, vid, _ in memberships}
        whole = {vid for _, vid, member in memberships if member.mac is None}
        unknown_before = {vid for vid in whole if self._whole_vids.get(vid)}
        self.replace(vsi, before, after, pages)
        changes: dict[int, RuleChange] = {}
        for dpid, vid in sorted(old):
            (rules, groups), (new_rules, new_groups) = old[dpid, vid], self._of(dpid, vid)
            change = merge(difference(rules, new_rules), _regrouped(groups, new_groups))
            changes[dpid] = merge(changes.get(dpid, RuleChange()), change)
        for vid in whole:
            self._toggle_unknown(vid, vid in unknown_before, changes)
        return changes

    def preview(self, before: tuple[Membership, ...], after: tuple[Membership, ...]) -> FloodPreview | None:
        """Return what :meth:`change` would, and change nothing.

        None: not known beforehand, because a VSI owns a whole VID, or because of a switch without extensions.
        """
        if any(dpid in self.plain or member.mac is None for dpid, _, member in (*before, *after)):
            return None
        before = (*before, *self._claimed(after))
        changes: dict[int, RuleChange] = {}
        same_receivers = True
        for dpid, vid in sorted({(dpid, vid) for dpid, vid, _ in (*before, *after)}):
            flood = self._floods.get((dpid, vid)) or FloodVid(vid)
            assert isinstance(flood, FloodVid), "the floods of a switch with extensions"
            changed = flood.copy()
            for member in _members(before, dpid, vid):
                changed.remove(member)
            for member in _members(after, dpid, vid):
                changed.add(member)
            changes[dpid] = merge(changes.get(dpid, RuleChange()), difference(flood.rules(), changed.rules()))
            same_receivers = same_receivers and flood.receivers == changed.receivers
        return FloodPreview(changes, same_receivers)

    def versions(self, memberships: Iterable[Membership]) -> tuple[int, ...]:
        """Return numbers that grow when the members of the VIDs of some memberships change."""
        memberships = tuple(memberships)
        return tuple(self._versions[dpid, vid] for dpid, vid, _ in (*memberships, *self._claimed(memberships)))

    def replace(
        self, vsi: str, before: Iterable[Membership], after: tuple[Membership, ...], pages: tuple[int | None, ...] = ()
    ) -> None:
        """Replace the memberships of a VSI whose changes are known from :meth:`preview`."""
        before = (*before, *self._claimed(after))
        for _, vid, member in after if self._unclaimed else ():
            self._unclaimed.pop((vid, member.mac), None)
        self._versions.update({(dpid, vid) for dpid, vid, _ in (*before, *after)})
        # Old members leave first: a member that is in both, added before, would be removed again.
        for dpid, vid, member in before:
            self._floods[dpid, vid].remove(member)
            self._whole_vids.get(vid, set()).discard(vsi)
        # Without a page, that of a new member, the flood chooses one.
        for (dpid, vid, member), page in zip_longest(after, pages[: len(after)]):
            if (dpid, vid) not in self._floods:
                self._floods[dpid, vid] = self._new(dpid, vid)
            self._floods[dpid, vid].add(member, page)
            if member.mac is None:
                self._whole_vids.setdefault(vid, set()).add(vsi)

    # --- VSIs that have yet to claim their rules ---
    def adopt(self, dpid: int, shown: Iterable[ShownMember]) -> None:
        """Take up members that a switch shows and that no VSI has claimed yet."""
        for vid, page, member in shown if dpid not in self.plain else ():
            if (dpid, vid) not in self._floods:
                self._floods[dpid, vid] = self._new(dpid, vid)
            self._floods[dpid, vid].add(member, page)
            self._versions[dpid, vid] += 1
            self._unclaimed[vid, member.mac] = (*self._unclaimed.get((vid, member.mac), ()), (dpid, vid, member))

    def drop(self, dpid: int) -> tuple[RuleChange, frozenset[int]]:
        """Remove the members of a switch that were not claimed; returns its change, and the VIDs concerned."""
        gone = self._unclaimed_at(dpid)
        vids = frozenset(vid for _, vid, _ in gone)
        before = {vid: self._of(dpid, vid)[0] for vid in vids}
        self._forget(gone)
        return merge(*(difference(before[vid], self._of(dpid, vid)[0]) for vid in sorted(vids))), vids

    def _unclaimed_at(self, dpid: int) -> list[Membership]:
        return [member for members in self._unclaimed.values() for member in members if member[0] == dpid]

    def _claimed(self, memberships: Iterable[Membership]) -> tuple[Membership, ...]:
        """Return the unclaimed members that some memberships of a VSI take the place of, wherever they are."""
        if not self._unclaimed:
            return ()
        return tuple(
            unclaimed for _, vid, member in memberships for unclaimed in self._unclaimed.get((vid, member.mac), ())
        )

    def _forget(self, gone: list[Membership]) -> None:
        for dpid, vid, member in gone:
            self._floods[dpid, vid].remove(member)
            self._versions[dpid, vid] += 1
            left = tuple(kept for kept in self._unclaimed[vid, member.mac] if kept != (dpid, vid, member))
            if left:
                self._unclaimed[vid, member.mac] = left
            else:
                del self._unclaimed[vid, member.mac]

    def _toggle_unknown(self, vid: int, before: bool, changes: dict[int, RuleChange]) -> None:
        after = bool(self._whole_vids.get(vid))
        # One rule a switch serves all such VSIs of a VID: only the first and the last of them change it.
        if before == after:
            return
        rule = unknown_unicast(vid)
        change = RuleChange(add=(rule,)) if after else RuleChange(remove=(rule,))
        for dpid in self._fabric.switches:
            changes[dpid] = merge(changes.get(dpid, RuleChange()), change)

    def _new(self, dpid: int, vid: int, host_ports: tuple[int, ...] = ()) -> Flood:
        if dpid not in self.plain:
            return FloodVid(vid, host_ports)
        return ClassFlood(vid, host_ports, self._fabric.switches[dpid].untagged(vid))

    def _of(self, dpid: int, vid: int) -> tuple[RuleSet, tuple[Group, ...]]:
        flood = self._floods.get((dpid, vid))
        return (flood.rules(), flood.groups()) if flood else ({}, ())


def _members(memberships: Iterable[Membership], dpid: int, vid: int) -> Iterator[FloodMember]:
    return (member for *place, member in memberships if place == [dpid, vid])


def _regrouped(before: tuple[Group, ...], after: tuple[Group, ...]) -> RuleChange:
    kept = {group.group_id for group in after}
    return RuleChange(
        groups=tuple(group for group in after if group not in before),
        delete_groups=tuple(group.group_id for group in before if group.group_id not in kept),
    )


def _host_ports(fabric: Fabric) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    for dpid, switch in fabric.switches.items():
        hosts = [interface for _, interface in sorted(switch.interfaces.items()) if interface.role is Role.HOST]
        for vid in sorted({vid for host in hosts for vid in host.vids}):
            yield dpid, vid, tuple(host.port_no for host in hosts if vid in host.vids)
