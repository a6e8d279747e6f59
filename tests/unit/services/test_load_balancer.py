"""Load balancers, segment by segment, on paper: VMs and end systems as clients; back ends that come, go and move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import BackendJudged
from ryu_apps.evb.flow.rule import GroupType
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.load_balancers import group_id
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import (
    CLIENT,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    HV4,
    NMS,
    NMS_MAC,
    S1,
    S2,
    VLAN,
    Vm,
    World,
    two_switches,
)
from tests.worlds.simulated_tcp import ACK, FIN, RST, SYN, Arrived, Segment, send

PRE, RR, ASSOC, DEASSOC = VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
WEB_MAC = 0x0200000064C8
WEB = {4: "10.0.100.200", 6: "fd00:100::c8"}

CLIENT_TYPE, BACKEND_TYPE, SMALL, WALLED, PLAIN, STRAY, SINGLE = (VsiTypeKey(number, 1) for number in range(10, 17))
_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
TEXTS = {
    CLIENT_TYPE: _OPEN + "load_balancer: {trigger: dual}",
    BACKEND_TYPE: _OPEN + "load_balancer: {backend_of: [web]}",
    SMALL: _OPEN + "load_balancer: {max_connections: 2}",
    WALLED: (
        "firewall:\n  from_vm:\n    default: deny\n"
        "    rules: [rule: {ipv4_dst: 10.0.100.200, tcp_dst: 80, actions: {allow: 1}}]\n"
        "load_balancer: {}"
    ),
    PLAIN: _OPEN,
    STRAY: _OPEN + "load_balancer: {backend_of: [mail]}",
    SINGLE: _OPEN + "load_balancer: {trigger: single}",
}
#: Two back ends that are VMs, and a client that is one.
W1, W2, A = Vm(11, BACKEND_TYPE), Vm(12, BACKEND_TYPE), Vm(1, CLIENT_TYPE)
#: Their addresses and ports, and those of the clients.
REAL = {4: {W1.mac: ("10.0.100.11", 80), W2.mac: ("10.0.100.12", 8080)}}
REAL[6] = {W1.mac: ("fd00:100::11", 80), W2.mac: ("fd00:100::12", 8080)}
CLIENTS = {4: {A.mac: "10.0.100.1", CLIENT_MAC: "192.0.2.7", NMS_MAC: "192.0.2.8"}}
CLIENTS[6] = {A.mac: "fe80::5054:ff:fe00:1", CLIENT_MAC: "2001:db8::7", NMS_MAC: "2001:db8::8"}


def policies() -> PolicySet:
    def text(key: VsiTypeKey) -> str:
        return f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: one}}\n{TEXTS[key]}\n"

    found, mistakes = load_policies([(f"{key.type_id}.yaml", text(key)) for key in TEXTS], SECTIONS)
    assert found is not None, mistakes
    return found


def backend(name: str, vm: Vm, port: int, weight: int = 1) -> Backend:
    addresses = tuple(ip_address(REAL[version][vm.mac][0]) for version in (4, 6))
    return Backend(name, vm.mac, addresses, port, weight)


def balancer(protocol: TransportProtocol = TransportProtocol.TCP, **more: object) -> LoadBalancer:
    backends = backend("w1", W1, 80), backend("w2", W2, 8080)
    virtual = tuple(map(ip_address, WEB.values()))
    return replace(LoadBalancer(1, "web", VLAN, WEB_MAC, virtual, protocol, 80, backends), **more)  # type: ignore[arg-type]


def world_with(*balancers: LoadBalancer) -> World:
    world = World(Fabric(two_switches().switches, balancers), policies())
    world.connect()
    return world


@pytest.fixture
def world() -> World:
    return world_with(balancer())


def active(world: World, vm: Vm, at: PortId) -> None:
    world.ask(at, vm, RR)
    world.ask(at, vm, ASSOC)
    assert world.answer(at).success, world.answer(at)


def to_web(mac: int, port: int = 40000, flags: int = SYN, version: int = 4) -> Segment:
    """A client's segment for the load balancer."""
    return Segment(mac, WEB_MAC, (CLIENTS[version][mac], port), (WEB[version], 80), flags)


