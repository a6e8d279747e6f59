"""Two leaves, two spines and a third leaf: links fail and return, and what is sent takes the ways that are left."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.flow.actions import OutputGroup
from ryu_apps.evb.flow.rule import Bucket, Group, GroupType
from ryu_apps.evb.pipeline.tables import TRUNK_GROUP, WAY_GROUP, CookieKind
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import VLAN, Delivered, Vm, World
from tests.worlds.multicast import OFF, TYPES, G, join, vm
from tests.worlds.rest import RestWorld

L1, L2, L3, SPINE1, SPINE2 = 1, 2, 3, 11, 12
LEAVES, SPINES = (L1, L2, L3), (SPINE1, SPINE2)
HOST, STATION = 3, 4
BROADCAST = 0xFFFFFFFFFFFF
RR, ASSOC = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE
A = Vm(1)


def mac_of(leaf: int) -> int:
    return 0x020000000F00 | leaf


def leaf_spine() -> Fabric:
    """Port n of a leaf leads to spine n, port n of a spine to leaf n."""

    def leaf(dpid: int) -> Switch:
        ports = [
            *(
                Interface(number, f"spine{number}", Role.TRUNK, peer=PortId(spine, dpid))
                for number, spine in enumerate(SPINES, 1)
            ),
            Interface(HOST, f"host{dpid}", Role.HOST, VLAN, macs=(mac_of(dpid),)),
            Interface(STATION, f"hv{dpid}", Role.STATION, VLAN),
        ]
        return Switch(dpid, f"leaf{dpid}", {port.port_no: port for port in ports})

    def spine(number: int, dpid: int) -> Switch:
        ports = [Interface(leaf, f"leaf{leaf}", Role.TRUNK, peer=PortId(leaf, number)) for leaf in LEAVES]
        return Switch(dpid, f"spine{number}", {port.port_no: port for port in ports})

    switches = [*map(leaf, LEAVES), *(spine(number, dpid) for number, dpid in enumerate(SPINES, 1))]
    return Fabric({switch.dpid: switch for switch in switches})


@pytest.fixture
def world() -> World:
    world = World(leaf_spine())
    world.connect()
    return world


def say_to(world: World, source: int, target: int) -> list[Delivered]:
    frame = {"eth_src": mac_of(source), "eth_dst": target, "eth_type": 0x88B5, "vlan_vid": 0}
    return world.carry(PortId(source, HOST), frame)


def heard(world: World, source: int, target: int = BROADCAST) -> list[PortId]:
    return sorted(arrival.port for arrival in say_to(world, source, target))


def hosts(*leaves: int) -> list[PortId]:
    return [PortId(leaf, HOST) for leaf in leaves]


def way(world: World, dpid: int, target: int) -> Group:
    return world.tables[dpid].groups[WAY_GROUP + sorted(world.fabric.switches).index(target) + 1]


# --- equal ways -----------------------------------------------------------------------------------
def test_equal_ways_share_what_is_sent_and_each_is_watched(world: World) -> None:
    buckets = tuple(Bucket((OutputGroup(TRUNK_GROUP + number),), None, 1, TRUNK_GROUP + number) for number in (1, 2))
    group = way(world, L1, L2)
    assert (group.type, group.buckets) == (GroupType.SELECT, buckets)
    assert way(world, SPINE1, L2).type is GroupType.INDIRECT


def test_a_leaf_leaves_out_a_dead_link_by_itself(world: World) -> None:
    world.cut |= {PortId(L1, 1), PortId(SPINE1, L1)}
    assert heard(world, L1, mac_of(L2)) == hosts(L2)


def test_the_far_side_of_a_dead_link_is_told(world: World) -> None:
    world.link(PortId(L2, 1), up=False)
    assert heard(world, L1, mac_of(L2)) == hosts(L2)
    assert way(world, L1, L2).buckets == (Bucket((OutputGroup(TRUNK_GROUP + 2),)),)
    world.link(PortId(L2, 1), up=True)
    assert len(way(world, L1, L2).buckets) == 2


def test_a_spine_that_dies_is_gone_around_and_comes_back(world: World) -> None:
    before = world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}
    for leaf in LEAVES:
        world.link(PortId(leaf, 1), up=False)
    for source in LEAVES:
        others = [leaf for leaf in LEAVES if leaf != source]
        assert heard(world, source) == hosts(*others)
        assert [heard(world, source, mac_of(other)) for other in others] == [hosts(other) for other in others]
    for leaf in LEAVES:
        world.link(PortId(leaf, 1), up=True)
    assert (world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}) == before


@pytest.mark.parametrize("emptied", [False, True])
def test_audits_and_returning_switches_go_by_the_routes_in_force(world: World, emptied: bool) -> None:
    """Not by those for which the rules of a switch were composed before."""
    world.link(PortId(L2, 1), up=False)
    before = world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}
    if emptied:
        for dpid in world.fabric.switches:
            world.restart_switch(dpid)
    world.advance(2 * INTERVAL)
    assert (world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}) == before


def test_where_there_is_no_way_nothing_goes_round(world: World) -> None:
    for number in (1, 2):
        world.link(PortId(L3, number), up=False)
    assert heard(world, L3) == []
    assert heard(world, L1) == hosts(L2)
    assert heard(world, L1, mac_of(L3)) == []


# --- in steps -------------------------------------------------------------------------------------
def test_nobody_takes_a_new_way_before_all_have_left_the_old_one(world: World) -> None:
    world.hold |= set(world.fabric.switches)
    world.link(PortId(L2, 1), up=False)
    first = list(world.held)
    assert first
    assert all(not apply.change.groups or apply.mode is Mode.ATOMIC for apply in first)
    while len(world.held) > 1:
        world._apply(world.held.pop(0))
    assert all(apply in first for apply in world.held), "the next step waits for the last one to obey"
    world.release()
    assert heard(world, L1) == hosts(L2, L3)


def test_the_end_of_a_change_is_told_once(world: World) -> None:
    def told() -> int:
        return [event.kind for event in world.happened].count("ways.settled")

    world.hold |= set(world.fabric.switches)
    world.link(PortId(L2, 1), up=False)
    assert told() == 0
    world.release()
    assert told() == 1
    world.link(PortId(L2, 1), up=True)
    assert told() == 2


def test_what_happens_meanwhile_is_taken_into_account(world: World) -> None:
    world.hold |= set(world.fabric.switches)
    world.link(PortId(L2, 1), up=False)
    world.link(PortId(L2, 1), up=True)
    world.link(PortId(L3, 2), up=False)
    world.release()
    assert heard(world, L1) == hosts(L2, L3)
    assert [heard(world, L1, mac_of(leaf)) for leaf in (L2, L3)] == [hosts(L2), hosts(L3)]


def test_a_switch_that_refuses_a_step_is_compared_and_holds_nobody_up(world: World) -> None:
    world.refuse[L3, Mode.ATOMIC] = "no"
    world.link(PortId(L2, 1), up=False)
    assert heard(world, L1) == hosts(L2, L3)
    assert heard(world, L3, mac_of(L2)) == hosts(L2)


def test_a_switch_that_is_away_holds_nobody_up_and_learns_it_later(world: World) -> None:
    world.disconnect(L3)
    world.link(PortId(L2, 1), up=False)
    assert heard(world, L1, mac_of(L2)) == hosts(L2)
    world.connect(L3)
    assert heard(world, L3, mac_of(L2)) == hosts(L2)
    assert heard(world, L3) == hosts(L1, L2)


def test_a_switch_that_goes_away_in_the_middle_holds_nobody_up(world: World) -> None:
    world.hold.add(L3)
    world.link(PortId(L2, 1), up=False)
    world.disconnect(L3)
    assert heard(world, L1, mac_of(L2)) == hosts(L2)


# --- who lives there ------------------------------------------------------------------------------
def test_no_rule_of_a_vsi_changes_when_a_link_fails(world: World) -> None:
    guests = [Vm(number) for number in range(1, 6)]
    for guest in guests:
        world.ask(PortId(L2, STATION), guest, ASSOC)
    gates = {dpid: world.rules(dpid, CookieKind.GATE) for dpid in world.tables}
    world.applied.clear()
    world.link(PortId(L2, 1), up=False)
    changed = sum(len(apply.change.add) + len(apply.change.remove) for apply in world.applied)
    assert {dpid: world.rules(dpid, CookieKind.GATE) for dpid in world.tables} == gates
    assert changed < 20, "flood rules of infrastructure alone"
    for guest in guests:
        assert [found.port for found in say_to(world, L1, guest.mac)] == [PortId(L2, STATION)]


def test_a_vm_that_moves_while_a_link_fails_is_reached(world: World) -> None:
    world.ask(PortId(L1, STATION), A, ASSOC)
    world.ask(PortId(L2, STATION), A, RR)
    world.hold |= set(world.fabric.switches)
    world.link(PortId(L2, 2), up=False)
    world.ask(PortId(L2, STATION), A, ASSOC)
    world.release()
    world.advance(0.01)
    assert world.answer(PortId(L2, STATION)).success
    assert [arrival.port for arrival in say_to(world, L3, A.mac)] == [PortId(L2, STATION)]


def test_multicast_takes_the_new_tree_too() -> None:
    world = World(leaf_spine(), PolicySet(TYPES), snooping=OFF)
    world.connect()
    member = vm(1)
    world.ask(PortId(L3, STATION), member, ASSOC)
    join(world, PortId(L3, STATION), member, G)

    def receives() -> bool:
        return PortId(L3, STATION) in {arrival.port for arrival in stream(world)}

    assert receives()
    for leaf in LEAVES:
        world.link(PortId(leaf, 1), up=False)
        assert receives()
    world.link(PortId(L3, 1), up=True)
    world.link(PortId(L3, 2), up=False)
    world.link(PortId(L1, 1), up=True)
    assert receives()


def stream(world: World) -> list[Delivered]:
    frame = {"eth_src": mac_of(L1), "eth_dst": 0x01005E000000 | int(G) & 0x7FFFFF, "eth_type": 0x0800, "vlan_vid": 0}
    frame |= {"ip_proto": 17, "ipv4_src": 0x0A000001, "ipv4_dst": int(G), "udp_src": 5, "udp_dst": 5}
    return world.carry(PortId(L1, HOST), frame)


# --- what is remembered and shown -----------------------------------------------------------------
def test_a_bridge_that_starts_again_knows_what_was_down(world: World) -> None:
    world.link(PortId(L2, 1), up=False)
    before = {dpid: (dict(table.rules), dict(table.groups)) for dpid, table in world.tables.items()}
    world.applied.clear()
    world.restart_controller()
    assert {dpid: (table.rules, table.groups) for dpid, table in world.tables.items()} == before
    assert not any(apply.change.add or apply.change.remove for apply in world.applied)
    world.link(PortId(L2, 1), up=True)
    assert "links/down" not in world.store


@pytest.mark.parametrize("record", [b"\xff", b"\x93\x01\x02\x03", b"\x91\x92\x63\x01", b"\xc0"])
def test_a_record_of_links_that_makes_no_sense_says_nothing(world: World, record: bytes) -> None:
    world.store["links/down"] = record
    world.restart_controller()
    assert heard(world, L1) == hosts(L2, L3)


def test_the_links_are_shown() -> None:
    world = RestWorld(leaf_spine())
    world.connect()
    world.link(PortId(L2, 1), up=False)
    links = {tuple(link["ports"]): link for link in world.get("/evb/status")["links"]}  # type: ignore[index]
    assert len(links) == len(LEAVES) * len(SPINES)
    one = links[str(PortId(L2, 1)), str(PortId(SPINE1, L2))]
    assert (one["up"], one["in_tree"]) == (False, False)
    assert sum(link["in_tree"] for link in links.values()) == len(world.fabric.switches) - 1
    (told,) = [event for event in world.happened if event.kind == "links.changed"][:1]
    assert told.detail == {"down": [str(PortId(L2, 1))]}


# --- memory ---------------------------------------------------------------------------------------
def test_switches_with_the_same_way_to_a_vsi_share_its_rules(world: World) -> None:
    """With 18 switches, the rules of each would be a third of the memory of a VSI."""
    world.ask(PortId(L1, STATION), A, ASSOC)
    vsi = world.engine.registry.named(A.text)
    assert vsi is not None and vsi.owner is not None and set(vsi.gates) == set(world.fabric.switches)
    assert len({id(gate) for gate in vsi.gates.values()}) == 2
    joined = World(leaf_spine(), PolicySet(TYPES), snooping=OFF)
    joined.connect()
    snooped = vm(1)
    joined.ask(PortId(L1, STATION), snooped, ASSOC)
    vsi = joined.engine.registry.named(snooped.text)
    assert vsi is not None and len({id(gate) for gate in vsi.gates.values()}) == 2
