"""The fabric as a networkx graph, and what forwarding needs from it: next hops and one broadcast tree.

Knows no flow rule.  Parallel links between two switches form one *trunk*: forwarding chooses the
neighbour, the switch itself chooses the link that is up (fast failover).
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId, Role


def graph_of(fabric: Fabric) -> nx.MultiGraph:
    """Switches and everything attached to them.

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
    elif interface.peer is not None and port < interface.peer:
        graph.add_edge(port.dpid, interface.peer.dpid, ports=frozenset({port, interface.peer}))


@dataclass(frozen=True, slots=True)
class Trunk:
    """All links from one switch to one neighbour.

    Attributes:
        ordinal: 1..63, stands for the trunk in metadata.
        neighbour: datapath id at the other end.
        ports: local port numbers, the preferred one first; both ends prefer the same link.
        in_tree: broadcast travels here.
    """

    ordinal: int
    neighbour: int
    ports: tuple[int, ...]
    in_tree: bool


class Wiring:
    """Trunks, next hops and the broadcast tree of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        links: dict[int, dict[int, list[tuple[PortId, PortId]]]] = {dpid: {} for dpid in fabric.switches}
        for port in fabric.ports(Role.TRUNK):
            interface = fabric.interface(port)
            if interface is not None and interface.peer is not None:
                link = min(port, interface.peer), max(port, interface.peer)
                links[port.dpid].setdefault(interface.peer.dpid, []).append(link)
        backbone = nx.Graph((dpid, peer) for dpid, peers in links.items() for peer in peers)
        backbone.add_nodes_from(fabric.switches)
        tree = nx.minimum_spanning_tree(backbone)
        self._trunks = {
            dpid: tuple(
                Trunk(ordinal, peer, _local_ports(dpid, peers[peer]), tree.has_edge(dpid, peer))
                for ordinal, peer in enumerate(sorted(peers), start=1)
            )
            for dpid, peers in links.items()
        }
        self._tree = tree
        paths = dict(nx.all_pairs_shortest_path(backbone))
        self._next_hop = {
            (source, target): path[1]
            for source, targets in paths.items()
            for target, path in targets.items()
            if len(path) > 1
        }

    def trunks(self, dpid: int) -> tuple[Trunk, ...]:
        """The trunks of a switch in the order of their ordinals."""
        return self._trunks.get(dpid, ())

    def branches(self, dpid: int) -> tuple[tuple[int, frozenset[int]], ...]:
        """Where the broadcast tree goes from a switch: ordinals of trunks, and the switches behind each."""
        return tuple(
            (trunk.ordinal, self._behind(dpid, trunk.neighbour)) for trunk in self.trunks(dpid) if trunk.in_tree
        )

    def _behind(self, dpid: int, neighbour: int) -> frozenset[int]:
        cut = nx.restricted_view(self._tree, [], [(dpid, neighbour)])
        return frozenset(nx.node_connected_component(cut, neighbour))

    def trunk_towards(self, dpid: int, target: int) -> Trunk | None:
        """The trunk by which ``dpid`` reaches the switch ``target``; None if there is no path."""
        neighbour = self._next_hop.get((dpid, target))
        return next((trunk for trunk in self.trunks(dpid) if trunk.neighbour == neighbour), None)


def _local_ports(dpid: int, links: list[tuple[PortId, PortId]]) -> tuple[int, ...]:
    return tuple(port.port_no for link in sorted(links) for port in link if port.dpid == dpid)
