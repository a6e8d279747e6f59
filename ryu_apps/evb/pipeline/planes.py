"""Ways and broadcast trees of planes: VLANs that do not use all trunks (:mod:`ryu_apps.evb.topology.planes`).

Rules that send a frame to another switch name one group, whatever its VLAN.  Where planes are, this group looks the
VLAN up in WAYS, so these rules stay as they are.  The tree of a plane has rules of its own in FLOOD.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import Output, OutputGroup, RegLoad, Resubmit, SetField
from ryu_apps.evb.flow.match import VLAN_PRESENT, MatchFields, match
from ryu_apps.evb.flow.rule import Bucket, Group, GroupType, Rule
from ryu_apps.evb.pipeline.tables import (
    PLANE_TRUNK_GROUP,
    PLANE_WAY_GROUP,
    PORT_MASK,
    TRUNK_GROUP,
    TRUNK_MASK,
    TRUNK_SELECTOR,
    WAY_GROUP,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
    sent_to,
)
from ryu_apps.evb.topology.graph import TrunkGraph, TrunkLink
from ryu_apps.evb.topology.planes import Plane

#: Register with the number of the switch that a frame goes to.  Others use it too: a bucket has a copy of the frame.
_TARGET = "reg13"
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


# --- groups ---------------------------------------------------------------------------------------
def plane_trunk_groups(dpid: int, wiring: TrunkGraph) -> Iterator[Group]:
    """Groups of the trunks of each plane: the parallel links that it uses."""
    for plane in wiring.planes:
        for trunk in wiring.trunks(dpid, plane):
            yield trunk_group(_trunk_id(trunk, plane), trunk)


def trunk_group(group_id: int, trunk: TrunkLink) -> Group:
    """A group that sends by the first of the parallel links that is up."""
    buckets = tuple(Bucket((Output(port),), watch_port=port) for port in trunk.ports)
    return Group(group_id, GroupType.FAST_FAILOVER, buckets)


def way_groups(dpid: int, wiring: TrunkGraph) -> Iterator[Group]:
    """Groups towards each other switch, those of planes included."""
    for target in wiring.others(dpid):
        number = wiring.numbers[target]
        if not wiring.planes:
            yield _way(WAY_GROUP + number, _chosen(dpid, wiring, target, None), None)
            continue
        for plane in (None, *wiring.planes):
            yield _way(_way_id(number, plane), _chosen(dpid, wiring, target, plane), plane)
        asked = Bucket((SetField(_TARGET, number), Resubmit(Table.WAYS)))
        yield Group(WAY_GROUP + number, GroupType.INDIRECT, (asked,))


def _way(group_id: int, chosen: list[TrunkLink], plane: Plane | None) -> Group:
    """Share frames between equally short paths; the switch skips buckets whose trunk is down."""
    trunks = [_trunk_id(trunk, plane) for trunk in chosen]
    if len(trunks) == 1:
        # INDIRECT for a single path: a select group would make the datapath recirculate the frame for its hash.
        return Group(group_id, GroupType.INDIRECT, (Bucket((OutputGroup(trunks[0]),)),))
    buckets = tuple(Bucket((OutputGroup(trunk),), weight=1, watch_group=trunk) for trunk in trunks)
    return Group(group_id, GroupType.SELECT, buckets)


def _chosen(dpid: int, wiring: TrunkGraph, target: int, plane: Plane | None) -> list[TrunkLink]:
    leading_to = {trunk.neighbour: trunk for trunk in wiring.trunks(dpid, plane)}
    return [leading_to[hop] for hop in wiring.hops(dpid, target, plane)]


def _trunk_id(trunk: TrunkLink, plane: Plane | None) -> int:
    return trunk.ordinal + (TRUNK_GROUP if plane is None else PLANE_TRUNK_GROUP + (plane.number << 6))


def _way_id(number: int, plane: Plane | None) -> int:
    return PLANE_WAY_GROUP + ((plane.number if plane else 0) << 20) + number


# --- rules ----------------------------------------------------------------------------------------
def plane_rules(dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    """The rules of a switch for its planes, by the routes in force."""
    if wiring.planes:
        yield from _by_vlan(dpid, wiring)
    for plane in wiring.planes:
        usual, own = ([trunk for trunk in wiring.trunks(dpid, each) if trunk.in_tree] for each in (None, plane))
        if _ports(usual) != _ports(own):
            for vid in sorted(plane.vids):
                yield from _flood(vid, plane, own)
                yield from _selected(vid, plane, [trunk for trunk in own if trunk not in usual])


def _by_vlan(dpid: int, wiring: TrunkGraph) -> Iterator[Rule]:
    for target in wiring.others(dpid):
        number = wiring.numbers[target]
        usual = _chosen(dpid, wiring, target, None)
        towards = OutputGroup(_way_id(number, None))
        yield Rule(Table.WAYS, Priority.DEFAULT, match(**{_TARGET: number}), _COOKIE, (towards,))
        for plane in wiring.planes:
            if _ports(_chosen(dpid, wiring, target, plane)) != _ports(usual):
                towards = OutputGroup(_way_id(number, plane))
                for vid in sorted(plane.vids):
                    fields: MatchFields = {"vlan_vid": VLAN_PRESENT | vid, _TARGET: number}
                    yield Rule(Table.WAYS, Priority.EXACT, match(**fields), _COOKIE, (towards,))


def _ports(trunks: list[TrunkLink]) -> list[tuple[int, ...]]:
    return [trunk.ports for trunk in trunks]


def _flood(vid: int, plane: Plane, tree: list[TrunkLink]) -> Iterator[Rule]:
    """Copies along the tree of a plane; what comes in by another trunk is dropped, so no loop can form."""
    of_vid = VLAN_PRESENT | vid
    yield Rule(Table.FLOOD, Priority.EXACT + 1, match(vlan_vid=of_vid), _COOKIE)
    for ordinal in (0, *(trunk.ordinal for trunk in tree)):
        arrived = match(vlan_vid=of_vid, metadata=(metadata(trunk=ordinal), TRUNK_MASK))
        copies = tuple(OutputGroup(_trunk_id(trunk, plane)) for trunk in tree if trunk.ordinal != ordinal)
        yield Rule(Table.FLOOD, Priority.EXACT + 2, arrived, _COOKIE, copies, goto=Table.FLOOD_VID)


def _selected(vid: int, plane: Plane, trunks: list[TrunkLink]) -> Iterator[Rule]:
    """A copy of a multicast frame to one trunk, once, and not if the frame came in by it."""
    of_vid = VLAN_PRESENT | vid
    for trunk in trunks:
        towards, sent = metadata(port=TRUNK_SELECTOR | trunk.ordinal), sent_to(trunk.ordinal)
        back = towards | metadata(trunk=trunk.ordinal), PORT_MASK | TRUNK_MASK
        yield Rule(Table.GROUP_PAGE, Priority.GUARD + 1, match(vlan_vid=of_vid, metadata=back), _COOKIE)
        first: MatchFields = {
            "vlan_vid": of_vid,
            "metadata": (towards, PORT_MASK),
            sent.name: (0, 1 << sent.offset),
        }
        copy = RegLoad(sent, 1), OutputGroup(_trunk_id(trunk, plane))
        yield Rule(Table.GROUP_PAGE, Priority.EXACT + 1, match(**first), _COOKIE, copy)
