"""In any fabric, with any failures, returns and moves, and any order of confirmations: no loop, no copy twice."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import VLAN, Vm, World
from tests.worlds.draws import drawn

HOST, STATION = 1, 2
BROADCAST = 0xFFFFFFFFFFFF
ASSOCIATE, DEASSOCIATE = VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Three to six switches in one piece, some of them joined by two links, a host and a station at each."""
    count = draw(st.integers(3, 6))
    links = [(draw(st.integers(1, number - 1)), number) for number in range(2, count + 1)]
    pairs = list(combinations(range(1, count + 1), 2))
    links += draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=5))
    return joined(count, links)


def joined(count: int, links: list[tuple[int, int]]) -> Fabric:
    """Switches 1 to ``count`` with a host and a station each, and links between them."""
    ports: dict[int, list[Interface]] = {
        dpid: [
            Interface(HOST, f"h{dpid}", Role.HOST, VLAN, macs=(mac_of(dpid),)),
            Interface(STATION, f"hv{dpid}", Role.STATION, VLAN),
        ]
        for dpid in range(1, count + 1)
    }
    for near, other in links:
        here, there = (PortId(dpid, len(ports[dpid]) + 1) for dpid in (near, other))
        ports[near].append(Interface(here.port_no, f"s{other}", Role.TRUNK, peer=there))
        ports[other].append(Interface(there.port_no, f"s{near}", Role.TRUNK, peer=here))
    return Fabric(
        {
            dpid: Switch(dpid, f"s{dpid}", {interface.port_no: interface for interface in found})
            for dpid, found in ports.items()
        }
    )


def mac_of(dpid: int) -> int:
    return 0x020000000F00 | dpid


def say(world: World, source: int, target: int) -> list[int]:
    """A frame of the host at a switch to an address; the switches at whose hosts it comes out."""
    frame = {"eth_src": mac_of(source), "eth_dst": target, "eth_type": 0x88B5, "vlan_vid": 0}
    return sorted(arrival.port.dpid for arrival in world.carry(PortId(source, HOST), frame))


def nothing_goes_round_or_arrives_twice(world: World) -> None:
    for source in world.fabric.switches:
        copies = say(world, source, BROADCAST)
        assert len(copies) == len(set(copies))
        for target in world.fabric.switches:
            if target != source:
                assert say(world, source, mac_of(target)) in ([], [target])


def everything_arrives(world: World) -> None:
    pieces = nx.Graph()
    pieces.add_nodes_from(world.fabric.switches)
    for port in world.fabric.ports(Role.TRUNK):
        peer = world.fabric.interface(port).peer  # type: ignore[union-attr]
        if port not in world.cut:
            pieces.add_edge(port.dpid, peer.dpid)
    for source in world.fabric.switches:
        there = nx.node_connected_component(pieces, source) - {source}
        assert say(world, source, BROADCAST) == sorted(there)
        for target in set(world.fabric.switches) - {source}:
            assert say(world, source, mac_of(target)) == ([target] if target in there else [])


@drawn(20)
@given(fabric=fabrics(), data=st.data())
def test_ways_change_without_loops(fabric: Fabric, data: st.DataObject) -> None:
    world = World(fabric)
    world.connect()
    everything_arrives(world)
    trunks = fabric.ports(Role.TRUNK)
    world.hold.update(fabric.switches)
    for _ in range(data.draw(st.integers(1, 12))):
        if world.held and data.draw(st.booleans()):
            somebody_obeys(world, data)
        else:
            port = data.draw(st.sampled_from(trunks))
            world.link(port, port in world.cut)
        nothing_goes_round_or_arrives_twice(world)
    while world.held:
        world._apply(world.held.pop(0))
        nothing_goes_round_or_arrives_twice(world)
    everything_arrives(world)


@drawn(15)
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
    assert not any(apply.change.add or apply.change.remove for apply in world.applied)
    everything_arrives(world)


def somebody_obeys(world: World, data: st.DataObject) -> None:
    dpid = data.draw(st.sampled_from(sorted({apply.dpid for apply in world.held})))
    first = next(apply for apply in world.held if apply.dpid == dpid)
    world.held.remove(first)
    world._apply(first)


def nothing_under_way_goes_round(world: World, vm: Vm) -> None:
    """A frame for the VM from every host; and one on every link, in either direction."""
    for port in (*world.fabric.ports(Role.HOST), *world.fabric.ports(Role.TRUNK)):
        tag = VLAN_PRESENT | VLAN if world.fabric.interface(port).role is Role.TRUNK else 0  # type: ignore[union-attr]
        frame = {"eth_src": mac_of(port.dpid), "eth_dst": vm.mac, "eth_type": 0x88B5, "vlan_vid": tag}
        assert len(world.carry(port, frame)) <= 1


def move_at_random(world: World, data: st.DataObject, homes: list[int], overtaking: bool) -> None:
    """One VM moves between stations, whose switches obey in whatever order, and nothing goes round at any moment."""
    vm = Vm(1)
    world.connect()
    for dpid in homes:
        world.ask(PortId(dpid, STATION), vm, VdpMode.PREASSOCIATE_RR)
    world.ask(PortId(homes[0], STATION), vm, ASSOCIATE)
    world.hold.update(world.fabric.switches)
    for _ in range(data.draw(st.integers(1, 20))):
        if world.held and (not overtaking or data.draw(st.integers(0, 3))):
            somebody_obeys(world, data)
        else:
            port = PortId(data.draw(st.sampled_from(homes)), STATION)
            world.ask(port, vm, data.draw(st.sampled_from([ASSOCIATE, ASSOCIATE, ASSOCIATE, DEASSOCIATE])))
        world.advance(data.draw(st.sampled_from([0.0, 0.0, 0.5])))
        nothing_under_way_goes_round(world, vm)
    while world.held:
        somebody_obeys(world, data)
        nothing_under_way_goes_round(world, vm)


@drawn(20)
@given(fabric=fabrics(), data=st.data())
def test_a_vm_moves_without_loops(fabric: Fabric, data: st.DataObject) -> None:
    move_at_random(World(fabric, forward_in_flight=2), data, sorted(fabric.switches), overtaking=False)


@drawn(20)
@given(leaves=st.integers(2, 4), spines=st.integers(1, 3), data=st.data())
def test_moves_that_overtake_each_other_make_no_loop_between_leaves_and_spines(
    leaves: int, spines: int, data: st.DataObject
) -> None:
    links = [(number, leaves + other) for number in range(1, leaves + 1) for other in range(1, spines + 1)]
    world = World(joined(leaves + spines, links), forward_in_flight=2)
    move_at_random(world, data, list(range(1, leaves + 1)), overtaking=True)