def for_backend(segment: Segment, vm: Vm, version: int = 4) -> Segment:
    """The same as a back end is to see it."""
    return replace(segment, eth_dst=vm.mac, target=REAL[version][vm.mac])


def from_web(answer: Segment, version: int = 4) -> Segment:
    """An answer of a back end as the client is to see it."""
    return replace(answer, source=(WEB[version], 80))


def ports(arrived: Iterable[Arrived]) -> list[PortId]:
    return [arrival.port for arrival in arrived]


def talks(world: World, client: PortId, mac: int, server: PortId, vm: Vm, port: int = 40000, version: int = 4) -> None:
    """A connection begins, and segments go both ways."""
    for flags in (SYN, ACK):
        sent = to_web(mac, port, flags, version)
        assert send(world, client, sent) == [(server, for_backend(sent, vm, version))]
        answer = for_backend(sent, vm, version).answered(vm.mac, flags | ACK)
        assert send(world, server, answer) == [(client, from_web(answer, version))]


def goes_on(world: World, client: PortId, mac: int, server: PortId, vm: Vm, port: int = 40000) -> None:
    """A connection that stands still does, in both directions."""
    sent = to_web(mac, port, ACK)
    assert send(world, client, sent) == [(server, for_backend(sent, vm))]
    answer = for_backend(sent, vm).answered(vm.mac, ACK)
    assert send(world, server, answer) == [(client, from_web(answer))]


def rotation(world: World, dpid: int, version: int = 4) -> list[tuple[str, int]]:
    """The Ethernet addresses that new connections go to, and their weights, as a switch has them."""
    group = world.tables[dpid].groups[group_id(balancer(), version)]
    assert group.type is GroupType.SELECT
    names = {W1.mac: "w1", W2.mac: "w2", NMS_MAC: "nms"}
    return [(names[bucket.actions[0].value], bucket.weight) for bucket in group.buckets]  # type: ignore[union-attr]


# --- clients and back ends ------------------------------------------------------------------------
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("at", [HV1, HV4], ids=["at another switch", "at the same switch"])
def test_an_end_system_talks_to_a_back_end_by_the_virtual_address(world: World, version: int, at: PortId) -> None:
    active(world, W2, at)
    talks(world, CLIENT, CLIENT_MAC, at, W2, version=version)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("at", [HV1, HV3], ids=["at another switch", "at the same switch"])
def test_a_vm_talks_to_a_back_end_by_the_virtual_address(world: World, version: int, at: PortId) -> None:
    active(world, A, HV4)
    active(world, W1, at)
    talks(world, HV4, A.mac, at, W1, version=version)


def test_a_connection_stays_whoever_comes_and_goes(world: World) -> None:
    active(world, W2, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W2, 40000)
    active(world, W1, HV2)
    goes_on(world, CLIENT, CLIENT_MAC, HV1, W2, 40000)
    talks(world, CLIENT, CLIENT_MAC, HV2, W1, 40001)
    world.feed(BackendJudged("web", "w1", up=False))
    goes_on(world, CLIENT, CLIENT_MAC, HV2, W1, 40001)
    talks(world, CLIENT, CLIENT_MAC, HV1, W2, 40002)


def test_what_belongs_to_no_connection_and_begins_none_goes_nowhere(world: World) -> None:
    active(world, A, HV4)
    active(world, W1, HV1)
    for flags in (ACK, FIN | ACK, RST, SYN | ACK, SYN | FIN, SYN | RST, 0):
        assert send(world, CLIENT, to_web(CLIENT_MAC, flags=flags)) == []
        assert send(world, HV4, to_web(A.mac, flags=flags)) == []
    assert world.rules(S2, CookieKind.STATE) == {}


def test_the_end_of_a_connection_goes_where_the_rest_went(world: World) -> None:
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1)
    for flags in (FIN | ACK, RST, RST | ACK):
        assert ports(send(world, CLIENT, to_web(CLIENT_MAC, flags=flags))) == [HV1]


def test_the_back_end_itself_is_still_reached_by_its_own_address(world: World) -> None:
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40000)
    direct = Segment(CLIENT_MAC, W1.mac, (CLIENTS[4][CLIENT_MAC], 40001), REAL[4][W1.mac], SYN)
    assert send(world, CLIENT, direct) == [(HV1, direct)]
    answer = direct.answered(W1.mac, SYN | ACK)
    assert send(world, HV1, answer) == [(CLIENT, answer)]


