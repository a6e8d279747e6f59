"""Cabling reported by LLDP between switches, compared with the configuration."""

from __future__ import annotations

import pytest
from ryu.lib.packet import lldp

from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.actions import CONTROLLER
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.switches.adjacency import HOLD, INTERVAL, Adjacencies
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu, switch_lldpdu, switch_port
from tests.unit.switches.test_rerouting import L1, L2, L3, SPINE1, SPINE2, heard, hosts, leaf_spine, mac_of, way
from tests.worlds.rest import RestWorld

TO_L1, TO_L2 = PortId(SPINE1, L1), PortId(SPINE1, L2)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld(leaf_spine())
    world.connect()
    world.advance(INTERVAL + 0.1)
    return world


def links(world: RestWorld) -> dict[tuple[str, str], dict[str, object]]:
    found: list[dict[str, object]] = world.get("/evb/status")["links"]  # type: ignore[index]
    return {tuple(link["ports"]): link for link in found}  # type: ignore[misc, arg-type]


def swapped(world: RestWorld) -> None:
    """The cables of two leaves are exchanged at a spine."""
    world.plugged |= {PortId(L1, 1): TO_L2, PortId(L2, 1): TO_L1, TO_L1: PortId(L2, 1), TO_L2: PortId(L1, 1)}


def told(world: RestWorld, kind: str) -> list[tuple[PortId | None, object]]:
    return [(event.port, event.detail.get("found")) for event in world.happened if event.kind == kind]


def test_every_link_is_heard_from_both_ends_as_configured(world: RestWorld) -> None:
    for ports, link in links(world).items():
        assert link["heard"] == [ports[1], ports[0]]
        assert (link["up"], link["miswired"]) == (True, False)
    assert told(world, "link.miswired") == []


def test_cables_in_the_wrong_place_are_told_of_and_not_used(world: RestWorld) -> None:
    swapped(world)
    world.advance(INTERVAL + 0.1)
    wrong = {str(port_id) for port_id in (PortId(L1, 1), PortId(L2, 1), TO_L1, TO_L2)}
    assert {port for ports, link in links(world).items() if link["miswired"] for port in ports} == wrong
    assert (TO_L1, str(PortId(L2, 1))) in told(world, "link.miswired")
    assert len(way(world, L1, L3).buckets) == 1
    assert heard(world, L1) == hosts(L2, L3)
    assert heard(world, L1, mac_of(L2)) == hosts(L2)
    world.plugged.clear()
    world.advance(INTERVAL + 0.1)
    assert not any(link["miswired"] for link in links(world).values())
    assert len(way(world, L1, L3).buckets) == 2


def test_a_neighbour_that_falls_silent_is_told_of_and_still_used(world: RestWorld) -> None:
    world.disconnect(SPINE2)
    world.advance(HOLD + 2 * INTERVAL)
    assert {port for port, _ in told(world, "link.silent")} >= {PortId(dpid, 2) for dpid in (L1, L2, L3)}
    assert links(world)[str(PortId(L1, 2)), str(PortId(SPINE2, L1))]["heard"][0] is None  # type: ignore[index]
    assert len(way(world, L1, L2).buckets) == 2


@pytest.mark.parametrize(
    "data",
    [
        Frame(NEAREST_CUSTOMER_BRIDGE, 1, ETHERTYPE_LLDP, bridge_lldpdu(1, "eth0", 120, None).encode()).encode(),
        Frame(NEAREST_CUSTOMER_BRIDGE, 1, ETHERTYPE_LLDP, b"\x02\xff").encode(),
        b"\x01\x80\xc2\x00\x00\x0e" + bytes(6) + b"\x88\xcc",
    ],
    ids=["another system", "garbled", "empty"],
)
def test_whoever_speaks_otherwise_is_no_switch_of_ours(world: RestWorld, data: bytes) -> None:
    world.feed(FrameReceived(PortId(L1, 1), data))
    assert told(world, "link.miswired") == [(PortId(L1, 1), None)]
    assert len(way(world, L1, L3).buckets) == 1


def test_only_the_newest_word_is_told(world: RestWorld) -> None:
    before = len(world.happened)
    world.advance(3 * INTERVAL)
    assert [event.kind for event in world.happened[before:] if event.kind.startswith("link.")] == []


def test_lldp_of_a_switch_goes_to_the_controller_and_nowhere_else(world: RestWorld) -> None:
    frame = {"eth_src": 1, "eth_dst": 0x0180C200000E, "eth_type": ETHERTYPE_LLDP, "vlan_vid": 0, "in_port": 1}
    assert [arrival.port for arrival in forward(world.tables[L1], frame)] == [CONTROLLER]


def test_ryu_reads_what_we_say() -> None:
    (hello, *_) = Adjacencies(leaf_spine()).hello(L1)
    assert isinstance(hello, SendFrame)
    parsed, _, _ = lldp.lldp.parser(Frame.decode(hello.data).payload)
    chassis, port, ttl, _ = parsed.tlvs
    assert chassis.chassis_id == b"dpid:0000000000000001"
    assert (int.from_bytes(port.port_id), ttl.ttl) == (hello.port.port_no, HOLD)


@pytest.mark.parametrize(("dpid", "port_no"), [(1, 1), ((1 << 64) - 1, 0xFEFF)])
def test_a_switch_is_known_by_what_it_says(dpid: int, port_no: int) -> None:
    assert switch_port(Lldpdu.decode(switch_lldpdu(dpid, port_no, HOLD).encode())) == (dpid, port_no)


def test_a_fabric_of_one_switch_has_no_neighbours() -> None:
    assert [*Adjacencies(Fabric()).hello(1)] == []
