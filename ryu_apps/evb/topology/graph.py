"""The fabric as a networkx graph: next hops for unicast and one broadcast tree.

Parallel links between two switches form one *trunk*: forwarding chooses the neighbour, the switch itself
chooses the link that is up (fast failover).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import networkx as nx

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.numbering import numbers_of_switches, numbers_of_trunks
from ryu_apps.evb.topology.planes import Plane, planes_of
from ryu_apps.evb.topology.port_id import PortId

#: The highest number of a switch: each number has a group in the others.
MOST_SWITCHES = 0xFFFFF
#: The highest number of a trunk: it has six bits of metadata, 0 for none.
MOST_TRUNKS = 63


def graph_of(fabric: Fabric) -> nx.MultiGraph:
    """The graph of switches, stations, hosts and links.

    Nodes are datapath ids (attribute ``kind='switch'``) and, for stations and hosts,
    ``(dpid, port_no)`` (``kind='station'`` or ``'host'``).  Edges carry ``ports``, the set of
    :class:`PortId` at their ends.
    """
    graph = nx.MultiGraph()
    for dpid, switch in sorted(fabric.switches.items()):
        graph.add_node(dpid, kind="switch", name=switch.name)
    for dpid, switch in sorted(fabric.switches.items()):
        for port_no, interface in sorted(switch.interfaces.items()):
            _attach(graph, PortId(dpid, port_no), interface)
    return graph


def _attach(graph: nx.MultiGraph, port: PortId, interface: Interface) -> None:
    if interface.role is not Role.TRUNK:
        graph.add_node(port, kind=interface.role.value, name=interface.name)
        graph.add_edge(port.dpid, port, ports=frozenset({port}))
    # Both ends of a link are configured; the lower port adds the edge, so that it is in the graph once.
    elif interface.peer is not None and port < interface.peer:
        graph.add_edge(port.dpid, interface.peer.dpid, ports=frozenset({port, interface.peer}))


@dataclass(frozen=True, slots=True)
class TrunkLink:
    """All links from one switch to one neighbour.

    Attributes:
        ordinal: 1 to :data:`MOST_TRUNKS`, number of the trunk in metadata (:mod:`.numbering`).
        neighbour: datapath id at the other end.
        ports: local port numbers, the preferred one first; both ends prefer the same link.
        in_tree: part of the broadcast tree.
    """

    ordinal: int
    neighbour: int
    ports: tuple[int, ...]
    in_tree: bool


#: Two switches that are neighbours.
Edge = frozenset[int]


@dataclass(frozen=True, slots=True)
class Routes:
    """Paths of unicast frames and the broadcast tree.

    Attributes:
        hops: (switch, destination switch) -> neighbours that are next on a shortest path, in order.
        tree: edges of the broadcast tree.
        planes: those of each plane, by its number.
    """

    hops: Mapping[tuple[int, int], tuple[int, ...]]
    tree: frozenset[Edge]
    planes: Mapping[int, Routes] = field(default_factory=dict)

    def common(self, other: Routes) -> Routes:
        """The hops and edges that both have.

        During a change some switches forward by the old routes and some by the new; frames along common ones
        meet no loop in either case.
        """
        hops = {
            ends: tuple(neighbour for neighbour in found if neighbour in other.hops.get(ends, ()))
            for ends, found in self.hops.items()
        }
        planes = {number: routes.common(other.planes[number]) for number, routes in self.planes.items()}
        return Routes(hops, self.tree & other.tree, planes)

    def of(self, plane: Plane | None) -> Routes:
        """Those of a plane, None: of VLANs that are in none."""
        return self if plane is None else self.planes[plane.number]


class TrunkGraph:
    """The trunks of a fabric, and the routes that are in force.

    Built once for a fabric: ordinals of trunks and numbers of switches do not change with failed links, because
    rules in the switches contain them.

    Attributes:
        alternatives: True if the trunks form a cycle, so that some switches are connected by more than one path; or if
            VLANs differ in theirs.
        planes: VLANs that do not use all trunks.
        routes: in force; ``switches.rerouting`` replaces them once the switches have the new rules.
        numbers: switch -> 1 to :data:`MOST_SWITCHES`; others that come or go do not change it (:mod:`.numbering`).
    """

    def __init__(self, fabric: Fabric) -> None:
        self._links: dict[int, dict[int, list[tuple[PortId, PortId]]]] = {dpid: {} for dpid in fabric.switches}
        for port in fabric.ports(Role.TRUNK):
            interface = fabric.interface(port)
            if interface is not None and interface.peer is not None:
                link = min(port, interface.peer), max(port, interface.peer)
                self._links[port.dpid].setdefault(interface.peer.dpid, []).append(link)
        self.numbers = numbers_of_switches(fabric.switches, MOST_SWITCHES)
        whole = self._backbone(frozenset())
        self.planes = planes_of(fabric)
        self._plane_of = {vid: plane for plane in self.planes for vid in plane.vids}
        self.alternatives = bool(self.planes) or (bool(self.numbers) and not nx.is_forest(whole))
        self._others = {dpid: tuple(sorted(nx.node_connected_component(whole, dpid) - {dpid})) for dpid in whole}
        self.routes = self._usual = self.plan(())

    def plan(self, down: Iterable[PortId]) -> Routes:
        """The routes over the remaining links; the same ports down always give the same routes."""
        known = frozenset(down)
        planes = {plane.number: self._plan(known | plane.shut) for plane in self.planes}
        return replace(self._plan(known), planes=planes)

    def _plan(self, down: frozenset[PortId]) -> Routes:
        backbone = self._backbone(down)
        tree = nx.minimum_spanning_tree(backbone)
        distances = dict(nx.all_pairs_shortest_path_length(backbone))
        hops = {
            (source, target): tuple(
                neighbour
                for neighbour in sorted(backbone[source])
                if distances[neighbour].get(target, distance) < distance
            )
            for source, reachable in distances.items()
            for target, distance in reachable.items()
            if source != target
        }
        return Routes(hops, frozenset(frozenset(edge) for edge in tree.edges))

    def _backbone(self, down: frozenset[PortId]) -> nx.Graph:
        # Nodes and edges are added in order: networkx resolves ties of equal weights by insertion, and a restarted
        # controller must compute the same tree.
        backbone = nx.Graph()
        backbone.add_nodes_from(sorted(self._links))
        for dpid, peers in sorted(self._links.items()):
            for peer, links in sorted(peers.items()):
                if any(down.isdisjoint(link) for link in links):
                    backbone.add_edge(dpid, peer)
        return backbone

    def plane_of(self, vids: Iterable[int]) -> Plane | None:
        """The plane of some VLANs, of which all are in the same one; None: they are in none."""
        return next((self._plane_of[vid] for vid in vids if vid in self._plane_of), None)

    def trunks(self, dpid: int, plane: Plane | None = None) -> tuple[TrunkLink, ...]:
        """The trunks of a switch that a plane uses, in the order of their ordinals."""
        peers, tree = self._links.get(dpid, {}), self.routes.of(plane).tree
        ordinals = numbers_of_trunks({peer: _first_port(dpid, links) for peer, links in peers.items()}, MOST_TRUNKS)
        found = (
            TrunkLink(ordinals[peer], peer, _local_ports(dpid, peers[peer], plane), frozenset((dpid, peer)) in tree)
            for peer in sorted(peers, key=lambda peer: ordinals[peer])
        )
        return tuple(trunk for trunk in found if trunk.ports)

    def branches(self, dpid: int, plane: Plane | None = None) -> tuple[tuple[int, frozenset[int]], ...]:
        """The branches of the broadcast tree at a switch: ordinals of trunks, and the switches behind each."""
        tree = nx.Graph(tuple(edge) for edge in self.routes.of(plane).tree)
        trunks = (trunk for trunk in self.trunks(dpid, plane) if trunk.in_tree)
        return tuple((trunk.ordinal, _behind(tree, dpid, trunk.neighbour)) for trunk in trunks)

    def hops(self, dpid: int, target: int, plane: Plane | None = None) -> tuple[int, ...]:
        """The next neighbours on shortest paths from a switch to another; empty if there is no path now."""
        return self.routes.of(plane).hops.get((dpid, target), ())

    def usually(self, dpid: int, target: int, plane: Plane | None = None) -> tuple[TrunkLink, ...]:
        """The trunks on shortest paths from a switch to another while all links are up."""
        hops = self._usual.of(plane).hops.get((dpid, target), ())
        return tuple(trunk for trunk in self.trunks(dpid, plane) if trunk.neighbour in hops)

    def others(self, dpid: int) -> tuple[int, ...]:
        """The other switches that are reachable while all links are up; from a switch that is not configured, none."""
        return self._others.get(dpid, ())


def _behind(tree: nx.Graph, dpid: int, neighbour: int) -> frozenset[int]:
    cut = nx.restricted_view(tree, [], [(dpid, neighbour)])
    return frozenset(nx.node_connected_component(cut, neighbour))


def _local_ports(dpid: int, links: list[tuple[PortId, PortId]], plane: Plane | None) -> tuple[int, ...]:
    used = (link for link in sorted(links) if plane is None or plane.shut.isdisjoint(link))
    return tuple(port.port_no for link in used for port in link if port.dpid == dpid)


def _first_port(dpid: int, links: list[tuple[PortId, PortId]]) -> int:
    """The lowest port of a switch that is an end of some links, whatever plane uses them."""
    return min(port.port_no for link in links for port in link if port.dpid == dpid)