def test_another_port_of_the_virtual_address_is_nobodys(world: World) -> None:
    active(world, W1, HV1)
    assert send(world, CLIENT, replace(to_web(CLIENT_MAC), target=(WEB[4], 81))) == []


def test_a_first_segment_that_is_repeated_asks_for_a_back_end_again(world: World) -> None:
    active(world, W1, HV1)
    active(world, W2, HV2)
    assert ports(send(world, CLIENT, to_web(CLIENT_MAC, 40001))) == [HV1]
    world.feed(BackendJudged("web", "w1", up=False))
    assert ports(send(world, CLIENT, to_web(CLIENT_MAC, 40001))) == [HV2]
    assert ports(send(world, CLIENT, to_web(CLIENT_MAC, 40001, ACK))) == [HV2]


def test_what_only_pretends_to_begin_a_connection_is_soon_forgotten(world: World) -> None:
    active(world, W1, HV1)
    send(world, CLIENT, to_web(CLIENT_MAC))
    assert [rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()] == [10, 10]
    send(world, CLIENT, to_web(CLIENT_MAC, flags=ACK))
    assert sorted(rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()) == [10, 10, 3600, 3600]
    kept = {key: rule for key, rule in world.tables[S2].rules.items() if rule.idle_timeout != 10}
    world.tables[S2].rules = kept
    goes_on(world, CLIENT, CLIENT_MAC, HV1, W1)


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_have_one_pair_of_pins(version: int) -> None:
    world = world_with(balancer(TransportProtocol.UDP, idle=60))
    active(world, A, HV4)
    active(world, W2, HV1)

    def datagram(segment: Segment) -> dict[str, int]:
        names = {"tcp_src": "udp_src", "tcp_dst": "udp_dst"}
        return {names.get(name, name): value for name, value in segment.fields.items() if name != "tcp_flags"} | {
            "ip_proto": 17
        }

    for port, mac in ((CLIENT, CLIENT_MAC), (HV4, A.mac)):
        sent = to_web(mac, version=version)
        there = for_backend(sent, W2, version)
        answer = there.answered(W2.mac)
        for _ in range(2):
            (arrived,) = world.carry(port, datagram(sent))
            assert (arrived.port, arrived.fields) == (HV1, datagram(there))
            (back,) = world.carry(HV1, datagram(answer))
            assert (back.port, back.fields) == (port, datagram(from_web(answer, version)))
    assert [rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()] == [60, 60, 60, 60]


# --- who may --------------------------------------------------------------------------------------
def test_a_vm_whose_type_does_not_say_so_uses_no_load_balancer(world: World) -> None:
    plain = Vm(1, PLAIN)
    active(world, plain, HV4)
    active(world, W1, HV1)
    assert send(world, HV4, to_web(plain.mac)) == []


def test_the_policy_of_a_client_judges_the_virtual_address(world: World) -> None:
    walled = Vm(1, WALLED)
    active(world, walled, HV4)
    active(world, W1, HV1)
    talks(world, HV4, walled.mac, HV1, W1)
    direct = Segment(walled.mac, W1.mac, (CLIENTS[4][walled.mac], 40001), REAL[4][W1.mac], SYN)
    assert send(world, HV4, direct) == []


def test_one_that_has_all_it_may_have_begins_no_more(world: World) -> None:
    small = Vm(1, SMALL)
    active(world, small, HV4)
    active(world, W1, HV1)
    for port in (40000, 40001):
        assert ports(send(world, HV4, to_web(small.mac, port))) == [HV1]
    assert send(world, HV4, to_web(small.mac, 40002)) == []
    for port in (40000, 40001):
        goes_on(world, HV4, small.mac, HV1, W1, port)
        goes_on(world, HV4, small.mac, HV1, W1, port)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40003)
    assert send(world, HV4, to_web(small.mac, 40004)) == []


def test_the_end_systems_of_a_switch_have_a_bound_of_their_own() -> None:
    world = world_with(balancer(max_connections=1))
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40000)
    assert send(world, CLIENT, to_web(CLIENT_MAC, 40001)) == []
    talks(world, NMS, NMS_MAC, HV1, W1, 40000)


