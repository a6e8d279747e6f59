"""Appliances: chosen traffic through one instance in both directions, never twice, and never past it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ryu_apps.evb.event_catalogue.bridge import ApplianceInstanceChanged
from ryu_apps.evb.event_catalogue.vsis import VdpRefused
from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import Vm
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.steered import (
    BLOCKED,
    BUMP,
    LOOSE,
    LOST,
    PASSED,
    PASSING,
    PLAIN,
    ROUTED,
    ROUTER_MACS,
    SOME,
    Bump,
    SteeredWorld,
    WholeVlan,
    host_mac,
    router,
)

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
#: Stations of three switches in a line, and their end systems.
AT_1, AT_2, AT_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1)
HOST_1, HOST_3 = PortId(1, 4), PortId(3, 4)
CLIENT, ONE, TWO = Vm(7, BLOCKED), Bump(40, instance="one"), Bump(41, instance="two")
#: Addresses of the end systems.
THERE = 0x0A006403


@pytest.fixture
def world() -> SteeredWorld:
    world = SteeredWorld()
    world.connect()
    return world


@pytest.fixture
def patient() -> SteeredWorld:
    """A world whose switches send on what is in flight to a VM that has moved."""
    world = SteeredWorld(forward_in_flight=2)
    world.connect()
    return world


def sent(vm: Vm, mac: int = host_mac(3), to: int = THERE, **fields: int) -> dict[str, int]:
    return udp(vm.mac, mac, src_ip=int(vm.address), dst_ip=to) | fields


def answer(vm: Vm, mac: int = host_mac(3), by: int = THERE, **fields: int) -> dict[str, int]:
    return udp(mac, vm.mac, src_ip=by, dst_ip=int(vm.address)) | fields


def way(world: SteeredWorld, port: PortId, frame: Mapping[str, int]) -> tuple[list[str], list[PortId]]:
    """Instances that a frame passes, and ports at which it is delivered."""
    delivered = world.deliver(port, frame)
    for copy in delivered:
        assert copy.fields["vlan_vid"] & 0xFFF in (0, 100), "in the VLAN of the clients"
        assert copy.fields["eth_dst"] == frame["eth_dst"] or frame["eth_dst"] == BROADCAST
    return world.passages, [copy.port for copy in delivered]


# --- both directions through one instance ---------------------------------------------------------
@pytest.mark.parametrize("client", [AT_1, AT_2, AT_3])
@pytest.mark.parametrize("instance", [AT_1, AT_2, AT_3, PortId(1, 2)])
def test_frames_pass_a_bump_in_the_wire_in_both_directions_and_once(
    world: SteeredWorld, client: PortId, instance: PortId
) -> None:
    world.ask(instance, ONE, ASSOCIATE)
    world.ask(client, CLIENT, ASSOCIATE)
    for host in (HOST_1, HOST_3):
        mac = host_mac(host.dpid)
        assert way(world, client, sent(CLIENT, mac)) == (["one"], [host])
        assert way(world, host, answer(CLIENT, mac)) == (["one"], [client])


@pytest.mark.parametrize("client", [AT_1, AT_3])
@pytest.mark.parametrize("instance", [PortId(1, 2), AT_2, PortId(3, 2)])
def test_frames_pass_a_router_in_both_directions_and_once(
    world: SteeredWorld, client: PortId, instance: PortId
) -> None:
    vm = Vm(7, ROUTED)
    world.routes = {THERE: host_mac(3), int(vm.address): vm.mac}
    world.ask(instance, router("r1"), ASSOCIATE)
    world.ask(client, vm, ASSOCIATE)
    assert way(world, client, sent(vm)) == (["r1"], [HOST_3])
    assert way(world, HOST_3, answer(vm)) == (["r1"], [client])


def test_two_instances_share_the_traffic_and_both_directions_agree(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    there = []
    for address in range(THERE, THERE + 8):
        out, _ = way(world, AT_1, sent(CLIENT, to=address))
        assert way(world, HOST_3, answer(CLIENT, by=address)) == (out, [AT_1])
        there += out
    assert sorted(there) == ["one"] * 4 + ["two"] * 4


def test_ipv6_is_shared_out_too(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    base = {"eth_type": 0x86DD, "ip_proto": 17, "udp_src": 5, "udp_dst": 6, "vlan_vid": 0}
    own, there = 0xFD00 << 112, []
    for low in range(8):
        peer = own | 0x100 | low
        ends = {"eth_src": CLIENT.mac, "eth_dst": host_mac(3), "ipv6_src": own | 7, "ipv6_dst": peer}
        out, ports = way(world, AT_1, base | ends)
        back = {"eth_src": host_mac(3), "eth_dst": CLIENT.mac, "ipv6_src": peer, "ipv6_dst": own | 7}
        assert ports == [HOST_3] and way(world, HOST_3, base | back) == (out, [AT_1])
        there += out
    assert sorted(there) == ["one"] * 4 + ["two"] * 4


@pytest.mark.parametrize("other", [AT_1, AT_2, AT_3, PortId(1, 2)])
def test_between_two_clients_frames_pass_the_same_instance_once(world: SteeredWorld, other: PortId) -> None:
    peer = Vm(8, BLOCKED)
    for port, vm in ((AT_1, CLIENT), (other, peer), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    out, ports = way(world, AT_1, sent(CLIENT, peer.mac, int(peer.address)))
    assert len(out) == 1 and ports == [other]
    assert way(world, other, sent(peer, CLIENT.mac, int(CLIENT.address))) == (out, [AT_1])


def test_a_client_of_each_kind_has_its_frames_inspected_by_both_appliances(world: SteeredWorld) -> None:
    vm = Vm(8, ROUTED)
    for port, each in ((AT_1, CLIENT), (AT_3, vm), (AT_2, ONE), (PortId(3, 2), router("r2"))):
        world.ask(port, each, ASSOCIATE)
    world.routes = {int(vm.address): vm.mac, int(CLIENT.address): CLIENT.mac}
    assert way(world, AT_1, sent(CLIENT, vm.mac, int(vm.address))) == (["one", "r2"], [AT_3])
    assert way(world, AT_3, sent(vm, CLIENT.mac, int(CLIENT.address))) == (["r2", "one"], [AT_1])


# --- other traffic --------------------------------------------------------------------------------
def test_broadcasts_arp_and_neighbour_discovery_pass_by(world: SteeredWorld) -> None:
    world.ask(AT_2, ONE, ASSOCIATE)
    world.ask(AT_1, CLIENT, ASSOCIATE)
    for to in (0x0A0064FF, 0xFFFFFFFF, 0xE0000101, 0xE00001FF):
        out, ports = way(world, AT_1, sent(CLIENT, BROADCAST, to))
        assert out == [] and sorted(ports) == [HOST_1, PortId(2, 4), HOST_3]
        # Copies come to each VM under the VM's own address.
        back = udp(host_mac(3), BROADCAST, src_ip=THERE, dst_ip=to)
        assert AT_1 in [copy.port for copy in world.deliver(HOST_3, back)] and world.passages == []
    arp = {"eth_src": CLIENT.mac, "eth_dst": host_mac(3), "eth_type": 0x0806, "arp_op": 2, "vlan_vid": 0}
    arp |= {"arp_sha": CLIENT.mac, "arp_spa": int(CLIENT.address), "arp_tha": host_mac(3), "arp_tpa": THERE}
    assert way(world, AT_1, arp) == ([], [HOST_3])
    fields = {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 136, "ipv6_nd_target": 0xFE80 << 112 | 3}
    ends = {"ipv6_src": 0xFE80 << 112 | 3, "ipv6_dst": 0xFE80 << 112 | 7, "vlan_vid": 0}
    assert way(world, HOST_3, {"eth_src": host_mac(3), "eth_dst": CLIENT.mac, **fields, **ends}) == ([], [AT_1])


@pytest.mark.parametrize("group", [BROADCAST, 0x01005E000101, 0x333300000001])
@pytest.mark.parametrize("kind", [BLOCKED, PASSING, ROUTED])
def test_a_group_as_ethernet_destination_is_no_way_past_an_appliance(
    world: SteeredWorld, kind: VsiTypeKey, group: int
) -> None:
    """Each VM gets its copy of a frame to all under its own address, so it would take it for one to itself."""
    vm, peer = Vm(7, kind), Vm(9, PLAIN)
    for port, each in ((AT_1, vm), (AT_3, peer), (PortId(2, 2), ONE)):
        world.ask(port, each, ASSOCIATE)
    v6 = {"eth_type": 0x86DD, "ip_proto": 17, "udp_src": 5, "udp_dst": 6, "vlan_vid": 0}
    own, other = 0xFD00 << 112 | 7, 0xFD00 << 112 | 9
    for port, frame in (
        (HOST_3, answer(vm) | {"eth_dst": group}),
        (HOST_1, answer(vm, host_mac(1), ipv4_dst=0xF0000001) | {"eth_dst": group}),
        (AT_3, sent(peer, group, int(vm.address))),
        (AT_1, sent(vm, group, int(peer.address))),
        (AT_1, v6 | {"eth_src": vm.mac, "eth_dst": group, "ipv6_src": own, "ipv6_dst": other}),
        (HOST_3, v6 | {"eth_src": host_mac(3), "eth_dst": group, "ipv6_src": other, "ipv6_dst": 0xFE80 << 112 | 7}),
    ):
        assert world.deliver(port, frame) == [] == world.passages
    neighbours = {"eth_src": host_mac(3), "eth_dst": 0x333300000001, "ipv6_src": other, "ipv6_dst": 0xFF02 << 112 | 1}
    assert AT_1 in [copy.port for copy in world.deliver(HOST_3, v6 | neighbours)]


def test_frames_between_others_never_come_to_an_instance(world: SteeredWorld) -> None:
    vm = Vm(9, PLAIN)
    for port, each in ((AT_1, vm), (AT_2, ONE), (PortId(1, 2), CLIENT)):
        world.ask(port, each, ASSOCIATE)
    assert way(world, AT_1, sent(vm)) == ([], [HOST_3])
    assert way(world, HOST_3, answer(vm)) == ([], [AT_1])


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({"udp_dst": 443}, True),
        ({"udp_dst": 444}, False),
        ({"udp_dst": 80, "ip_frag": 1}, True),
        ({"udp_dst": 0, "ip_frag": 3}, True),
        ({"ip_proto": 1, "ipv4_dst": 0x0A090001, "icmpv4_type": 8}, True),
        ({"ip_proto": 1, "icmpv4_type": 8}, False),
    ],
)
def test_a_type_chooses_by_protocol_port_and_peer(world: SteeredWorld, fields: dict[str, int], chosen: bool) -> None:
    vm = Vm(7, SOME)
    for port, each in ((AT_1, vm), (AT_2, ONE)):
        world.ask(port, each, ASSOCIATE)
    names = {"udp_dst": "udp_src", "ipv4_dst": "ipv4_src"}
    back = {names.get(name, name): value for name, value in fields.items()}
    assert way(world, AT_1, sent(vm, **fields)) == (["one"] * chosen, [HOST_3])
    assert way(world, HOST_3, answer(vm, **back)) == (["one"] * chosen, [AT_1])


def test_frames_are_counted_once(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE)):
        world.ask(port, vm, ASSOCIATE)
    world.deliver(AT_1, sent(CLIENT))
    world.deliver(HOST_3, answer(CLIENT))
    assert sorted(gauge.packets for gauge in world.gauges[1].values() if gauge.packets) == [1, 1]


# --- without an instance --------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "ports"), [(BLOCKED, []), (PASSING, [HOST_3])])
def test_without_an_instance_a_type_blocks_or_passes(
    world: SteeredWorld, kind: VsiTypeKey, ports: list[PortId]
) -> None:
    vm = Vm(7, kind)
    there = [AT_1] if ports else []
    world.ask(AT_1, vm, ASSOCIATE)
    assert way(world, AT_1, sent(vm)) == ([], ports)
    assert way(world, HOST_3, answer(vm)) == ([], there)
    world.ask(AT_2, ONE, RR)
    assert way(world, AT_1, sent(vm)) == ([], ports), "staged only"
    world.ask(AT_2, ONE, ASSOCIATE)
    assert way(world, AT_1, sent(vm)) == (["one"], [HOST_3])
    world.ask(AT_2, ONE, DEASSOCIATE)
    assert way(world, AT_1, sent(vm)) == ([], ports)
    assert way(world, HOST_3, answer(vm)) == ([], there)


@pytest.mark.parametrize(("kind", "ports"), [(BLOCKED, []), (PASSING, [HOST_1])])
def test_an_instance_whose_port_is_down_gets_no_traffic(
    world: SteeredWorld, kind: VsiTypeKey, ports: list[PortId]
) -> None:
    vm = Vm(7, kind)
    world.ask(AT_1, vm, ASSOCIATE)
    world.ask(AT_2, ONE, ASSOCIATE)
    world.feed(PortChanged(AT_2, False))
    assert way(world, AT_1, sent(vm, host_mac(1))) == ([], ports)
    world.feed(PortChanged(AT_2, True))
    assert way(world, AT_1, sent(vm, host_mac(1))) == (["one"], [HOST_1])
    told = [(event.in_use, event.left) for event in world.happened if isinstance(event, ApplianceInstanceChanged)]
    assert told == [(True, 1), (False, 0), (True, 1)]


def test_the_rest_takes_the_shares_of_one_that_is_gone_and_keeps_its_own(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    before = [way(world, AT_1, sent(CLIENT, to=THERE + low))[0] for low in range(8)]
    world.ask(AT_2, ONE, DEASSOCIATE)
    assert all(way(world, AT_1, sent(CLIENT, to=THERE + low))[0] == ["two"] for low in range(8))
    world.ask(AT_2, ONE, ASSOCIATE)
    assert [way(world, AT_1, sent(CLIENT, to=THERE + low))[0] for low in range(8)] == before


def test_a_lost_trunk_takes_an_instance_out_without_a_controller(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (PortId(1, 2), ONE), (AT_2, TWO)):
        world.ask(port, vm, ASSOCIATE)
    used = {way(world, AT_1, sent(CLIENT, host_mac(1), THERE + low))[0][0] for low in range(8)}
    assert used == {"one", "two"}
    world.cut |= {PortId(1, 12), PortId(2, 11)}
    for low in range(8):
        assert way(world, AT_1, sent(CLIENT, host_mac(1), THERE + low)) == (["one"], [HOST_1])


# --- moves, restarts ------------------------------------------------------------------------------
@pytest.mark.parametrize(("source", "target"), [(AT_2, AT_3), (AT_3, AT_1), (AT_1, PortId(1, 2))])
def test_traffic_follows_an_instance_that_moves(world: SteeredWorld, source: PortId, target: PortId) -> None:
    for port, vm in ((AT_1, CLIENT), (source, ONE)):
        world.ask(port, vm, ASSOCIATE)
    world.ask(target, ONE, RR)
    assert [copy.port for copy in world.carry(AT_1, sent(CLIENT))] == [source]
    world.ask(target, ONE, ASSOCIATE)
    assert [copy.port for copy in world.carry(AT_1, sent(CLIENT))] == [target]
    assert way(world, AT_1, sent(CLIENT)) == (["one"], [HOST_3])
    assert way(world, HOST_3, answer(CLIENT)) == (["one"], [AT_1])
    assert world.carry(source, sent(CLIENT) | {"vlan_vid": VLAN_PRESENT | 4002}) == [], "it is not there any more"


@pytest.mark.parametrize("target", [AT_2, AT_3, PortId(1, 2)])
def test_traffic_of_a_client_that_moves_keeps_its_instance(world: SteeredWorld, target: PortId) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    before = [way(world, AT_1, sent(CLIENT, to=THERE + low))[0] for low in range(8)]
    world.ask(target, CLIENT, RR)
    world.ask(target, CLIENT, ASSOCIATE)
    for low, out in enumerate(before):
        assert way(world, target, sent(CLIENT, to=THERE + low)) == (out, [HOST_3])
        assert way(world, HOST_3, answer(CLIENT, by=THERE + low)) == (out, [target])


def test_frames_that_have_passed_follow_a_client_that_moves(patient: SteeredWorld) -> None:
    """Its former switch sends on what an instance has passed to it, back by the trunk by which it came."""
    world = patient
    for port, vm in ((AT_1, CLIENT), (AT_3, ONE)):
        world.ask(port, vm, ASSOCIATE)
    world.ask(AT_3, CLIENT, RR)
    world.ask(AT_3, CLIENT, ASSOCIATE)
    in_flight = answer(CLIENT) | {"vlan_vid": VLAN_PRESENT | PASSED}
    assert [copy.port for copy in world.carry(PortId(1, 12), in_flight)] == [AT_3]


def test_frames_under_way_to_an_instance_follow_it(patient: SteeredWorld) -> None:
    world = patient
    for port, vm in ((AT_3, CLIENT), (AT_1, ONE)):
        world.ask(port, vm, ASSOCIATE)
    world.ask(AT_3, ONE, RR)
    world.ask(AT_3, ONE, ASSOCIATE)
    in_flight = sent(CLIENT) | {"vlan_vid": VLAN_PRESENT | 4001}
    assert [copy.port for copy in world.carry(PortId(1, 12), in_flight)] == [AT_3]


def test_a_restarted_controller_writes_nothing(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE), (AT_3, TWO)):
        world.ask(port, vm, ASSOCIATE)
    before, applied = world.snapshot(), len(world.applied)
    world.restart_controller()
    assert world.snapshot() == before
    assert not any(apply.change.add or apply.change.remove for apply in world.applied[applied:])
    assert way(world, AT_1, sent(CLIENT))[0]
    world.ask(AT_2, ONE, DEASSOCIATE)
    assert way(world, AT_1, sent(CLIENT)) == (["two"], [HOST_3])


def test_a_restarted_switch_gets_its_groups_again(world: SteeredWorld) -> None:
    for port, vm in ((AT_1, CLIENT), (AT_2, ONE)):
        world.ask(port, vm, ASSOCIATE)
    before = dict(world.tables[1].groups)
    world.restart_switch(1)
    assert world.tables[1].groups == before
    assert way(world, AT_1, sent(CLIENT)) == (["one"], [HOST_3])


# --- who may be what ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("vm", "words"),
    [
        (Vm(7, LOST), "no appliance 'elsewhere' for VLAN 100"),
        (Bump(40, type=PLAIN), "VLAN 4001 is that of appliance 'fw' alone"),
        (Vm(7, PLAIN, vid=PASSED), "VLAN 4000 is that of appliance 'fw' alone"),
        (Vm(7, BUMP, vid=PASSED), "VLAN 4000 is that of appliance 'fw' alone"),
        (Vm(7, BLOCKED, vid=4001), "VLAN 4001 is that of appliance 'fw' alone"),
    ],
)
def test_what_does_not_fit_is_refused(world: SteeredWorld, vm: Vm, words: str) -> None:
    (tlv,) = world.ask(AT_1, vm, RR)
    assert tlv.status.error is VdpError.INSUFFICIENT_RESOURCES
    refusal = next(event for event in world.happened if isinstance(event, VdpRefused))
    assert words in refusal.reason


def test_an_address_of_a_router_is_no_proof_at_the_port_of_another(world: SteeredWorld) -> None:
    """A VM that owns the whole VLAN of the clients may send from any address but those of routers."""
    vm, mac = Vm(7, ROUTED), ROUTER_MACS["r1"]
    world.ask(AT_1, vm, ASSOCIATE)
    world.ask(AT_3, WholeVlan(50, LOOSE), ASSOCIATE)
    world.ask(AT_2, router("r1"), ASSOCIATE)
    world.routes = {int(vm.address): vm.mac}
    assert way(world, AT_3, answer(vm)) == (["r1"], [AT_1]), "any other address passes, and is led to the router"
    assert way(world, AT_3, answer(vm, mac)) == ([], [])


@pytest.mark.parametrize("kind", [PLAIN, ROUTED, BUMP, LOOSE])
def test_no_other_vsi_has_the_address_of_a_router(world: SteeredWorld, kind: VsiTypeKey) -> None:
    """A frame that has it as source is taken for one that has passed."""
    (tlv,) = world.ask(AT_2, Vm(ROUTER_MACS["r1"] & 0xFFFF, kind), RR)
    assert tlv.status.error is VdpError.INVALID_VID_GROUP_MAC
    refusal = next(event for event in world.happened if isinstance(event, VdpRefused))
    assert "52:54:00:00:00:51 in VID 100 belongs to a router of appliance 'routers'" in refusal.reason
    (tlv,) = world.ask(AT_3, router("r2"), ASSOCIATE)
    assert tlv.status.success


def test_what_an_instance_says_to_all_goes_nowhere(world: SteeredWorld) -> None:
    world.ask(AT_1, CLIENT, ASSOCIATE)
    world.ask(AT_2, ONE, ASSOCIATE)
    for vid in (4001, 4002):
        assert world.carry(AT_2, sent(CLIENT, BROADCAST) | {"vlan_vid": VLAN_PRESENT | vid}) == []


# --- the section of a policy file -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("section", "line", "reason"),
    [
        ("appliance: {}", 3, "either through or instance_of was expected"),
        ("appliance: {through: fw, instance_of: fw}", 3, "either through or instance_of was expected"),
        ("appliance: {instance_of: fw, on_failure: pass}", 3, "traffic and on_failure belong to through"),
        ("appliance: {through: fw, traffic: []}", 3, "at least 1"),
        ("appliance:\n  through: fw\n  traffic:\n    - {port: 80}", 6, "port and peer_port need protocol: tcp or udp"),
        (
            "appliance:\n  through: fw\n  traffic:\n    - {protocol: [tcp, icmp], port: 80}",
            6,
            "need protocol: tcp or udp",
        ),
        ("appliance:\n  through: fw\n  traffic:\n    - {peer: 10.0.0.1/8}", 6, "has host bits set"),
        ("appliance:\n  through: fw\n  on_failure: open", 5, "'block' or 'pass'"),
        ("appliance: {through: fw}\nload_balancer: {}", 3, "a type with load_balancer cannot send traffic through"),
        ("appliance: {through: fw}\ntcp_proxy: {ports: [80]}", 3, "a type with tcp_proxy cannot send traffic through"),
    ],
)
def test_a_mistake_in_a_policy_is_shown_at_its_place(section: str, line: int, reason: str) -> None:
    text = f"version: 1\nvsi_type: {{type_id: 1, version: 1, name: it}}\n{section}\n"
    policies, found = load_policies(
        [("it.yaml", text + "from_vm: {default: allow}\nto_vm: {default: allow}\n")], SECTIONS
    )
    assert policies is None
    assert any(reason in diagnostic.reason and diagnostic.line == line for diagnostic in found), found
