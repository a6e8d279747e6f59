"""Layout of the picture: switches in tiers, their stations and hosts in blocks below, links between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId

CELL_WIDTH, CELL_HEIGHT, GAP = 88.0, 38.0, 6.0
SWITCH_HEIGHT, EDGE_WIDTH, UPPER_WIDTH = 30.0, 112.0, 140.0
MARGIN, TOP, BOTTOM = 28.0, 76.0, 70.0
#: Between two blocks; where switches of a tier are linked to each other there is more to see.
BLOCK_GAP, LINKED_GAP = 26.0, 120.0
#: Between two links side by side, and the least between two tiers.
LINK_GAP, TIER_GAP = 14.0, 120.0
#: Width to height.
ASPECT = 1.7
NARROWEST = 760.0


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle, by its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class DrawnLink:
    """A link between two switches; ``in_tree``: broadcasts travel here."""

    ends: tuple[PortId, PortId]
    in_tree: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A link as it is drawn: from point to point, bent upwards by ``bend``."""

    link: DrawnLink
    start: tuple[float, float]
    stop: tuple[float, float]
    bend: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything in its place.

    Attributes:
        switches: by datapath id.
        nodes: hypervisors and end systems, by the port they hang on.
    """

    width: float
    height: float
    switches: dict[int, Rectangle]
    nodes: dict[PortId, Rectangle]
    lines: tuple[Line, ...]


def links_of(fabric: Fabric, down: Iterable[PortId] = ()) -> tuple[DrawnLink, ...]:
    """Each link between two switches once; broadcasts go around those that are down, and take one of parallel ones."""
    wiring, broken = TrunkGraph(fabric), frozenset(down)
    wiring.routes = wiring.plan(broken)
    return tuple(
        link
        for dpid in fabric.switches
        for trunk in wiring.trunks(dpid)
        if dpid < trunk.neighbour
        for link in _parallel(fabric, [PortId(dpid, port_no) for port_no in trunk.ports], trunk.in_tree, broken)
    )


def _parallel(fabric: Fabric, ports: Sequence[PortId], in_tree: bool, down: frozenset[PortId]) -> Iterator[DrawnLink]:
    free = in_tree
    for port in ports:
        ends = port, _peer(fabric, port)
        carries = free and not down.intersection(ends)
        free = free and not carries
        yield DrawnLink(ends, carries)


def _peer(fabric: Fabric, port: PortId) -> PortId:
    interface = fabric.interface(port)
    assert interface is not None and interface.peer is not None
    return interface.peer


def tiers_of(fabric: Fabric) -> list[list[int]]:
    """Switches by their distance from what hangs on the fabric: first those with nodes, last the uppermost.

    Within a tier those with nodes are in the operator's order, others where the switches below them are.
    """
    backbone = nx.Graph(tuple(end.dpid for end in link.ends) for link in links_of(fabric))
    backbone.add_nodes_from(fabric.switches)
    edge = [
        dpid
        for dpid, switch in fabric.switches.items()
        if any(interface.role is not Role.TRUNK for interface in switch.interfaces.values())
    ]
    height = nx.multi_source_dijkstra_path_length(backbone, edge, weight=None) if edge else {}
    tiers: list[list[int]] = [[] for _ in range(1 + max(height.values(), default=0))]
    for dpid in fabric.switches:
        tiers[height.get(dpid, 0)].append(dpid)
    for below, tier in pairwise(tiers):
        place = {dpid: number for number, dpid in enumerate(below)}
        tier.sort(key=_centre_of(backbone, place))
    return tiers


def _centre_of(backbone: nx.Graph, place: dict[int, int]) -> Callable[[int], float]:
    def centre(dpid: int) -> float:
        below = [place[neighbour] for neighbour in backbone[dpid] if neighbour in place]
        return sum(below) / len(below)

    return centre


def lay_out(fabric: Fabric, down: Iterable[PortId] = ()) -> Layout:
    """Put everything in its place."""
    links, tiers = links_of(fabric, down), tiers_of(fabric)
    tier_of = {dpid: number for number, tier in enumerate(tiers) for dpid in tier}
    level = [link for link in links if len({tier_of[end.dpid] for end in link.ends}) == 1]
    gap = LINKED_GAP if level else BLOCK_GAP
    blocks = {dpid: _nodes_of(fabric, dpid) for dpid in tiers[0]}
    columns = _columns(blocks, gap)
    widths = {dpid: _block_width(nodes, columns) for dpid, nodes in blocks.items()}
    widths |= {dpid: _upper_width(links, dpid) for tier in tiers[1:] for dpid in tier}
    width = max(NARROWEST, *(_row_width(tier, widths, gap) for tier in tiers))
    rise = min(max(TIER_GAP, width * 0.07), 260.0)
    arcs = max((_reach(link, tiers) for link in level), default=0)
    base = TOP + (len(tiers) - 1) * (SWITCH_HEIGHT + rise) + min(arcs * 30.0, rise if len(tiers) > 1 else 260.0)
    switches = {
        dpid: box
        for number, tier in enumerate(tiers)
        for dpid, box in _row(tier, widths, width, gap if number == 0 else None, base - number * (SWITCH_HEIGHT + rise))
    }
    nodes = {port: box for dpid, ports in blocks.items() for port, box in _grid(ports, switches[dpid], columns)}
    lowest = max((box.bottom for box in (*switches.values(), *nodes.values())), default=TOP)
    return Layout(width, lowest + BOTTOM, switches, nodes, tuple(_lines(links, tiers, switches)))


# --- blocks of nodes -----------------------------------------------------------------------------
def _nodes_of(fabric: Fabric, dpid: int) -> tuple[list[PortId], list[PortId]]:
    """Stations, then hosts."""
    ports = sorted(fabric.switches[dpid].interfaces.items())
    return (
        [PortId(dpid, port_no) for port_no, interface in ports if interface.role is Role.STATION],
        [PortId(dpid, port_no) for port_no, interface in ports if interface.role is Role.HOST],
    )


Blocks = dict[int, tuple[list[PortId], list[PortId]]]


def _columns(blocks: Blocks, gap: float) -> int:
    """As many as make the picture neither a tower nor a ribbon."""

    def misfit(columns: int) -> float:
        width = sum(_block_width(nodes, columns) + gap for nodes in blocks.values()) or NARROWEST
        rows = max((_rows(nodes, columns) for nodes in blocks.values()), default=0)
        return abs(math.log(width / (rows * (CELL_HEIGHT + GAP) + TOP + BOTTOM + TIER_GAP) / ASPECT))

    return min(range(1, 17), key=misfit)


def _rows(nodes: tuple[list[PortId], list[PortId]], columns: int) -> int:
    return sum(math.ceil(len(some) / columns) for some in nodes)


def _block_width(nodes: tuple[list[PortId], list[PortId]], columns: int) -> float:
    used = max(1, min(columns, max(map(len, nodes))))
    return max(EDGE_WIDTH, _width_of(used))


def _width_of(columns: int) -> float:
    return columns * (CELL_WIDTH + GAP) - GAP


def _grid(
    nodes: tuple[list[PortId], list[PortId]], switch: Rectangle, columns: int
) -> Iterator[tuple[PortId, Rectangle]]:
    left = switch.middle - _width_of(min(columns, max(map(len, nodes)))) / 2
    y = switch.bottom + 2 * GAP
    for some in nodes:
        for number, port in enumerate(some):
            row, column = divmod(number, columns)
            x = left + column * (CELL_WIDTH + GAP)
            yield port, Rectangle(x, y + row * (CELL_HEIGHT + GAP), CELL_WIDTH, CELL_HEIGHT)
        y += math.ceil(len(some) / columns) * (CELL_HEIGHT + GAP) + (GAP if some else 0)


# --- rows of switches ----------------------------------------------------------------------------
def _upper_width(links: Sequence[DrawnLink], dpid: int) -> float:
    ends = sum(end.dpid == dpid for link in links for end in link.ends)
    return max(UPPER_WIDTH, ends * LINK_GAP)


def _row_width(tier: Sequence[int], widths: dict[int, float], gap: float) -> float:
    return sum(widths[dpid] for dpid in tier) + gap * (len(tier) - 1) + 2 * MARGIN


def _row(
    tier: Sequence[int], widths: dict[int, float], width: float, gap: float | None, y: float
) -> Iterator[tuple[int, Rectangle]]:
    """Side by side in the middle, ``gap`` apart; None: as far apart as there is room."""
    room = width - sum(widths[dpid] for dpid in tier) - 2 * MARGIN
    apart = room / (len(tier) + 1) if gap is None else gap
    x = MARGIN + (room - apart * (len(tier) - 1)) / 2
    for dpid in tier:
        yield dpid, Rectangle(x, y, widths[dpid], SWITCH_HEIGHT)
        x += widths[dpid] + apart


# --- links -----------------------------------------------------------------------------------------
def _reach(link: DrawnLink, tiers: Sequence[Sequence[int]]) -> int:
    """Return the number of switches that a link within a tier passes over."""
    for tier in tiers:
        if link.ends[0].dpid in tier and link.ends[1].dpid in tier:
            return abs(tier.index(link.ends[0].dpid) - tier.index(link.ends[1].dpid)) - 1
    return 0


def _lines(
    links: Sequence[DrawnLink], tiers: Sequence[Sequence[int]], switches: dict[int, Rectangle]
) -> Iterator[Line]:
    """Neighbours in a tier are joined side to side; all others by points along the edges of their boxes."""
    beside = [link for link in links if _level(link, switches) and _reach(link, tiers) == 0]
    points = _points([link for link in links if link not in beside], switches)
    for link in links:
        if link in beside:
            yield _side_by_side(link, beside, switches)
        else:
            start, stop = (points[link, end] for end in link.ends)
            reach = _reach(link, tiers) if _level(link, switches) else 0
            yield Line(link, start, stop, bend=30.0 + 44.0 * reach if reach else 0.0)


def _level(link: DrawnLink, switches: dict[int, Rectangle]) -> bool:
    here, there = (switches[end.dpid] for end in link.ends)
    return here.y == there.y


def _side_by_side(link: DrawnLink, beside: Sequence[DrawnLink], switches: dict[int, Rectangle]) -> Line:
    same = [other for other in beside if _between(other) == _between(link)]
    step = min(LINK_GAP, (SWITCH_HEIGHT - 8) / max(1, len(same) - 1))
    here, there = (switches[end.dpid] for end in link.ends)
    y = here.y + here.height / 2 + (same.index(link) - (len(same) - 1) / 2) * step
    start, stop = (here.right, there.x) if here.x < there.x else (here.x, there.right)
    return Line(link, (start, y), (stop, y))


def _between(link: DrawnLink) -> frozenset[int]:
    return frozenset(end.dpid for end in link.ends)


def _points(
    links: Sequence[DrawnLink], switches: dict[int, Rectangle]
) -> dict[tuple[DrawnLink, PortId], tuple[float, float]]:
    """Return the points at which each link meets its switches, ordered by the other end so that few lines cross."""
    edges: dict[tuple[int, bool], list[tuple[float, int, DrawnLink, PortId]]] = {}
    for number, link in enumerate(links):
        for end, other in (link.ends, link.ends[::-1]):
            here, there = switches[end.dpid], switches[other.dpid]
            upwards = there.y <= here.y
            edges.setdefault((end.dpid, upwards), []).append((there.middle, number, link, end))
    points = {}
    for (dpid, upwards), some in edges.items():
        box = switches[dpid]
        some.sort(key=lambda one: one[:2])
        step = box.width / len(some)
        for place, (_, _, link, end) in enumerate(some):
            points[link, end] = box.x + step * (place + 0.5), box.y if upwards else box.bottom
    return points