def test_the_room_for_connections_is_reserved() -> None:
    def used(vm: Vm) -> int:
        world = world_with(balancer())
        active(world, vm, HV1)
        return world.engine.ledger.used(S1)

    assert used(Vm(1, CLIENT_TYPE)) - used(Vm(1, SMALL)) == 4 * (512 - 2)


def test_a_back_end_of_what_is_not_there_is_refused_and_told_why(world: World) -> None:
    world.ask(HV1, Vm(11, STRAY), RR)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    (reason,) = [event.detail["reason"] for event in world.happened if event.kind == "vdp.refused"]
    assert reason == "there is no load balancer mail in VLAN 100"


def test_nobody_takes_the_address_of_a_load_balancer(world: World) -> None:
    thief = Vm(WEB_MAC & 0xFFFF, CLIENT_TYPE)
    impostor = world_with(balancer(mac=thief.mac))
    impostor.ask(HV1, thief, ASSOC)
    assert impostor.answer(HV1).error is VdpError.INVALID_VID_GROUP_MAC
    (reason,) = [event.detail["reason"] for event in impostor.happened if event.kind == "vdp.refused"]
    assert str(reason).endswith("belongs to the load balancer web")


# --- who has this address? ------------------------------------------------------------------------
@pytest.mark.parametrize(("port", "mac"), [(CLIENT, CLIENT_MAC), (HV4, A.mac)], ids=["an end system", "a VM"])
@pytest.mark.parametrize("unicast", [False, True])
def test_the_switch_answers_for_the_virtual_address(world: World, port: PortId, mac: int, unicast: bool) -> None:
    active(world, A, HV4)
    asking, virtual = int(ip_address(CLIENTS[4][mac])), int(ip_address(WEB[4]))
    arp = {"eth_src": mac, "eth_dst": WEB_MAC if unicast else (1 << 48) - 1, "eth_type": 0x0806, "arp_op": 1}
    arp |= {"arp_spa": asking, "arp_sha": mac, "arp_tpa": virtual, "arp_tha": 0, "vlan_vid": 0}
    (back,) = world.carry(port, arp)
    answered = {"arp_op": 2, "arp_spa": virtual, "arp_sha": WEB_MAC, "arp_tpa": asking, "arp_tha": mac}
    assert back.port == port
    assert back.fields == {"eth_src": WEB_MAC, "eth_dst": mac, "eth_type": 0x0806, "vlan_vid": 0, **answered}

    asking, virtual = int(ip_address(CLIENTS[6][mac])), int(ip_address(WEB[6]))
    asked = {"eth_src": mac, "eth_dst": WEB_MAC if unicast else 0x3333FF0000C8, "eth_type": 0x86DD, "ip_proto": 58}
    asked |= {"ipv6_src": asking, "ipv6_dst": virtual if unicast else 0xFF02 << 112 | 0x1FF0000C8, "vlan_vid": 0}
    asked |= {"icmpv6_type": 135, "icmpv6_code": 0, "ipv6_nd_target": virtual}
    asked |= {"nd_reserved": 0}
    (back,) = world.carry(port, {**asked, "ipv6_nd_sll": mac})
    # Not an advertisement, which the kernel's datapath cannot write: a question about the one who has asked.
    answered = {"ipv6_nd_target": asking, "ipv6_nd_sll": WEB_MAC}
    assert back.port == port
    assert back.fields == {
        **asked,
        **answered,
        "eth_src": WEB_MAC,
        "eth_dst": mac,
        "ipv6_src": virtual,
        "ipv6_dst": asking,
    }


def test_who_claims_the_virtual_address_is_not_answered(world: World) -> None:
    virtual = int(ip_address(WEB[6]))
    asked = {"eth_src": CLIENT_MAC, "eth_dst": 0x3333FF0000C8, "eth_type": 0x86DD, "ip_proto": 58, "vlan_vid": 0}
    asked |= {"ipv6_src": virtual, "ipv6_dst": 0xFF02 << 112 | 0x1FF0000C8, "icmpv6_type": 135, "icmpv6_code": 0}
    assert world.carry(CLIENT, {**asked, "ipv6_nd_target": virtual, "ipv6_nd_sll": CLIENT_MAC, "nd_reserved": 0}) == []


