"""Rules, groups and meters of a switch before the first VSI: punting, trunks, host ports, egress groups.

Compiled from the fabric alone.  No rule here admits a data frame from a station port: that takes a gate.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Action,
    ClearInPort,
    Output,
    OutputGroup,
    PopVlan,
    RegLoad,
    Resubmit,
)
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.guarded import unread
from ryu_apps.evb.flow.match import (
    ANY_GROUP,
    ANY_TAGGED,
    VLAN_PRESENT,
    Match,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.bonds import bond_groups, bond_rules, out_of
from ryu_apps.evb.pipeline.edge import incoming, outgoing
from ryu_apps.evb.pipeline.flood_classes import classification
from ryu_apps.evb.pipeline.fragments import extension_headers
from ryu_apps.evb.pipeline.plain_edge import plain_incoming, plain_outgoing, second_tags
from ryu_apps.evb.pipeline.planes import plane_rules, plane_trunk_groups, trunk_group, way_groups
from ryu_apps.evb.pipeline.punting import RESERVED_ADDRESSES, punting, punting_meters
from ryu_apps.evb.pipeline.tables import (
    ALL_METADATA,
    PORT_MASK,
    PROXY_GROUP,
    TAGGED_GROUP,
    TRUNK_GROUP,
    TRUNK_MASK,
    TRUNK_SELECTOR,
    UNTAGGED_GROUP,
    WAY_GROUP,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
    sent_to,
)
from ryu_apps.evb.topology.graph import TrunkGraph, TrunkLink
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vid_translation import VidTranslation

_ALL_SYSTEMS, _ALL_NODES = 0xE0000001, 0xFF02 << 112 | 1
#: General queries; those of IGMP by their destination, which no other IGMP message has.
_QUERIES: tuple[MatchFields, MatchFields] = (
    {"eth_type": 0x0800, "ip_proto": 2, "ipv4_dst": _ALL_SYSTEMS},
    {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 130, "ipv6_dst": _ALL_NODES},
)
#: In FORWARD, above everything but addresses of single stations.
_QUERY_PRIORITY = 140

#: A proxy gets a copy of its own, so that rewriting it does not change the other copies of a flooded frame.
PROXY_COPY = Group(PROXY_GROUP, GroupType.INDIRECT, (Bucket((Resubmit(Table.PROXY_LOOKUP),)),))

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def infrastructure(
    switch: Switch,
    wiring: TrunkGraph,
    hosts: dict[tuple[int, int], tuple[int, int]],
    clients: frozenset[tuple[int, int]] = frozenset(),
) -> RuleChange:
    """All state of a switch before the first association.

    Args:
        switch: the switch to program.
        wiring: trunks and next hops.
        hosts: configured end systems of the whole fabric, ``(vid, mac) -> (dpid, port_no)``.
        clients: end systems among them that may use a load balancer, ``(vid, mac)``.
    """
    interfaces = [interface for _, interface in sorted(switch.interfaces.items())]
    edge = [interface for interface in interfaces if interface.role not in (Role.TRUNK, Role.MIRROR)]
    trunks = wiring.trunks(switch.dpid)
    by_routes = routed(switch, wiring)
    return RuleChange(
        meters=tuple(meter for interface in interfaces for meter in punting_meters(interface)),
        groups=(
            *(_groups_of_ports(edge) if switch.extended else ()),
            *(trunk_group(TRUNK_GROUP + trunk.ordinal, trunk) for trunk in trunks),
            *plane_trunk_groups(switch.dpid, wiring),
            *by_routes.groups,
        ),
        add=(
            *_admit(interfaces),
            *_ingress(interfaces, trunks),
            *_forward_hosts(switch.dpid, wiring, hosts, clients),
            *_queries(edge),
            *by_routes.add,
            *(_ends(interfaces, edge, switch.translation) if switch.extended else _plain_ends(interfaces, edge)),
        ),
    )


def _groups_of_ports(edge: list[Interface]) -> Iterator[Group]:
    yield from (group for interface in edge for group in port_groups(interface, reflective_relay=False))
    yield from (group for interface in edge for group in bond_groups(interface))
    yield PROXY_COPY


def _ends(interfaces: list[Interface], edge: list[Interface], translation: VidTranslation) -> Iterator[Rule]:
    """The rules by which frames get and lose their tags."""
    yield from incoming(interfaces, translation)
    yield from (rule for interface in edge for rule in outgoing(interface, translation))
    yield from (rule for interface in edge for rule in bond_rules(interface))


def _plain_ends(interfaces: list[Interface], edge: list[Interface]) -> Iterator[Rule]:
    """The same without extensions; and the classes of broadcasts, and IPv6 extension headers, which are dropped."""
    for fields in extension_headers():
        yield _rule(Table.ADMIT, Priority.WIDE, match(**fields))
    yield from plain_incoming(interfaces)
    yield from classification()
    yield from second_tags()
    yield from (rule for interface in edge for rule in plain_outgoing(interface))


def routed(switch: Switch, wiring: TrunkGraph) -> RuleChange:
    """The part of :func:`infrastructure` that depends on the routes in force."""
    trunks = wiring.trunks(switch.dpid)
    ways = tuple(way_groups(switch.dpid, wiring)) if wiring.alternatives else ()
    of_planes = plane_rules(switch.dpid, wiring)
    return RuleChange(groups=ways, add=(*_flood(trunks), *(_selected(trunks) if switch.extended else ()), *of_planes))


def port_groups(interface: Interface, reflective_relay: bool) -> tuple[Group, ...]:
    """The egress groups of an edge port: one sends tagged, one untagged.

    Args:
        reflective_relay: frames may leave by their ingress port (802.1Q 8.6.1).
    """
    way_back: tuple[Action, ...] = (ClearInPort(),) if reflective_relay else ()
    out = out_of(interface)
    tagged = Group(TAGGED_GROUP + interface.port_no, GroupType.INDIRECT, (Bucket((*way_back, *out)),))
    if interface.native_vlan is None:
        return (tagged,)
    stripped = Bucket((*way_back, PopVlan(), *out))
    return tagged, Group(UNTAGGED_GROUP + interface.port_no, GroupType.INDIRECT, (stripped,))


def to_trunk(trunk: TrunkLink) -> OutputGroup:
    """Output to a neighbour, by the first of the parallel links that is up."""
    return OutputGroup(TRUNK_GROUP + trunk.ordinal)


def towards(wiring: TrunkGraph, dpid: int, target: int) -> OutputGroup:
    """Output to another switch along the routes in force.

    Rules refer to a group for each destination switch: when links fail or return, only groups change, not the many
    rules that use them.  Without alternative paths it is the group of the trunk.
    """
    if wiring.alternatives:
        return OutputGroup(WAY_GROUP + wiring.numbers[target])
    (trunk,) = wiring.usually(dpid, target)
    return to_trunk(trunk)


def way_between(wiring: TrunkGraph, dpid: int, target: int) -> OutputGroup | None:
    """As :func:`towards`; None if the fabric has no path even with all links up."""
    return towards(wiring, dpid, target) if target in wiring.others(dpid) else None


def _rule(
    table: Table,
    priority: int,
    fields: Match,
    *,
    apply: tuple[Action, ...] = (),
    meta: tuple[int, int] | None = None,
    goto: Table | None = None,
    meter: int | None = None,
) -> Rule:
    return Rule(table, priority, fields, _COOKIE, apply, meta, goto, meter)


def _admit(interfaces: list[Interface]) -> Iterator[Rule]:
    for interface in interfaces:
        # The rules for a known station come from DesiredState: this module sees only the fabric.
        yield from punting(interface, station=None)
    # Frames to reserved addresses are never forwarded (802.1Q 8.6.3).
    yield _rule(Table.ADMIT, Priority.WIDE, match(eth_dst=RESERVED_ADDRESSES))
    for fields in unread():
        yield _rule(Table.ADMIT, Priority.WIDE, match(**fields))


def _ingress(interfaces: list[Interface], trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    for interface in interfaces:
        if interface.role is Role.HOST:
            yield from _host_ingress(interface)
    for trunk in trunks:
        for port_no in trunk.ports:
            yield _rule(
                Table.INGRESS,
                Priority.EXACT,
                match(in_port=port_no, vlan_vid=ANY_TAGGED),
                meta=(metadata(trunk=trunk.ordinal), TRUNK_MASK),
                goto=Table.FORWARD,
            )


def _host_ingress(interface: Interface) -> Iterator[Rule]:
    sources: list[MatchFields] = [{"eth_src": mac} for mac in interface.macs] or [{}]
    for vid in interface.vids:
        for source in sources:
            together = match(in_port=interface.port_no, vlan_vid=VLAN_PRESENT | vid, **source)
            yield _rule(Table.INGRESS, Priority.EXACT, together, goto=Table.FORWARD)


def _forward_hosts(
    dpid: int,
    wiring: TrunkGraph,
    hosts: dict[tuple[int, int], tuple[int, int]],
    clients: frozenset[tuple[int, int]],
) -> Iterator[Rule]:
    for (vid, mac), (home, port_no) in sorted(hosts.items()):
        fields = match(vlan_vid=VLAN_PRESENT | vid, eth_dst=mac)
        if home == dpid:
            # The VSI index is cleared: connections of end systems are learnt under index 0.
            mask, goto = (ALL_METADATA, Table.BALANCE_TO) if (vid, mac) in clients else (PORT_MASK, Table.OUTPUT)
            meta = metadata(port=port_no), mask
            yield _rule(Table.FORWARD, Priority.EXACT, fields, meta=meta, goto=goto)
        elif home in wiring.others(dpid):
            yield _rule(Table.FORWARD, Priority.EXACT, fields, apply=(towards(wiring, dpid, home),))
    yield _rule(Table.FORWARD, Priority.WIDE, match(eth_dst=ANY_GROUP), goto=Table.FLOOD)


def _flood(trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    """Copies along the broadcast tree; frames from a trunk outside the tree match no rule, so no loop can form."""
    tree = [trunk for trunk in trunks if trunk.in_tree]
    for ordinal in (0, *(trunk.ordinal for trunk in tree)):
        yield _rule(
            Table.FLOOD,
            Priority.EXACT,
            match(metadata=(metadata(trunk=ordinal), TRUNK_MASK)),
            apply=tuple(to_trunk(trunk) for trunk in tree if trunk.ordinal != ordinal),
            goto=Table.FLOOD_VID,
        )


def _queries(edge: list[Interface]) -> Iterator[Rule]:
    """Queries of multicast routers: flooded, with one copy to the controller."""
    for interface in edge:
        if interface.role is Role.HOST:
            for fields in _QUERIES:
                query = match(in_port=interface.port_no, eth_dst=ANY_GROUP, **fields)
                copy, meter = (Output(CONTROLLER),), interface.port_no if interface.metered else None
                yield _rule(Table.FORWARD, _QUERY_PRIORITY, query, apply=copy, goto=Table.FLOOD, meter=meter)


def _selected(trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    """A copy of a multicast frame to one trunk of the broadcast tree, once, and not if the frame came in by it."""
    for trunk in trunks:
        if trunk.in_tree:
            towards = metadata(port=TRUNK_SELECTOR | trunk.ordinal)
            back = towards | metadata(trunk=trunk.ordinal), PORT_MASK | TRUNK_MASK
            yield _rule(Table.GROUP_PAGE, Priority.GUARD, match(metadata=back))
            sent = sent_to(trunk.ordinal)
            first: MatchFields = {"metadata": (towards, PORT_MASK), sent.name: (0, 1 << sent.offset)}
            copy = RegLoad(sent, 1), to_trunk(trunk)
            yield _rule(Table.GROUP_PAGE, Priority.EXACT, match(**first), apply=copy)
