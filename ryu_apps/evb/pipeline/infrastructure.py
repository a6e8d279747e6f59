"""What every switch holds before the first VSI: punting, trunks, host ports, egress groups.

Computed from the fabric alone.  Nothing here admits a frame from a station port: that takes a gate.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.guarded import unread
from ryu_apps.evb.flow.rule import (
    ANY_GROUP,
    ANY_TAGGED,
    CONTROLLER,
    PRIORITY_TAGGED,
    VLAN_PRESENT,
    Action,
    Bucket,
    ClearInPort,
    Group,
    GroupType,
    Match,
    MatchFields,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    Rule,
    RuleChange,
    SetField,
    StackPop,
    StackPush,
    match,
    whole,
)
from ryu_apps.evb.pipeline.punting import RESERVED_ADDRESSES, punting, punting_meters
from ryu_apps.evb.pipeline.tables import (
    ALL_METADATA,
    PORT_MASK,
    PROXY_GROUP,
    STACKED,
    TAGGED_GROUP,
    TRUNK_GROUP,
    TRUNK_MASK,
    UNTAGGED_GROUP,
    WAY_GROUP,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.fabric import Interface, Role, Switch
from ryu_apps.evb.topology.graph import TrunkGraph, TrunkLink

#: In GROUP_PAGE: what is asked for is no page but the trunk of this number.
TRUNK_SELECTOR = 0x8000

_ALL_SYSTEMS, _ALL_NODES = 0xE0000001, 0xFF02 << 112 | 1
#: General queries: IGMP's are known by their destination, which nothing else of IGMP has.
_QUERIES: tuple[MatchFields, MatchFields] = (
    {"eth_type": 0x0800, "ip_proto": 2, "ipv4_dst": _ALL_SYSTEMS},
    {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 130, "ipv6_dst": _ALL_NODES},
)
#: In ADMIT, below reserved addresses.
_NATIVE_PRIORITY = 50
_TAGGED_PRIORITY = 10
#: Is there a tag behind the tag?  A switch that looks for one tag only (``vlan-limit=1``) shows it as the Ethernet
#: type, which the services do not let pass; one that looks for more shows what is behind both.  OpenFlow does not tell
#: which, nor does it match a second tag: it is looked for without the first, which the frame then gets back.
_LOOK_BEHIND: tuple[Action, ...] = (
    StackPush(whole("vlan_vid")),
    StackPush(whole("vlan_pcp")),
    PopVlan(),
    Resubmit(Table.SECOND_TAG),
    PushVlan(),
    StackPop(whole("vlan_pcp")),
    StackPop(whole("vlan_vid")),
)
#: In FORWARD, above everything that is not the address of one station.
_QUERY_PRIORITY = 140

#: What a proxy gets is a copy, so that nothing done to it shows in the other copies of a flooded frame.
PROXY_COPY = Group(PROXY_GROUP, GroupType.INDIRECT, (Bucket((Resubmit(Table.PROXY_LOOKUP),)),))

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def infrastructure(
    switch: Switch,
    wiring: TrunkGraph,
    hosts: dict[tuple[int, int], tuple[int, int]],
    clients: frozenset[tuple[int, int]] = frozenset(),
) -> RuleChange:
    """Everything a switch needs before the first association.

    Args:
        switch: the switch to program.
        wiring: trunks and next hops.
        hosts: configured end systems of the whole fabric, ``(vid, mac) -> (dpid, port_no)``.
        clients: those of them that may use a load balancer, ``(vid, mac)``.
    """
    interfaces = [interface for _, interface in sorted(switch.interfaces.items())]
    edge = [interface for interface in interfaces if interface.role is not Role.TRUNK]
    trunks = wiring.trunks(switch.dpid)
    by_routes = routed(switch.dpid, wiring)
    return RuleChange(
        meters=tuple(meter for one in interfaces for meter in punting_meters(one)),
        groups=(
            *(group for one in edge for group in port_groups(one, reflective_relay=False)),
            *(_trunk_group(trunk) for trunk in trunks),
            *by_routes.groups,
            PROXY_COPY,
        ),
        add=(
            *_admit(interfaces),
            *_ingress(interfaces, trunks),
            *_forward_hosts(switch.dpid, wiring, hosts, clients),
            *_queries(edge),
            *by_routes.add,
            *(rule for one in edge for rule in _output(one)),
        ),
    )


def routed(dpid: int, wiring: TrunkGraph) -> RuleChange:
    """What of :func:`infrastructure` depends on the routes in force."""
    trunks = wiring.trunks(dpid)
    ways = tuple(_ways(dpid, wiring, trunks)) if wiring.alternatives else ()
    return RuleChange(groups=ways, add=(*_flood(trunks), *_selected(trunks)))


def port_groups(interface: Interface, reflective_relay: bool) -> tuple[Group, ...]:
    """The egress groups of an edge port: one that keeps the tag, one that strips it.

    Args:
        reflective_relay: frames may leave by the port they came in by (802.1Q 8.6.1).
    """
    way_back: tuple[Action, ...] = (ClearInPort(),) if reflective_relay else ()
    out = Output(interface.port_no)
    tagged = Group(TAGGED_GROUP + interface.port_no, GroupType.INDIRECT, (Bucket((*way_back, out)),))
    if interface.native_vlan is None:
        return (tagged,)
    stripped = Bucket((*way_back, PopVlan(), out))
    return tagged, Group(UNTAGGED_GROUP + interface.port_no, GroupType.INDIRECT, (stripped,))


def to_trunk(trunk: TrunkLink) -> OutputGroup:
    """Send towards a neighbour, by whichever of the parallel links is up."""
    return OutputGroup(TRUNK_GROUP + trunk.ordinal)


def towards(wiring: TrunkGraph, dpid: int, target: int) -> OutputGroup:
    """Send towards another switch, by whichever ways there are just now.

    The rule stays when links fail and return; only groups change, however many rules use them.  Where there is
    but one way, the trunk's own group is it.
    """
    if wiring.alternatives:
        return OutputGroup(WAY_GROUP + wiring.numbers[target])
    (trunk,) = wiring.usually(dpid, target)
    return to_trunk(trunk)


def way_between(wiring: TrunkGraph, dpid: int, target: int) -> OutputGroup | None:
    """As :func:`towards`; None if no link ever led there."""
    return towards(wiring, dpid, target) if target in wiring.others(dpid) else None


def _ways(dpid: int, wiring: TrunkGraph, trunks: tuple[TrunkLink, ...]) -> Iterator[Group]:
    """Equally short ways share what is to be sent; the switch leaves out by itself those that are down."""
    leading_to = {trunk.neighbour: trunk for trunk in trunks}
    for target in wiring.others(dpid):
        chosen = [leading_to[hop] for hop in wiring.hops(dpid, target)]
        if len(chosen) == 1:
            # Nothing to choose: the switch need not look at the frame twice.
            only = Group(WAY_GROUP + wiring.numbers[target], GroupType.INDIRECT, (Bucket((to_trunk(chosen[0]),)),))
            yield only
        else:
            buckets = tuple(
                Bucket((to_trunk(trunk),), weight=1, watch_group=TRUNK_GROUP + trunk.ordinal) for trunk in chosen
            )
            yield Group(WAY_GROUP + wiring.numbers[target], GroupType.SELECT, buckets)


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


def _trunk_group(trunk: TrunkLink) -> Group:
    buckets = tuple(Bucket((Output(port),), watch_port=port) for port in trunk.ports)
    return Group(TRUNK_GROUP + trunk.ordinal, GroupType.FAST_FAILOVER, buckets)


def _admit(interfaces: list[Interface]) -> Iterator[Rule]:
    for one in interfaces:
        # Of a station that is known: see Desired, which knows it.
        yield from punting(one, station=None)
    yield _rule(Table.ADMIT, Priority.WIDE, match(eth_dst=RESERVED_ADDRESSES))
    for fields in unread():
        yield _rule(Table.ADMIT, Priority.WIDE, match(**fields))
    for one in interfaces:
        if one.role is not Role.TRUNK and one.native_vlan is not None:
            yield from _native(one.port_no, VLAN_PRESENT | one.native_vlan)
    yield _rule(Table.ADMIT, _TAGGED_PRIORITY, match(vlan_vid=ANY_TAGGED), apply=_LOOK_BEHIND, goto=Table.INGRESS)
    yield _rule(Table.ADMIT, Priority.DEFAULT, (), goto=Table.INGRESS)
    seen = (RegLoad(STACKED, 1),)
    yield _rule(Table.SECOND_TAG, Priority.DEFAULT, match(vlan_vid=ANY_TAGGED), apply=seen)
    yield _rule(Table.INGRESS, Priority.GUARD, match(reg2=(1 << STACKED.offset, 1 << STACKED.offset)))


def _native(port_no: int, native: int) -> Iterator[Rule]:
    """Inside, every frame is tagged: untagged ones and those with a priority alone (802.1Q 6.9) by the port.

    Those that say its VID themselves are refused, so that what is untagged there on the way out is so on the way in.
    """
    classified = SetField("vlan_vid", native)
    for fields, apply in (
        ({"vlan_vid": 0}, (PushVlan(), classified)),
        ({"vlan_vid": PRIORITY_TAGGED}, (*_LOOK_BEHIND, classified)),
    ):
        frames = match(in_port=port_no, **fields)
        yield _rule(Table.ADMIT, _NATIVE_PRIORITY, frames, apply=apply, goto=Table.INGRESS)
    yield _rule(Table.ADMIT, _NATIVE_PRIORITY, match(in_port=port_no, vlan_vid=native))


def _ingress(interfaces: list[Interface], trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    for one in interfaces:
        if one.role is Role.HOST:
            yield from _host_ingress(one)
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
            # From here on the frame is no VSI's any more: what is noted of end systems is noted of none.
            mask, goto = (ALL_METADATA, Table.BALANCE_TO) if (vid, mac) in clients else (PORT_MASK, Table.OUTPUT)
            meta = metadata(port=port_no), mask
            yield _rule(Table.FORWARD, Priority.EXACT, fields, meta=meta, goto=goto)
        elif home in wiring.others(dpid):
            yield _rule(Table.FORWARD, Priority.EXACT, fields, apply=(towards(wiring, dpid, home),))
    yield _rule(Table.FORWARD, Priority.WIDE, match(eth_dst=ANY_GROUP), goto=Table.FLOOD)


def _flood(trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    """Copies along the broadcast tree; a trunk outside the tree contributes nothing, so no loop can close."""
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
    """A multicast router asks: everybody hears it, and so does the controller, once."""
    for one in edge:
        if one.role is Role.HOST:
            for fields in _QUERIES:
                asked = match(in_port=one.port_no, eth_dst=ANY_GROUP, **fields)
                copy = (Output(CONTROLLER),)
                yield _rule(Table.FORWARD, _QUERY_PRIORITY, asked, apply=copy, goto=Table.FLOOD, meter=one.port_no)


def _selected(trunks: tuple[TrunkLink, ...]) -> Iterator[Rule]:
    """One copy of a multicast frame to one trunk of the broadcast tree, unless it came in by it."""
    for trunk in trunks:
        if trunk.in_tree:
            towards = metadata(port=TRUNK_SELECTOR | trunk.ordinal)
            back = towards | metadata(trunk=trunk.ordinal), PORT_MASK | TRUNK_MASK
            yield _rule(Table.GROUP_PAGE, Priority.GUARD, match(metadata=back))
            onward = match(metadata=(towards, PORT_MASK))
            yield _rule(Table.GROUP_PAGE, Priority.EXACT, onward, apply=(to_trunk(trunk),))


def _output(interface: Interface) -> Iterator[Rule]:
    port = metadata(port=interface.port_no), PORT_MASK
    if interface.native_vlan is not None:
        yield _rule(
            Table.OUTPUT,
            Priority.EXACT,
            match(metadata=port, vlan_vid=VLAN_PRESENT | interface.native_vlan),
            apply=(OutputGroup(UNTAGGED_GROUP + interface.port_no),),
        )
    yield _rule(
        Table.OUTPUT, Priority.WIDE, match(metadata=port), apply=(OutputGroup(TAGGED_GROUP + interface.port_no),)
    )