# --- rotation -------------------------------------------------------------------------------------
def test_a_back_end_is_in_rotation_from_its_associate_to_its_de_associate_on_every_switch(world: World) -> None:
    for dpid in (S1, S2):
        assert rotation(world, dpid) == []
    world.ask(HV1, W1, RR)
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[], []]
    assert send(world, CLIENT, to_web(CLIENT_MAC)) == []
    world.ask(HV1, W1, ASSOC)
    for version in (4, 6):
        assert [rotation(world, dpid, version) for dpid in (S1, S2)] == [[("w1", 1)]] * 2
    world.ask(HV1, W1, DEASSOC)
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[], []]


def test_a_vm_of_another_type_is_no_back_end(world: World) -> None:
    active(world, Vm(11, CLIENT_TYPE), HV1)
    assert rotation(world, S1) == []
    world.ask(HV1, Vm(11, BACKEND_TYPE), ASSOC)
    assert rotation(world, S1) == [("w1", 1)]
    world.ask(HV1, Vm(11, PLAIN), ASSOC)
    assert rotation(world, S1) == []


def test_a_back_end_that_moves_is_in_rotation_all_the_while_and_keeps_its_connections(world: World) -> None:
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40000)
    world.ask(HV3, W1, RR)
    assert rotation(world, S2) == [("w1", 1)]
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40001)
    world.applied.clear()
    world.ask(HV3, W1, ASSOC)
    assert [apply for apply in world.applied if apply.change.groups] == []
    for port in (40000, 40001):
        goes_on(world, CLIENT, CLIENT_MAC, HV3, W1, port)
    talks(world, CLIENT, CLIENT_MAC, HV3, W1, 40002)


def test_between_the_source_and_the_destination_nobody_is_sent_to_a_vm_that_does_not_run(world: World) -> None:
    active(world, W1, HV1)
    active(world, W2, HV2)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, 40000)
    world.ask(HV3, W1, RR)
    world.ask(HV1, W1, DEASSOC)
    assert rotation(world, S1) == [("w2", 1)]
    talks(world, CLIENT, CLIENT_MAC, HV2, W2, 40001)
    world.ask(HV3, W1, ASSOC)
    assert rotation(world, S1) == [("w1", 1), ("w2", 1)]
    goes_on(world, CLIENT, CLIENT_MAC, HV3, W1, 40000)


def test_a_refused_associate_puts_nobody_into_rotation(world: World) -> None:
    world.ask(HV1, W1, RR)
    world.refuse[S1, Mode.ATOMIC] = "table full"
    world.ask(HV1, W1, ASSOC)
    assert not world.answer(HV1).success
    world.advance(1.0)
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[], []]


def test_a_configured_end_system_is_always_there() -> None:
    nms = Backend("nms", NMS_MAC, (ip_address("10.0.100.250"),), 80, 3)
    world = world_with(balancer(backends=(nms, backend("w1", W1, 80))))
    assert (rotation(world, S2), rotation(world, S2, 6)) == ([("nms", 3)], [])
    active(world, W1, HV1)
    assert (rotation(world, S2), rotation(world, S2, 6)) == ([("nms", 3), ("w1", 1)], [("w1", 1)])
    sent = to_web(CLIENT_MAC)
    there = replace(sent, eth_dst=NMS_MAC, target=("10.0.100.250", 80))
    assert send(world, CLIENT, sent) == [(NMS, there)]
    answer = there.answered(NMS_MAC, SYN | ACK)
    assert send(world, NMS, answer) == [(CLIENT, from_web(answer))]


def test_health_and_weight_are_in_force_at_once_and_outlive_the_bridge(world: World) -> None:
    active(world, W1, HV1)
    active(world, W2, HV3)
    world.feed(BackendJudged("web", "w1", up=False))
    world.feed(BackendJudged("web", "w2", weight=7))
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[("w2", 7)]] * 2
    world.restart_controller()
    assert [rotation(world, dpid) for dpid in (S1, S2)] == [[("w2", 7)]] * 2
    assert [*world.engine.pools.groups()] == [*world.tables[S1].groups.values()][-2:]
    world.feed(BackendJudged("web", "w1", up=True, weight=1))
    world.feed(BackendJudged("web", "w2", weight=1))
    assert rotation(world, S1) == [("w1", 1), ("w2", 1)]
    assert [key for key in world.store if key.startswith("balancer/")] == []


