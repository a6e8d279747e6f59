"""Probes of routers that have IPv6 alone: solicitations that they answer to the sender of the probe."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.actions import CONTROLLER, TABLES
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.pipeline.appliance_probes import PROBER
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.appliance import Probing
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ip import checksum
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.bridge.test_appliance_probes import patient, used
from tests.unit.vsi.test_hardware_appliances import GATEWAY, hardware
from tests.worlds.bridge import VLAN
from tests.worlds.steered import APPLIANCES, ROUTER_MACS, SteeredWorld, router, three_switches

ASSOCIATE = VdpMode.ASSOCIATE
AT_2, AT_3 = PortId(2, 1), PortId(3, 1)
ADDRESS = IPv6Address("fd00:100::81")
ROUTER = replace(
    APPLIANCES[1],
    instances=(APPLIANCES[1].instances[0]._replace(address=ADDRESS),),
    probing=Probing(1.0, 3),
)


def world_of(in_hardware: bool) -> tuple[SteeredWorld, PortId]:
    """A world with a router, and the port where it is."""
    fabric = hardware((ROUTER,)) if in_hardware else replace(patient(three_switches()), appliances=(ROUTER,))
    world = SteeredWorld(fabric=fabric)
    world.connect()
    # Hardware is probed from the start on.
    world.advance(0.5)
    world.frames.clear()
    if not in_hardware:
        world.ask(AT_2, router("r1"), ASSOCIATE)
    return world, GATEWAY if in_hardware else AT_2


def probes(world: SteeredWorld) -> list[tuple[PortId, bytes]]:
    """Probes that have come to the router since this was called last, as they arrive."""
    sent = [frame for frame in world.frames if frame.port.port_no == TABLES]
    world.frames.clear()
    found = []
    for frame in sent:
        data = frame.data
        fields = {"eth_dst": int.from_bytes(data[:6]), "eth_src": int.from_bytes(data[6:12])}
        fields |= {"vlan_vid": VLAN_PRESENT | VLAN, "eth_type": 0x86DD, "ip_proto": data[24], "icmpv6_type": data[58]}
        fields |= {"ipv6_src": int.from_bytes(data[26:42]), "ipv6_dst": int.from_bytes(data[42:58])}
        arrived = world.carry(PortId(frame.port.dpid, CONTROLLER), fields)
        found += [(copy.port, data) for copy in arrived]
    return found


def advertised(probe: bytes) -> tuple[bytes, dict[str, int]]:
    """Advertisement of a router that has noted the sender of a solicitation: the frame, and its fields in a switch."""
    option, mac = probe[82:90], ROUTER_MACS["r1"]
    assert option[:2] == b"\x01\x01" and probe[66:82] == ADDRESS.packed, "source link-layer address, target"
    source, there = IPv6Address(probe[26:42]), int.from_bytes(option[2:])
    message = bytes([136, 0, 0, 0, 0x60, 0, 0, 0]) + ADDRESS.packed + b"\x02\x01" + mac.to_bytes(6)
    header = (0x60000000).to_bytes(4) + len(message).to_bytes(2) + b"\x3a\xff" + ADDRESS.packed + source.packed
    tag = b"\x81\x00" + VLAN.to_bytes(2) + b"\x86\xdd"
    fields = {"eth_dst": there, "eth_src": mac, "vlan_vid": 0, "eth_type": 0x86DD, "ip_proto": 58}
    fields |= {"icmpv6_type": 136, "ipv6_src": int(ADDRESS), "ipv6_dst": int(source), "ipv6_nd_target": int(ADDRESS)}
    return there.to_bytes(6) + mac.to_bytes(6) + tag + header + message, fields


def answer(world: SteeredWorld, at: PortId, sent: tuple[bytes, dict[str, int]]) -> int:
    """Send an advertisement; returns the copies that come to the controller."""
    data, fields = sent
    found = passage(world.tables[at.dpid], fields | {"in_port": at.port_no})
    copies = sum(each.port == CONTROLLER for each in found.emitted)
    for _ in range(copies):
        world.feed(FrameReceived(at, data))
    return copies


@pytest.mark.parametrize("in_hardware", [False, True])
def test_a_router_that_answers_stays_and_one_that_hangs_goes_and_returns(in_hardware: bool) -> None:
    world, at = world_of(in_hardware)
    for answers, rounds, in_use in ((True, 6, {"r1"}), (False, 4, set()), (True, 1, {"r1"})):
        for _ in range(rounds):
            world.advance(1.0)
            ((port, probe),) = probes(world)
            assert port == at
            if answers:
                assert answer(world, at, advertised(probe)) == 1
        assert used(world) == in_use


def test_a_solicitation_is_one_that_a_node_must_not_discard() -> None:
    """RFC 4861 7.1.1: hop limit 255, a right checksum, a sender with its address in an option."""
    world, _ = world_of(False)
    world.advance(1.0)
    ((_, probe),) = probes(world)
    assert probe[:6] == ROUTER_MACS["r1"].to_bytes(6) and probe[25] == 255 and probe[58] == 135
    assert IPv6Address(probe[26:42]) == PROBER and IPv6Address(probe[42:58]) == ADDRESS
    pseudo = probe[26:58] + (32).to_bytes(4) + (58).to_bytes(4)
    assert checksum(pseudo + probe[58:90]) == 0
    assert probe[84:90] == probe[6:12], "the answer comes to the sender of the frame"


def test_the_router_notes_one_sender_and_each_probe_has_another_number() -> None:
    world, _ = world_of(False)
    seen = []
    for _ in range(3):
        world.advance(1.0)
        ((_, probe),) = probes(world)
        seen.append((probe[26:42], probe[6:12]))
    assert len({source for source, _ in seen}) == 1 and len({sender for _, sender in seen}) == 3


def test_an_old_answer_and_one_of_another_port_prove_nothing() -> None:
    world, at = world_of(False)
    world.ask(AT_3, router("r2"), ASSOCIATE)
    old: list[tuple[bytes, dict[str, int]]] = []
    for _ in range(4):
        world.advance(1.0)
        for earlier in old:
            assert answer(world, at, earlier) == 1
        ((_, probe),) = probes(world)
        old = [advertised(probe)]
        assert not any(answer(world, port, old[0]) for port in (AT_3, PortId(3, 4), PortId(1, 1)))
    assert used(world) == set()
