"""Copies of IP multicast in a VID with a snooped VSI (``docs/decisions/0014-multicast.rst``).

There are two kinds of receivers: receivers of every group (host ports, VSIs that are not snooped) and members
of single groups.  On each switch a group has one rule, and one more for each source in a member's filter.  The
rule sends copies to the trunks of the broadcast tree with members behind them, to the receivers of every group,
and to the pages of local members.  Trunks come first, because copies to VSIs overwrite the metadata that has the
ingress trunk.

These rules are staged: members are programs, and a copy to one passes GROUP_GATE, whose rule is a part of the
program's gate.  So an Associate writes as many rules with a thousand groups as with none.

Groups are matched by IP address: 32 IPv4 groups share an Ethernet address, and source filters need IP addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    RegLoad,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import (
    ANY_GROUP,
    VLAN_PRESENT,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.plan import RuleSet, difference, merge, rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import CONTROL_GROUPS, MulticastGroup, SourceFilter
from ryu_apps.evb.pipeline.flood import PAGE_SIZE, Flood
from ryu_apps.evb.pipeline.tables import (
    PORT_BITS,
    PORT_MASK,
    PORT_SHIFT,
    REPORTS_MAC,
    TRUNK_SELECTOR,
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
_PROGRAM = Bits("metadata", VSI_SHIFT, VSI_BITS)

#: Gates that decide if a trunk gets a copy; with more members behind it, it gets one whether a gate is open or not.
#: The bound is that of a flow-mod: 63 trunks with 8 gates each are 22 kB of actions.
MAX_TESTED_GATES = 8

#: Trunks of a switch in the broadcast tree: ordinal and the switches behind it.
Branches = tuple[tuple[int, frozenset[int]], ...]


class MemberPort(NamedTuple):
    """One VSI at one switch, for one of its bindings, staged or active.

    Attributes:
        vsi_index: of its program there.
        mac: the destination address of its copies.
    """

    dpid: int
    vsi_index: int
    mac: int


class GroupMembers(NamedTuple):
    """One group that a member receives, and its source filter."""

    place: MemberPort
    group: MulticastGroup
    source_filter: SourceFilter


class _Copies(NamedTuple):
    """Destinations of copies beside the receivers of every group.

    Attributes:
        trunks: trunk ordinal -> programs of the members behind it; none of them: the copy needs no open gate.
        pages: page number -> members on this switch.
    """

    trunks: tuple[tuple[int, tuple[int, ...]], ...]
    pages: tuple[tuple[int, tuple[MemberPort, ...]], ...]


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
        self._common: dict[int, tuple[Action, ...]] = {}

    def enter(self, gone: Iterable[MemberPort], come: Iterable[MemberPort]) -> dict[int, RuleChange]:
        """Remove and add snooped VSIs, without their groups; dpid -> change of the rules common to all groups."""
        before = bool(self._snooped)
        for place in gone:
            self._snooped.pop(place, None)
        self._snooped.update(dict.fromkeys(come))
        return self.rebase() if bool(self._snooped) != before else {}

    def rebase(self) -> dict[int, RuleChange]:
        """Recompute the rules common to all groups after flood members have changed; dpid -> change.

        Only where their copies differ: a gate that opens seldom changes who receives every group.
        """
        before, self._common = self._common, self._common_copies()
        differing = (dpid for dpid in self._tree if self._common.get(dpid) != before.get(dpid))
        changes = ((dpid, self._renew(dpid, None)) for dpid in differing)
        return {dpid: change for dpid, change in changes if change}

    def change(self, dropped: Iterable[GroupMembers], gained: Iterable[GroupMembers]) -> None:
        """Change the groups that VSIs receive; :meth:`compute` comes next."""
        for place, group, _ in dropped:
            self._filters.get(group, {}).pop(place, None)
        for place, group, source_filter in gained:
            self._filters.setdefault(group, {})[place] = source_filter

    def compute(self, groups: Collection[MulticastGroup]) -> dict[int, RuleChange]:
        """Recompute the rules of some groups; dpid -> change."""
        changes = self._renewed(groups)
        for group in groups:
            if not self._filters.get(group):
                self._filters.pop(group, None)
        return changes

    @property
    def is_snooped(self) -> bool:
        """True if there are rules common to all groups."""
        return bool(self._snooped)

    @property
    def groups(self) -> Iterable[MulticastGroup]:
        """The groups that have a member."""
        return self._filters.keys()

    def rules(self, dpid: int) -> RuleSet:
        """All rules of the VID on one switch."""
        return {key: rule for (there, _), kept in self._kept.items() if there == dpid for key, rule in kept.items()}

    # --- rules of one switch for one group, or (None) for all groups ---
    def _renewed(self, groups: Collection[MulticastGroup]) -> dict[int, RuleChange]:
        changes = {dpid: merge(*(self._renew(dpid, group) for group in groups)) for dpid in self._tree}
        return {dpid: change for dpid, change in changes.items() if change}

    def _renew(self, dpid: int, group: MulticastGroup | None) -> RuleChange:
        key = dpid, group
        before = self._kept.pop(key, {})
        rules = {} if dpid in self._flooding else rule_set(self._rules_of(dpid, group))
        if rules:
            self._kept[key] = rules
        return difference(before, rules)

    def _rules_of(self, dpid: int, group: MulticastGroup | None) -> Iterator[Rule]:
        return self._base(dpid) if group is None else self._of_group(dpid, group)

    def _base(self, dpid: int) -> Iterator[Rule]:
        """The rules common to all groups, while any VSI of the VID is snooped."""
        copies = self._common.get(dpid)
        if copies is None:
            return
        for fields in (_IGMP, *({**_MLD, "icmpv6_type": kind} for kind in _MLD_REPORTS)):
            yield self._rule(Table.FORWARD, _REPORTS, fields, goto=Table.RECEIVERS)
        for network in CONTROL_GROUPS:
            net = int(network.network_address), int(network.netmask)
            fields = {**_version(network.network_address), _name(network.network_address, "dst"): net}
            yield self._rule(Table.FORWARD, _CONTROL, {**fields, "eth_dst": ANY_GROUP}, goto=Table.FLOOD)
        for fields in _EVERY_GROUP:
            yield self._rule(Table.FORWARD, _GROUPS, {**fields, "eth_dst": ANY_GROUP}, goto=Table.GROUPS)
        yield self._rule(Table.GROUPS, Priority.DEFAULT, {}, goto=Table.RECEIVERS)
        yield self._rule(Table.RECEIVERS, Priority.DEFAULT, {}, copies)

    def _common_copies(self) -> dict[int, tuple[Action, ...]]:
        """Copies to the receivers of every group, by switch; of no switch while no VSI is snooped."""
        if not self._snooped:
            return {}
        floods = {dpid: self._flood(dpid) for dpid in self._tree}
        receiving = {dpid for dpid, flood in floods.items() if flood is not None and flood.open}
        copies: dict[int, tuple[Action, ...]] = {}
        for dpid, flood in floods.items():
            trunks = ((ordinal, ()) for ordinal, behind in self._tree[dpid] if behind & receiving)
            copies[dpid] = (*_to_trunks(trunks), *(flood.open_copies() if flood else ()))
        return copies

    def _of_group(self, dpid: int, group: MulticastGroup) -> Iterator[Rule]:
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
        # Sorted, so that the same members always give the same rules whatever the order of their reports was.
        wanting = sorted(place for place, source_filter in filters.items() if source_filter.passes(source))
        trunks: list[tuple[int, tuple[int, ...]]] = []
        for ordinal, behind in self._tree[dpid]:
            programs = {place.vsi_index: None for place in wanting if place.dpid in behind}
            if programs:
                trunks.append((ordinal, tuple(programs) if len(programs) <= MAX_TESTED_GATES else ()))
        pages: dict[int, list[MemberPort]] = {}
        for place in wanting:
            if place.dpid == dpid:
                pages.setdefault(place.vsi_index // PAGE_SIZE, []).append(place)
        return _Copies(tuple(trunks), tuple((number, tuple(pages[number])) for number in sorted(pages)))

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


def _to_trunks(trunks: Iterable[tuple[int, tuple[int, ...]]]) -> Iterator[Action]:
    """Copies to trunks: at once, or if the gate of one of these programs is open.

    The rules of ``infrastructure`` suppress a second copy, and the copy to the ingress trunk.
    """
    for ordinal, programs in trunks:
        yield RegLoad(_EGRESS, TRUNK_SELECTOR | ordinal)
        for vsi_index in programs:
            yield RegLoad(_PROGRAM, vsi_index)
            yield Resubmit(Table.GROUP_GATE)
        if not programs:
            yield Resubmit(Table.GROUP_PAGE)


def _to_members(members: tuple[MemberPort, ...]) -> Iterator[Action]:
    """Copies to the gates of members; without a direction, metadata matches no rule of a body."""
    for place in members:
        yield SetField("eth_dst", place.mac)
        yield SetField("metadata", metadata(vsi=place.vsi_index))
        yield Resubmit(Table.GROUP_GATE)


def _version(address: MulticastGroup) -> MatchFields:
    return {"eth_type": _IPV4 if address.version == 4 else _IPV6}


def _name(address: MulticastGroup, end: str) -> str:
    return f"ipv{address.version}_{end}"


def _destination(group: MulticastGroup) -> MatchFields:
    return {**_version(group), _name(group, "dst"): int(group)}
