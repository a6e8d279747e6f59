"""vSwitches that name their uplinks: their VLANs use these trunks and no others, and other VLANs use all.

Two racks with a link between them, and two servers with three uplinks each: 1 and 3 to the first rack, 2 to the second.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import networkx as nx
import pytest

from ryu_apps.evb.model import Minimum
from ryu_apps.evb.pipeline.tables import PLANE_TRUNK_GROUP
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.planes import planes_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vswitches import Vswitch
from ryu_apps.evb.vsi.bandwidth import Way, ways_of
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.switches.test_rerouting import L1, L3, STATION, leaf_spine, stream
from tests.worlds.bridge import BRISK, VLAN, Delivered, Vm, World
from tests.worlds.copied import TRIANGLE, at, copying, copying_switches, guarded_switches, to_vm
from tests.worlds.copied import VM as MOVING
from tests.worlds.counting import BROADCAST, PLAIN, udp
from tests.worlds.multicast import OFF, SNOOPED, TYPES, G, join
from tests.worlds.vswitches import VswitchWorld

RR, A, D = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
RACK1, RACK2, SERVER1, SERVER2 = 1, 2, 0x11, 0x12
STATIONS = {SERVER1: PortId(SERVER1, 9), SERVER2: PortId(SERVER2, 9)}
HOST1, HOST2 = PortId(RACK1, 50), PortId(RACK2, 50)
#: Rack at the other end of each uplink.
UPLINKS = {1: RACK1, 2: RACK2, 3: RACK1}
OTHER_VLAN, FREE_VLAN = 200, 300
VIDS = (VLAN, OTHER_VLAN, FREE_VLAN)


def host_mac(dpid: int) -> int:
    return 0x020000000F00 | dpid


def racks(uplinks: Mapping[int, tuple[int, ...]]) -> Fabric:
    """The fabric; ``uplinks`` of the vSwitch of each VLAN."""
    numbers = {SERVER1: 1, SERVER2: 2}

    def rack(dpid: int) -> Switch:
        other = RACK1 + RACK2 - dpid
        ports = [
            Interface(40, f"rack{other}", Role.TRUNK, peer=PortId(other, 40)),
            Interface(50, f"host{dpid}", Role.HOST, None, VIDS, macs=(host_mac(dpid),)),
            *(
                Interface(10 * number + uplink, f"vs{number}", Role.TRUNK, peer=PortId(server, uplink))
                for server, number in numbers.items()
                for uplink, at in UPLINKS.items()
                if at == dpid
            ),
        ]
        return Switch(dpid, f"rack{dpid}", {port.port_no: port for port in ports})

    def server(dpid: int) -> Switch:
        number = numbers[dpid]
        relay = ReflectiveRelay.NEVER
        ports = [
            Interface(9, f"hv{number}", Role.STATION, timers=BRISK, reflective_relay=relay, port_names="tap{mac}"),
            *(
                Interface(uplink, f"rack{at}", Role.TRUNK, peer=PortId(at, 10 * number + uplink))
                for uplink, at in UPLINKS.items()
            ),
        ]
        return Switch(dpid, f"vs{number}", {port.port_no: port for port in ports})

    switches = [rack(RACK1), rack(RACK2), server(SERVER1), server(SERVER2)]
    members = tuple(numbers)
    return Fabric({switch.dpid: switch for switch in switches}).with_vswitches(
        Vswitch(f"dvs{vid}", members, "tap*", (), (vid,), uplinks=uplinks.get(vid, ())) for vid in VIDS
    )


@dataclass
class UplinkWorld(VswitchWorld):
    """A world that notes the uplinks of servers that frames cross, in either direction."""

    crossed: set[tuple[int, int]] = field(default_factory=set)

    def carry(
        self, port: PortId, frame: Mapping[str, int], octets: int = 60, times: int = 1, links: int = 0
    ) -> list[Delivered]:
        """Carry a frame; what comes in by a trunk has crossed it."""
        interface = self.fabric.interface(port)
        if interface is not None and interface.peer is not None:
            self.crossed |= {(end.dpid, end.port_no) for end in (port, interface.peer) if end.dpid in STATIONS}
        return super().carry(port, frame, octets, times, links)

    def used(self) -> set[tuple[int, int]]:
        """Server and uplink of each crossing since the last question."""
        used, self.crossed = self.crossed, set()
        return used


def vms_of(vid: int) -> tuple[Vm, Vm]:
    return Vm(vid, PLAIN, vid), Vm(vid + 1, PLAIN, vid)


TAPS = {vid: (PortId(SERVER1, 100 + vid), PortId(SERVER2, 100 + vid)) for vid in VIDS}


def world_of(uplinks: Mapping[int, tuple[int, ...]]) -> UplinkWorld:
    """Two VMs in each VLAN, one at each server."""
    world = UplinkWorld(racks(uplinks))
    world.connect()
    for vid in VIDS:
        for vm, tap in zip(vms_of(vid), TAPS[vid], strict=True):
            world.plug_in(vm, tap)
            world.ask(STATIONS[tap.dpid], vm, A)
            assert world.answer(STATIONS[tap.dpid]).success
    return world


def tagged(vid: int, frame: dict[str, int]) -> dict[str, int]:
    return frame | {"vlan_vid": 0x1000 | vid}


def everywhere(world: UplinkWorld, vid: int) -> dict[str, set[tuple[int, int]]]:
    """Uplinks that each kind of traffic of a VLAN crosses; all of it arrives."""
    (first, second), (tap, far_tap) = vms_of(vid), TAPS[vid]
    found = {}
    between = tagged(vid, udp(first.mac, second.mac, 443, int(second.address), int(first.address)))
    assert [copy.port for copy in world.carry(tap, between)] == [far_tap]
    found["between"] = world.used()
    to_host = tagged(vid, udp(first.mac, host_mac(RACK1), 443, 0x0A006401, int(first.address)))
    assert [copy.port for copy in world.carry(tap, to_host)] == [HOST1]
    found["to host"] = world.used()
    from_host = tagged(vid, udp(host_mac(RACK2), first.mac, 443, int(first.address), 0x0A006402))
    assert [copy.port for copy in world.carry(HOST2, from_host)] == [tap]
    found["from host"] = world.used()
    flooded = tagged(vid, udp(host_mac(RACK1), BROADCAST, 443, 0xFFFFFFFF, 0x0A006401))
    assert sorted(copy.port for copy in world.carry(HOST1, flooded)) == sorted([HOST2, tap, far_tap])
    found["flooded"] = world.used()
    back = tagged(vid, udp(first.mac, BROADCAST, 443, 0xFFFFFFFF, int(first.address)))
    assert sorted(copy.port for copy in world.carry(tap, back)) == sorted([HOST1, HOST2, far_tap])
    found["from a VM to all"] = world.used()
    return found


def both(uplink: int) -> set[tuple[int, int]]:
    return {(SERVER1, uplink), (SERVER2, uplink)}


@pytest.mark.parametrize("uplink", [1, 2, 3])
def test_all_traffic_of_the_vlan_uses_the_uplink_and_no_other(uplink: int) -> None:
    world = world_of({VLAN: (uplink,)})
    of_first = {(SERVER1, uplink)}
    assert everywhere(world, VLAN) == {
        "between": both(uplink),
        "to host": of_first,
        "from host": of_first,
        "flooded": both(uplink),
        "from a VM to all": both(uplink),
    }


def test_vlans_of_one_server_use_uplinks_of_their_own() -> None:
    world = world_of({VLAN: (2,), OTHER_VLAN: (3,)})
    for vid, uplink in ((VLAN, 2), (OTHER_VLAN, 3)):
        assert set().union(*everywhere(world, vid).values()) == both(uplink)
    used = everywhere(world, FREE_VLAN)
    assert used == everywhere(world_of({}), FREE_VLAN), "a vSwitch without uplinks is as before"


def test_a_move_stages_and_flips_without_a_change_of_the_uplinks() -> None:
    world = world_of({VLAN: (2,)})
    first, _ = vms_of(VLAN)
    there = PortId(SERVER2, 77)
    world.plug_in(first, there)
    before = {dpid: dict(table.groups) for dpid, table in world.tables.items()}
    world.ask(STATIONS[SERVER2], first, RR)
    assert everywhere(world, VLAN)["from host"] == {(SERVER1, 2)}, "it is staged"
    world.ask(STATIONS[SERVER2], first, A)
    frame = tagged(VLAN, udp(host_mac(RACK1), first.mac, 443, int(first.address), 0x0A006401))
    world.used()
    assert [copy.port for copy in world.carry(HOST1, frame)] == [there] and world.used() == {(SERVER2, 2)}
    assert {dpid: dict(table.groups) for dpid, table in world.tables.items()} == before


@pytest.mark.parametrize("named", [False, True])
def test_a_vsi_of_the_vlan_moves_without_copies_and_one_that_uses_all_uplinks_with_them(named: bool) -> None:
    """Plans of copies are made of the routes of VLANs that use all trunks: by others a copy would not arrive."""
    fabric = copying(3, TRIANGLE)
    (uplink,) = (port.port_no for port in fabric.ports(Role.TRUNK) if port.dpid == 3 and peer_of(fabric, port) == 1)
    vswitch = Vswitch("dvs", (3,), "tap*", (), (VLAN,), uplinks=(uplink,) if named else ())
    world = World(replace(fabric, vswitches=(vswitch,)))
    world.connect()
    world.ask(at(1), MOVING, A)
    world.ask(at(2), MOVING, RR)
    assert (copying_switches(world), guarded_switches(world)) == ((set(), set()) if named else ({3}, {2}))
    assert [to_vm(world, source) for source in (1, 2, 3)] == [[1]] * 3, "what is staged gets nothing"
    world.ask(at(2), MOVING, A)
    assert [to_vm(world, source) for source in (1, 2, 3)] == [[2]] * 3


def peer_of(fabric: Fabric, port: PortId) -> int | None:
    interface = fabric.interface(port)
    return None if interface is None or interface.peer is None else interface.peer.dpid


def test_without_its_link_the_next_uplink_is_used_and_without_the_last_one_none() -> None:
    world = world_of({VLAN: (2, 3), OTHER_VLAN: (2,)})
    frame = tagged(VLAN, udp(host_mac(RACK2), vms_of(VLAN)[0].mac, 443, int(vms_of(VLAN)[0].address), 0x0A006402))
    other = tagged(OTHER_VLAN, udp(host_mac(RACK2), vms_of(OTHER_VLAN)[0].mac, 443, 0x0A00C807, 0x0A006402))
    for down, uplink in (((), 2), ((2,), 3), ((2, 3), None), ((3,), 2)):
        for number in (2, 3):
            world.link(PortId(SERVER1, number), number not in down)
        world.used()
        delivered = [copy.port for copy in world.carry(HOST2, frame)]
        assert (delivered, world.used()) == (([], set()) if uplink is None else ([TAPS[VLAN][0]], {(SERVER1, uplink)}))
        assert bool(world.carry(HOST2, other)) is (2 not in down), "uplink 1 is there, and not its own"
        flooded = tagged(VLAN, udp(host_mac(RACK1), BROADCAST, 443, 0xFFFFFFFF, 0x0A006401))
        world.used()
        reached = {copy.port for copy in world.carry(HOST1, flooded)}
        assert (TAPS[VLAN][0] in reached) is (uplink is not None)
        flooded_by = {number for dpid, number in world.used() if dpid == SERVER1}
        assert len(flooded_by) == (uplink is not None) and flooded_by <= {2, 3} - {*down}


def test_parallel_links_that_are_not_named_are_not_used_even_if_the_named_one_is_down() -> None:
    world = world_of({VLAN: (1,)})
    world.link(PortId(SERVER1, 1), False)
    frame = tagged(VLAN, udp(host_mac(RACK1), vms_of(VLAN)[0].mac, 443, int(vms_of(VLAN)[0].address), 0x0A006401))
    assert world.carry(HOST1, frame) == [] and world.used() == set()


def test_a_new_controller_uses_the_same_uplinks_and_changes_nothing() -> None:
    world = world_of({VLAN: (2, 3), OTHER_VLAN: (1,)})
    for cut in ((), (PortId(SERVER1, 2),)):
        for port in cut:
            world.link(port, False)
        before = world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}
        world.restart_controller()
        assert (world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}) == before
    world.restart_switch(SERVER1)
    world.link(PortId(SERVER1, 2), True)
    assert set().union(*everywhere(world, VLAN).values()) <= both(2) | both(3)
    assert set().union(*everywhere(world, OTHER_VLAN).values()) == both(1)


def test_a_file_that_is_read_again_changes_the_uplinks() -> None:
    world = world_of({VLAN: (2,)})
    for uplinks, used in (({VLAN: (3,)}, both(3)), ({VLAN: (1,), OTHER_VLAN: (2,)}, both(1))):
        world.fabric = racks(uplinks)
        world.restart_controller()
        assert set().union(*everywhere(world, VLAN).values()) == used
    world.fabric = racks({})
    world.restart_controller()
    assert everywhere(world, VLAN) == everywhere(world_of({}), VLAN)
    assert not any(group >= PLANE_TRUNK_GROUP for table in world.tables.values() for group in table.groups)


# --- planes -----------------------------------------------------------------------------------------
def test_the_ways_of_an_appliance_are_those_of_its_clients() -> None:
    appliance = Appliance(1, "fw", VLAN, (ApplianceInstance("a", 3001, 3002),), 3000)
    (plane,) = planes_of(replace(racks({VLAN: (2,)}), appliances=(appliance,)))
    assert plane.vids == {VLAN, 3000, 3001, 3002}


def test_planes_keep_their_numbers_when_others_come() -> None:
    (alone,) = planes_of(racks({VLAN: (2,)}))
    assert alone in planes_of(racks({VLAN: (2,), OTHER_VLAN: (1,)}))
    assert planes_of(racks({VLAN: (1, 2, 3)})) == (), "all trunks"


def test_minimum_rates_are_reserved_at_the_uplink_that_is_used() -> None:
    wiring = TrunkGraph(racks({VLAN: (2,)}))
    rates = ways_of(wiring, STATIONS[SERVER1], Minimum(5, 0), [VLAN])
    assert {way.port.port_no for way in rates if way.port.dpid == SERVER1 and way.sent} == {2}
    assert Way(PortId(SERVER1, 1), sent=True) in ways_of(wiring, STATIONS[SERVER1], Minimum(5, 0), [FREE_VLAN])


@pytest.mark.parametrize("uplink", [1, 2])
def test_ip_multicast_of_a_snooped_vsi_follows_the_tree_of_its_vlan(uplink: int) -> None:
    vswitch = Vswitch("dvs", (L1,), "tap*", (), (VLAN,), uplinks=(uplink,))
    world = World(replace(leaf_spine(), vswitches=(vswitch,)), PolicySet(TYPES), snooping=OFF)
    world.connect()
    member, at = Vm(7, SNOOPED), PortId(L3, STATION)
    world.ask(at, member, A)
    join(world, at, member, G)
    for cut, arrives in (((), True), ((PortId(L1, 3 - uplink),), True), ((PortId(L1, uplink),), False)):
        world.cut = {*cut, *(peer for end in cut if (peer := world.fabric.interface(end).peer))}
        assert (at in {arrival.port for arrival in stream(world)}) is arrives


# --- whatever fails ---------------------------------------------------------------------------------
ALLOWED = {VLAN: {2, 3}, OTHER_VLAN: {1}, FREE_VLAN: {1, 2, 3}}


def left_over(world: UplinkWorld, vid: int) -> nx.Graph:
    """The switches, and the links between them that a VLAN may use and that are up."""
    graph = nx.Graph()
    graph.add_nodes_from(world.fabric.switches)
    for port in world.fabric.ports(Role.TRUNK):
        interface = world.fabric.interface(port)
        assert interface is not None and interface.peer is not None
        ends = port, interface.peer
        named = all(end.dpid not in STATIONS or end.port_no in ALLOWED[vid] for end in ends)
        if named and world.cut.isdisjoint(ends):
            graph.add_edge(port.dpid, interface.peer.dpid)
    return graph


def test_whatever_links_fail_each_frame_arrives_once_where_its_vlan_has_a_way_and_crosses_no_other_uplink() -> None:
    draw = random.Random(177)
    world = world_of({VLAN: (2, 3), OTHER_VLAN: (1,)})
    links = [port for port in world.fabric.ports(Role.TRUNK) if port < world.fabric.interface(port).peer]
    for _ in range(30):
        changed = draw.choice(links)
        world.link(changed, changed in world.cut)
        for vid in VIDS:
            graph, (first, second) = left_over(world, vid), vms_of(vid)
            there = {HOST1: RACK1, HOST2: RACK2, TAPS[vid][0]: SERVER1, TAPS[vid][1]: SERVER2}
            world.used()
            for source, mac in ((HOST1, host_mac(RACK1)), (TAPS[vid][0], first.mac)):
                reached = {end for end, dpid in there.items() if nx.has_path(graph, there[source], dpid)}
                flooded = world.carry(source, tagged(vid, udp(mac, BROADCAST, 443, 0xFFFFFFFF, int(first.address))))
                assert sorted(copy.port for copy in flooded) == sorted(reached - {source})
                for target, to in ((HOST2, host_mac(RACK2)), (TAPS[vid][1], second.mac)):
                    frame = tagged(vid, udp(mac, to, 443, int(second.address), int(first.address)))
                    delivered = [copy.port for copy in world.carry(source, frame)]
                    assert delivered == [target] * (target in reached)
            assert {number for _, number in world.used()} <= ALLOWED[vid]
