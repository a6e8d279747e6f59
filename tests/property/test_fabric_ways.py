"""Whatever fabric, whatever link fails or returns, and in whatever order switches obey: no loop, no copy twice."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId, Role, Switch
from tests.world import VLAN, World

HOST = 1
BROADCAST = 0xFFFFFFFFFFFF


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Three to six switches in one piece, some of them joined by two links, a host at each."""
    count = draw(st.integers(3, 6))
    links = [(draw(st.integers(1, one - 1)), one) for one in range(2, count + 1)]
    pairs = list(combinations(range(1, count + 1), 2))
    links += draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=5))
    ports: dict[int, list[Interface]] = {
        dpid: [Interface(HOST, f"h{dpid}", Role.HOST, VLAN, macs=(mac_of(dpid),))] for dpid in range(1, count + 1)
    }
    for one, other in links:
        here, there = (PortId(dpid, len(ports[dpid]) + 1) for dpid in (one, other))
        ports[one].append(Interface(here.port_no, f"s{other}", Role.TRUNK, peer=there))
        ports[other].append(Interface(there.port_no, f"s{one}", Role.TRUNK, peer=here))
    return Fabric(
        {dpid: Switch(dpid, f"s{dpid}", {one.port_no: one for one in found}) for dpid, found in ports.items()}
    )


def mac_of(dpid: int) -> int:
    return 0x020000000F00 | dpid


def say(world: World, source: int, target: int) -> list[int]:
    """A frame of the host at a switch to an address; the switches at whose hosts it comes out."""
    frame = {"eth_src": mac_of(source), "eth_dst": target, "eth_type": 0x88B5, "vlan_vid": 0}
    return sorted(one.port.dpid for one in world.carry(PortId(source, HOST), frame))


def nothing_goes_round_or_arrives_twice(world: World) -> None:
    for source in world.fabric.switches:
        copies = say(world, source, BROADCAST)
        assert len(copies) == len(set(copies))
        for target in world.fabric.switches:
            if target != source:
                assert say(world, source, mac_of(target)) in ([], [target])


def everything_arrives(world: World) -> None:
    joined = nx.Graph()
    joined.add_nodes_from(world.fabric.switches)
    for port in world.fabric.ports(Role.TRUNK):
        peer = world.fabric.interface(port).peer  # type: ignore[union-attr]
        if port not in world.cut:
            joined.add_edge(port.dpid, peer.dpid)
    for source in world.fabric.switches:
        there = nx.node_connected_component(joined, source) - {source}
        assert say(world, source, BROADCAST) == sorted(there)
        for target in set(world.fabric.switches) - {source}:
            assert say(world, source, mac_of(target)) == ([target] if target in there else [])


@settings(max_examples=60, deadline=None)
@given(fabric=fabrics(), data=st.data())
def test_ways_change_without_loops(fabric: Fabric, data: st.DataObject) -> None:
    world = World(fabric)
    world.connect()
    everything_arrives(world)
    trunks = fabric.ports(Role.TRUNK)
    world.hold.update(fabric.switches)
    for _ in range(data.draw(st.integers(1, 12))):
        waiting = sorted({one.dpid for one in world.held})
        if waiting and data.draw(st.booleans()):
            dpid = data.draw(st.sampled_from(waiting))
            first = next(one for one in world.held if one.dpid == dpid)
            world.held.remove(first)
            world._apply(first)
        else:
            port = data.draw(st.sampled_from(trunks))
            world.link(port, port in world.cut)
        nothing_goes_round_or_arrives_twice(world)
    while world.held:
        world._apply(world.held.pop(0))
        nothing_goes_round_or_arrives_twice(world)
    everything_arrives(world)


@settings(max_examples=30, deadline=None)
@given(fabric=fabrics(), data=st.data())
def test_a_controller_that_comes_back_changes_no_way(fabric: Fabric, data: st.DataObject) -> None:
    world = World(fabric)
    world.connect()
    for port in data.draw(st.lists(st.sampled_from(fabric.ports(Role.TRUNK)), max_size=4)):
        world.link(port, port in world.cut)
    before = {dpid: (dict(table.rules), dict(table.groups)) for dpid, table in world.tables.items()}
    world.applied.clear()
    world.restart_controller()
    assert {dpid: (table.rules, table.groups) for dpid, table in world.tables.items()} == before
    assert not any(one.change.add or one.change.remove for one in world.applied)
    everything_arrives(world)
