"""Copies of IP multicast in a VID with a snooped VSI (``docs/decisions/0014-multicast.rst``).

There are two kinds of receivers: receivers of every group (host ports, VSIs that are not snooped) and members
of single groups.  On each switch a group has one rule, and one more for each source in a member's filter.  The
rule sends copies to the trunks of the broadcast tree with members behind them, to the receivers of every group,
and to the pages of local members.  Trunks come first, because copies to VSIs overwrite the metadata that has the
ingress trunk.

Groups are matched by IP address: 32 IPv4 groups share an Ethernet address, and source filters need IP addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.flow.plan import RuleSet, difference, merge, rule_set
from ryu_apps.evb.flow.rule import (
    ANY_GROUP,
    VLAN_PRESENT,
    Action,
    Bits,
    MatchFields,
    RegLoad,
    Resubmit,
    Rule,
    RuleChange,
    SetField,
    match,
)
from ryu_apps.evb.model import CONTROL_GROUPS, MulticastGroup, SourceFilter
from ryu_apps.evb.pipeline.flood import PAGE_SIZE, Flood, FloodMember
from ryu_apps.evb.pipeline.infrastructure import TRUNK_SELECTOR
from ryu_apps.evb.pipeline.tables import (
    PORT_BITS,
    PORT_MASK,
    PORT_SHIFT,
    REPORTS_MAC,
    VSI_BITS,
    VSI_SHIFT,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
)

#: Priorities in FORWARD, between broadcasts and addresses of one station.
_REPORTS, _CONTROL, _GROUPS = 130, 120, 110

_IPV4, _IPV6 = 0x0800, 0x86DD
_IGMP: MatchFields = {"eth_type": _IPV4, "ip_proto": 2, "eth_dst": REPORTS_MAC}
_MLD: MatchFields = {"eth_type": _IPV6, "ip_proto": 58, "eth_dst": ANY_GROUP}
_MLD_REPORTS = (131, 132, 143)
_EVERY_GROUP: tuple[MatchFields, MatchFields] = (
    {"eth_type": _IPV4, "ipv4_dst": (0xE << 28, 0xF << 28)},
    {"eth_type": _IPV6, "ipv6_dst": (0xFF << 120, 0xFF << 120)},
)
_EGRESS = Bits("metadata", PORT_SHIFT, PORT_BITS)

#: Trunks of a switch in the broadcast tree: ordinal and the switches behind it.
Branches = tuple[tuple[int, frozenset[int]], ...]


class MemberPort(NamedTuple):
    """One VSI at one switch, for one of its bindings."""

    dpid: int
    member: FloodMember


class GroupMembers(NamedTuple):
    """One group that a member receives, and its source filter."""

    place: MemberPort
    group: MulticastGroup
    source_filter: SourceFilter


class _Copies(NamedTuple):
    """Destinations of copies beside the receivers of every group: trunks, and members by page."""

    trunks: tuple[int, ...]
    pages: tuple[tuple[int, tuple[FloodMember, ...]], ...]


class MulticastVid:
    """IP multicast of one VID on all switches, and its rules."""

    def __init__(
        self,
        vid: int,
        tree: Mapping[int, Branches],
        flood: Callable[[int], Flood | None],
        flooding: frozenset[int] = frozenset(),
    ) -> None:
        """
        Args:
            tree: the broadcast tree, by switch.
            flood: the members of the VID on a switch, None if there is none.
            flooding: switches without extensions, which flood every group.
        """
        self._flooding = flooding
        self._vid = vid
        self._tree = tree
        self._flood = flood
        self._snooped: dict[MemberPort, None] = {}
        self._filters: dict[MulticastGroup, dict[MemberPort, SourceFilter]] = {}
        self._kept: dict[tuple[int, MulticastGroup | None], RuleSet] = {}
        self._open: frozenset[int] = frozenset()

    def change(
        self,
        gone: tuple[MemberPort, ...] = (),
        come: tuple[MemberPort, ...] = (),
        dropped: tuple[GroupMembers, ...] = (),
        gained: tuple[GroupMembers, ...] = (),
    ) -> dict[int, RuleChange]:
        """Apply changes of snooped VSIs and of their groups, after the flood members have been changed.

        Args:
            gone, come: snooped VSIs removed and added.
            dropped, gained: groups no longer and newly received.

        Returns:
            dpid -> change of the switch's rules.
        """
        for place in gone:
            self._snooped.pop(place, None)
        self._snooped.update(dict.fromkeys(come))
        for place, group, _ in dropped:
            self._filters.get(group, {}).pop(place, None)
        for place, group, source_filter in gained:
            self._filters.setdefault(group, {})[place] = source_filter
        touched: set[MulticastGroup | None] = {None, *(reception.group for reception in (*dropped, *gained))}
        before, self._open = self._open, self._open_switches()
        if before != self._open:
            touched |= set(self._filters)
        changes = {dpid: merge(*(self._renew(dpid, group) for group in touched)) for dpid in self._tree}
        self._filters = {group: filters for group, filters in self._filters.items() if filters}
        return {dpid: change for dpid, change in changes.items() if change}

    def renew(self) -> dict[int, RuleChange]:
        """Recompute all rules for a changed broadcast tree; dpid -> change."""
        groups = (None, *self._filters)
        return {dpid: merge(*(self._renew(dpid, group) for group in groups)) for dpid in self._tree}

    def rules(self, dpid: int) -> RuleSet:
        """All rules of the VID on one switch."""
        return {key: rule for (there, _), kept in self._kept.items() if there == dpid for key, rule in kept.items()}

    def receptions(self) -> Iterator[GroupMembers]:
        """All groups of all members."""
        for group, filters in self._filters.items():
            for place, source_filter in filters.items():
                yield GroupMembers(place, group, source_filter)

    # --- rules of one switch for one group, or (None) for all groups ---
    def _renew(self, dpid: int, group: MulticastGroup | None) -> RuleChange:
        key = dpid, group
        before = self._kept.pop(key, {})
        rules = {} if dpid in self._flooding else rule_set(self._rules_of(dpid, group))
        if rules:
            self._kept[key] = rules
        return difference(before, rules)

    def _rules_of(self, dpid: int, group: MulticastGroup | None) -> Iterator[Rule]:
        return self._base(dpid) if group is None else self._of_group(dpid, group)

    def _open_switches(self) -> frozenset[int]:
        """Switches with a receiver of every group."""
        floods = ((dpid, self._flood(dpid)) for dpid in self._tree)
        return frozenset(dpid for dpid, flood in floods if flood is not None and flood.open)

    def _base(self, dpid: int) -> Iterator[Rule]:
        """The rules common to all groups, while any VSI of the VID is snooped."""
        if not self._snooped:
            return
        for fields in (_IGMP, *({**_MLD, "icmpv6_type": kind} for kind in _MLD_REPORTS)):
            yield self._rule(Table.FORWARD, _REPORTS, fields, goto=Table.RECEIVERS)
        for network in CONTROL_GROUPS:
            net = int(network.network_address), int(network.netmask)
            fields = {**_version(network.network_address), _name(network.network_address, "dst"): net}
            yield self._rule(Table.FORWARD, _CONTROL, {**fields, "eth_dst": ANY_GROUP}, goto=Table.FLOOD)
        for fields in _EVERY_GROUP:
            yield self._rule(Table.FORWARD, _GROUPS, {**fields, "eth_dst": ANY_GROUP}, goto=Table.GROUPS)
        flood = self._flood(dpid)
        copies = (*_to_trunks(self._open_trunks(dpid)), *(flood.open_copies() if flood else ()))
        yield self._rule(Table.GROUPS, Priority.DEFAULT, {}, goto=Table.RECEIVERS)
        yield self._rule(Table.RECEIVERS, Priority.DEFAULT, {}, copies)

    def _of_group(self, dpid: int, group: MulticastGroup) -> Iterator[Rule]:
        if not self._snooped:
            return
        filters = self._filters.get(group, {})
        of_any = self._copies(dpid, filters, None)
        if of_any.trunks or of_any.pages:
            yield from self._copying(of_any, _destination(group), Priority.EXACT)
        for source in sorted({named for source_filter in filters.values() for named in source_filter.sources}, key=int):
            copies = self._copies(dpid, filters, source)
            if copies != of_any:
                fields = {**_destination(group), _name(group, "src"): int(source)}
                yield from self._copying(copies, fields, Priority.EXACT + 1)

    def _copies(self, dpid: int, filters: Mapping[MemberPort, SourceFilter], source: MulticastGroup | None) -> _Copies:
        wanting = [place for place, source_filter in filters.items() if source_filter.passes(source)]
        homes = {place.dpid for place in wanting}
        served = self._open_trunks(dpid)
        trunks = tuple(ordinal for ordinal, behind in self._tree[dpid] if ordinal not in served and behind & homes)
        pages: dict[int, list[FloodMember]] = {}
        for place in wanting:
            if place.dpid == dpid:
                pages.setdefault(_page(place.member), []).append(place.member)
        # Sorted, so that the same members always give the same rules whatever the order of their reports was.
        return _Copies(trunks, tuple((number, tuple(sorted(pages[number]))) for number in sorted(pages)))

    def _open_trunks(self, dpid: int) -> tuple[int, ...]:
        return tuple(ordinal for ordinal, behind in self._tree[dpid] if behind & self._open)

    def _copying(self, copies: _Copies, fields: MatchFields, priority: int) -> Iterator[Rule]:
        actions: list[Action] = [*_to_trunks(copies.trunks), Resubmit(Table.RECEIVERS)]
        for number, members in copies.pages:
            actions += [SetField("metadata", metadata(port=number)), Resubmit(Table.GROUP_PAGE)]
            page = {**fields, "metadata": (metadata(port=number), PORT_MASK)}
            yield self._rule(Table.GROUP_PAGE, priority, page, tuple(_to_members(members)))
        yield self._rule(Table.GROUPS, priority, fields, tuple(actions))

    def _rule(
        self,
        table: Table,
        priority: int,
        fields: MatchFields,
        apply: tuple[Action, ...] = (),
        goto: Table | None = None,
    ) -> Rule:
        matched = match(vlan_vid=VLAN_PRESENT | self._vid, **fields)
        return Rule(table, priority, matched, cookie(CookieKind.MEMBERSHIP, self._vid), apply, goto=goto)


def _page(member: FloodMember) -> int:
    """The page of a member, from its VSI index: the same on every switch and after a restart."""
    return (member.metadata >> VSI_SHIFT & (1 << VSI_BITS) - 1) // PAGE_SIZE


def _to_trunks(ordinals: tuple[int, ...]) -> Iterator[Action]:
    """Copies to trunks; the rules of ``infrastructure`` suppress the copy to the ingress trunk."""
    for ordinal in ordinals:
        yield RegLoad(_EGRESS, TRUNK_SELECTOR | ordinal)
        yield Resubmit(Table.GROUP_PAGE)


def _to_members(members: tuple[FloodMember, ...]) -> Iterator[Action]:
    for member in members:
        assert member.mac is not None, "a VSI that owns a whole VID is not snooped"
        yield SetField("eth_dst", member.mac)
        yield SetField("metadata", member.metadata)
        yield Resubmit(Table.ACL_TO)


def _version(address: MulticastGroup) -> MatchFields:
    return {"eth_type": _IPV4 if address.version == 4 else _IPV6}


def _name(address: MulticastGroup, end: str) -> str:
    return f"ipv{address.version}_{end}"


def _destination(group: MulticastGroup) -> MatchFields:
    return {**_version(group), _name(group, "dst"): int(group)}
