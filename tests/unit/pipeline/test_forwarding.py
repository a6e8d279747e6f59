"""Paths of frames: the simulated switch carries out the rules of the engine, from edge to edge."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, NMS, NMS_MAC, Vm, World

BROADCAST = 0xFFFFFFFFFFFF
A, B, C = Vm(1), Vm(2), Vm(3)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


def send(
    world: World, port: PortId, src: int, dst: int, dead: frozenset[PortId] = frozenset(), address: int | None = None
) -> list[tuple[PortId, int]]:
    """Send an untagged IPv4 frame into a port; returns every ``(edge port, destination)`` it came out at."""
    arrived: list[tuple[PortId, int]] = []
    under_way = [
        (
            port,
            {
                "eth_src": src,
                "eth_dst": dst,
                "eth_type": 0x0800,
                "ip_proto": 17,
                "ipv4_dst": 0,
                "ipv4_src": address or 0x0A006400 + (src & 0xFF),
                "udp_src": 1,
                "udp_dst": 2,
                "vlan_vid": 0,
            },
        )
    ]
    for _ in range(50):
        if not under_way:
            return arrived
        where, fields = under_way.pop()
        live = {number for number in world.fabric.switches[where.dpid].interfaces if (where.dpid, number) not in dead}
        table = world.tables[where.dpid]
        for emitted in forward(table, {**fields, "in_port": where.port_no}, live):
            out = PortId(where.dpid, emitted.port)
            interface = world.fabric.interface(out)
            assert interface is not None
            if interface.peer is None:
                assert emitted.fields["vlan_vid"] == 0
                arrived.append((out, emitted.fields["eth_dst"]))
            elif out not in dead:
                assert emitted.fields["vlan_vid"] == VLAN_PRESENT | 100
                onward = {name: value for name, value in emitted.fields.items() if name not in ("in_port", "metadata")}
                under_way.append((interface.peer, onward))
    raise AssertionError("the frame goes round and round")


def relay_on(world: World, port: PortId) -> None:
    """The station at a port asks for reflective relay."""
    station_says(world, port, relay=True)


def station_says(world: World, port: PortId, relay: bool) -> None:
    """The station at a port sends its EVB TLV."""
    evb = EvbTlv(rrreq=relay, rrstat=RrStatus.INACTIVE, r=3, rte=10, mode=EvbMode.STATION, rwd=17, rka=17)
    source = 0x020000000000 | port.dpid << 8 | port.port_no
    payload = bridge_lldpdu(source, "eth0", 120, evb).encode()
    world.feed(FrameReceived(port, Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_LLDP, payload).encode()))


def test_nothing_leaves_or_reaches_a_port_without_an_association(world: World) -> None:
    assert send(world, HV1, A.mac, BROADCAST) == []
    assert send(world, HV1, A.mac, NMS_MAC) == []
    assert send(world, NMS, NMS_MAC, A.mac) == []
    assert send(world, NMS, NMS_MAC, BROADCAST) == [(CLIENT, BROADCAST)]


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR])
def test_staged_port_passes_nothing_in_either_direction(world: World, mode: VdpMode) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV3, A, mode)
    for destination in (BROADCAST, NMS_MAC, CLIENT_MAC):
        assert send(world, HV3, A.mac, destination) == []
    assert send(world, CLIENT, CLIENT_MAC, A.mac) == [(HV1, A.mac)]
    assert HV3 not in {port for port, _ in send(world, CLIENT, CLIENT_MAC, BROADCAST)}


def test_unicast_between_switches_both_ways(world: World) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    assert send(world, HV1, A.mac, CLIENT_MAC) == [(CLIENT, CLIENT_MAC)]
    assert send(world, CLIENT, CLIENT_MAC, A.mac) == [(HV1, A.mac)]


def test_broadcast_reaches_everybody_once_and_not_its_sender(world: World) -> None:
    for port, vm in ((HV1, A), (HV2, B), (HV3, C)):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    arrived = send(world, HV1, A.mac, BROADCAST)
    assert sorted(arrived) == sorted([(HV2, B.mac), (HV3, C.mac), (NMS, BROADCAST), (CLIENT, BROADCAST)])


@pytest.mark.parametrize("dead", [11, 12])
def test_second_link_takes_over(world: World, dead: int) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    cut = frozenset({PortId(1, dead), PortId(2, dead)})
    assert send(world, HV1, A.mac, CLIENT_MAC, cut) == [(CLIENT, CLIENT_MAC)]
    assert sorted(send(world, CLIENT, CLIENT_MAC, BROADCAST, cut)) == [(HV1, A.mac), (NMS, BROADCAST)]


def test_move_turns_unicast_and_broadcast_to_the_new_port_only(world: World) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV3, A, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    assert send(world, NMS, NMS_MAC, A.mac) == [(HV3, A.mac)]
    assert send(world, HV3, A.mac, NMS_MAC) == [(NMS, NMS_MAC)]
    assert send(world, HV1, A.mac, NMS_MAC) == []
    assert (HV3, A.mac) in send(world, NMS, NMS_MAC, BROADCAST)
    assert HV1 not in {port for port, _ in send(world, NMS, NMS_MAC, BROADCAST)}


def test_neighbours_behind_one_uplink_reach_each_other_only_by_reflective_relay(world: World) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV1, B, VdpMode.ASSOCIATE)
    assert send(world, HV1, A.mac, B.mac) == []
    relay_on(world, HV1)
    assert send(world, HV1, A.mac, B.mac) == [(HV1, B.mac)]
    assert (HV1, B.mac) in send(world, HV1, A.mac, BROADCAST)
    assert (HV1, A.mac) not in send(world, HV1, A.mac, BROADCAST)


def test_reflective_relay_stays_on_when_the_switch_comes_back(world: World) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.ask(HV1, B, VdpMode.ASSOCIATE)
    relay_on(world, HV1)
    world.disconnect(1)
    world.connect(1)
    relay_on(world, HV1)
    assert send(world, HV1, A.mac, B.mac) == [(HV1, B.mac)]


def test_foreign_source_addresses_stop_at_the_gate(world: World) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    assert send(world, HV1, B.mac, CLIENT_MAC) == []


def test_forty_vsis_of_one_vlan_on_one_port_take_two_pages_and_all_hear(world: World) -> None:
    vms = [Vm(number) for number in range(1, 41)]
    for vm in vms:
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    heard = send(world, CLIENT, CLIENT_MAC, BROADCAST)
    assert sorted(mac for port, mac in heard if port == HV1) == sorted(vm.mac for vm in vms)