def test_what_was_said_of_what_is_not_there_any_more_is_forgotten(world: World) -> None:
    world.store |= {"balancer/mail": b"\x80", "balancer/web": b"\x81\xa2w9\x92\xc3\x01", "balancer/x": b"\xff"}
    world.restart_controller()
    assert [key for key in world.store if key.startswith("balancer/")] == ["balancer/mail"]


def test_a_switch_that_is_being_brought_up_misses_no_change_of_the_rotation(world: World) -> None:
    world.disconnect(S2)
    world.hold.add(S2)
    world.connect(S2)
    active(world, W1, HV1)
    world.feed(BackendJudged("web", "w1", weight=5))
    world.release()
    assert rotation(world, S2) == rotation(world, S1) == [("w1", 5)]


# --- a client that moves --------------------------------------------------------------------------
@pytest.mark.parametrize("early", [False, True], ids=["associate first", "de-associate first"])
@pytest.mark.parametrize("kind", [CLIENT_TYPE, SINGLE], ids=["dual", "single"])
def test_connections_of_a_vm_keep_their_back_end_through_a_move(world: World, kind: VsiTypeKey, early: bool) -> None:
    client = Vm(1, kind)
    active(world, client, HV1)
    active(world, W1, HV2)
    talks(world, HV1, client.mac, HV2, W1, 40000)
    world.ask(HV3, client, RR)
    talks(world, HV1, client.mac, HV2, W1, 40001)
    world.feed(BackendJudged("web", "w1", up=False))
    active(world, W2, HV4)
    if early:
        world.ask(HV1, client, DEASSOC)
    world.ask(HV3, client, ASSOC)
    for port in (40000, 40001):
        goes_on(world, HV3, client.mac, HV2, W1, port)
    talks(world, HV3, client.mac, HV4, W2, 40002)
    assert world.rules(S1, CookieKind.STATE) == {}


def test_what_is_staged_is_behind_the_gate(world: World) -> None:
    active(world, A, HV1)
    active(world, W1, HV2)
    talks(world, HV1, A.mac, HV2, W1)
    world.ask(HV3, A, RR)
    pins = [rule for rule in world.rules(S2, CookieKind.STATE).values() if rule.table == Table.BALANCER_PINS]
    assert len(pins) == 4
    for flags in (SYN, ACK):
        assert send(world, HV3, to_web(A.mac, flags=flags)) == []
    goes_on(world, HV1, A.mac, HV2, W1)


def test_an_aborted_move_leaves_nothing_and_breaks_nothing(world: World) -> None:
    active(world, A, HV1)
    active(world, W1, HV2)
    before = world.snapshot()[S2]
    talks(world, HV1, A.mac, HV2, W1)
    world.ask(HV3, A, RR)
    world.ask(HV3, A, DEASSOC)
    assert world.snapshot()[S2] == before
    goes_on(world, HV1, A.mac, HV2, W1)


def test_both_ends_move(world: World) -> None:
    active(world, A, HV1)
    active(world, W1, HV3)
    talks(world, HV1, A.mac, HV3, W1)
    for port, vm in ((HV4, A), (HV2, W1)):
        world.ask(port, vm, RR)
        world.ask(port, vm, ASSOC)
    goes_on(world, HV4, A.mac, HV2, W1)


def test_a_restarted_controller_leaves_the_pins_of_everybody_alone(world: World) -> None:
    active(world, A, HV1)
    active(world, W1, HV2)
    talks(world, HV1, A.mac, HV2, W1)
    talks(world, CLIENT, CLIENT_MAC, HV2, W1)
    before = world.snapshot()
    world.restart_controller()
    assert world.snapshot() == before
    for _ in range(40):  # an audit comes by
        world.advance(1.0)
        world.ask(HV1, A, ASSOC)
        world.ask(HV2, W1, ASSOC)
    assert world.engine.comparisons.drifted == 0
    goes_on(world, HV1, A.mac, HV2, W1)
    goes_on(world, CLIENT, CLIENT_MAC, HV2, W1)
