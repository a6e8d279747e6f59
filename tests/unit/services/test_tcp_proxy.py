"""Redirects to a transparent proxy, segment by segment, on paper: two switches with a proxy each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.services.tcp_proxy.pins import LIVES
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpError, VdpMode
from tests.worlds.bridge import (
    CLIENT,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    NMS,
    NMS_MAC,
    S1,
    S2,
    VLAN,
    Vm,
    World,
    two_switches,
    with_vlans,
)
from tests.worlds.simulated_tcp import ACK, FIN, RST, SYN, Arrived, Segment, send

PRE, RR, ASSOC, DEASSOC = VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
PROXY1, PROXY2 = PortId(S1, 4), PortId(S2, 4)
PROXY1_MAC, PROXY2_MAC = 0x020000000A01, 0x020000000A02
OTHER_VLAN = 200

DUAL, SINGLE, SMALL, WALLED, PLAIN = (VsiTypeKey(number, 1) for number in (10, 11, 12, 13, 19))
_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
TEXTS = {
    DUAL: _OPEN + "tcp_proxy: {ports: [80, 8000-8003], trigger: dual}",
    SINGLE: _OPEN + "tcp_proxy: {ports: [80], trigger: single}",
    SMALL: _OPEN + "tcp_proxy: {ports: [80], max_connections: 2}",
    WALLED: (
        "firewall:\n  from_vm: {default: deny}\n  to_vm: {rules: [rule: {tcp_dst: 80, actions: {allow: 1}}]}\n"
        "tcp_proxy: {ports: [80]}"
    ),
    PLAIN: _OPEN,
}


def policies() -> PolicySet:
    def text(key: VsiTypeKey) -> str:
        return (
            f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: proxied}}\n{TEXTS[key]}\n"
        )

    found, mistakes = load_policies([(f"{key.type_id}.yaml", text(key)) for key in TEXTS], SECTIONS)
    assert found is not None, mistakes
    return found


def with_proxies(fabric: Fabric) -> Fabric:
    """The cluster of the tests and a proxy at each switch."""
    return Fabric({dpid: with_proxy(fabric, dpid) for dpid in fabric.switches})


def with_proxy(fabric: Fabric, dpid: int):  # type: ignore[no-untyped-def]
    mac = {S1: PROXY1_MAC, S2: PROXY2_MAC}[dpid]
    proxy = Interface(4, f"proxy{dpid}", Role.HOST, VLAN, macs=(mac,), appliance="tcp_proxy")
    switch = fabric.switches[dpid]
    return replace(switch, interfaces={**switch.interfaces, 4: proxy})


@pytest.fixture
def world() -> World:
    world = World(with_vlans(with_proxies(two_switches()), OTHER_VLAN), policies())
    world.connect()
    return world


A, B = Vm(1, DUAL), Vm(2, DUAL)
#: How the addresses of the client and of the VM look.
ENDS = {4: ("192.0.2.7", "10.0.100.1"), 6: ("2001:db8::7", "fe80::5054:ff:fe00:1")}


def from_client(port: int = 40000, flags: int = SYN, vm: Vm = A, to: int = 80, version: int = 4) -> Segment:
    """A segment of the client at s2 for a VM."""
    client, server = ENDS[version]
    return Segment(CLIENT_MAC, vm.mac, (client, port), (server, to), flags)


def by_proxy(segment: Segment, mac: int, port: int | None = None) -> Segment:
    """Segment of a transparent proxy for a client's: the proxy's Ethernet address and, if given, its own port."""
    source = segment.source if port is None else (segment.source[0], port)
    return replace(segment, eth_src=mac, source=source)


def active(world: World, vm: Vm = A, at: PortId = HV1) -> None:
    world.ask(at, vm, RR)
    world.ask(at, vm, ASSOC)
    assert world.answer(at).success, world.answer(at)


def ports(arrived: list[Arrived]) -> list[PortId]:
    return [arrival.port for arrival in arrived]


# --- one switch -----------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [4, 6])
def test_what_begins_a_connection_goes_to_the_proxy_with_both_addresses(world: World, version: int) -> None:
    active(world)
    (arrived,) = send(world, CLIENT, segment := from_client(version=version))
    assert arrived == (PROXY1, replace(segment, eth_dst=PROXY1_MAC))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("port", [None, 51111], ids=["the client's port", "a port of its own"])
def test_a_proxy_reaches_the_vm_and_is_answered_whatever_port_it_uses(
    world: World, port: int | None, version: int
) -> None:
    active(world)
    send(world, CLIENT, from_client(version=version))
    opening = by_proxy(from_client(version=version), PROXY1_MAC, port)
    assert send(world, PROXY1, opening) == [(HV1, opening)]
    # The VM finds the client's Ethernet address by ARP.
    answer = replace(opening.answered(A.mac, SYN | ACK), eth_dst=CLIENT_MAC)
    assert send(world, HV1, answer) == [(PROXY1, replace(answer, eth_dst=PROXY1_MAC))]
    data = opening.flagged(ACK)
    assert send(world, PROXY1, data) == [(HV1, data)]


def test_what_follows_goes_to_the_same_proxy_to_the_end(world: World) -> None:
    active(world)
    send(world, CLIENT, from_client())
    for flags in (SYN, ACK, FIN | ACK, RST):
        assert ports(send(world, CLIENT, from_client(flags=flags))) == [PROXY1]


def test_what_only_pretends_to_begin_a_connection_is_soon_forgotten(world: World) -> None:
    active(world)
    send(world, CLIENT, from_client(40000))
    assert {rule.idle_timeout for rule in world.rules(S1, CookieKind.STATE).values()} == {10}
    send(world, CLIENT, from_client(40000, RST))
    assert len(world.rules(S1, CookieKind.STATE)) == 1
    send(world, CLIENT, from_client(40000, ACK))
    send(world, CLIENT, from_client(40000, ACK))
    assert [rule.idle_timeout for rule in world.rules(S1, CookieKind.STATE).values()] == [10, 3600]
    world.tables[S1].rules = {key: rule for key, rule in world.tables[S1].rules.items() if rule.idle_timeout != 10}
    assert ports(send(world, CLIENT, from_client(40000, ACK))) == [PROXY1]


@pytest.mark.parametrize("flags", [ACK, FIN | ACK, RST, SYN | ACK, SYN | FIN, SYN | RST, 0])
def test_what_neither_begins_nor_belongs_to_a_connection_goes_nowhere(world: World, flags: int) -> None:
    active(world)
    assert send(world, CLIENT, from_client(flags=flags)) == []
    assert send(world, HV1, from_client(flags=flags).answered(A.mac, flags)) == []
    assert world.rules(S1, CookieKind.STATE) == {}


def test_the_tuple_beside_a_connection_is_another_one(world: World) -> None:
    active(world)
    send(world, CLIENT, from_client(40000))
    send(world, PROXY1, by_proxy(from_client(40000), PROXY1_MAC))
    assert send(world, CLIENT, from_client(40001, ACK)) == []
    assert send(world, HV1, from_client(40001).answered(A.mac)) == []


def test_other_ports_and_the_vms_own_connections_are_left_alone(world: World) -> None:
    active(world)
    to_ssh = from_client(to=22)
    assert send(world, CLIENT, to_ssh) == [(HV1, to_ssh)]
    assert send(world, HV1, to_ssh.answered(A.mac, SYN | ACK)) == [(CLIENT, to_ssh.answered(A.mac, SYN | ACK))]
    own = Segment(A.mac, CLIENT_MAC, ("10.0.100.1", 40000), ("192.0.2.7", 80), SYN)
    assert send(world, HV1, own) == [(CLIENT, own)]
    assert send(world, CLIENT, own.answered(CLIENT_MAC)) == [(HV1, own.answered(CLIENT_MAC))]


@pytest.mark.parametrize(("port", "there"), [(7999, HV1), (8000, PROXY1), (8003, PROXY1), (8004, HV1)])
def test_a_range_of_ports_is_redirected(world: World, port: int, there: PortId) -> None:
    active(world)
    assert ports(send(world, CLIENT, from_client(to=port))) == [there]


def test_vms_reach_each_other_through_the_proxy_behind_one_uplink_too(world: World) -> None:
    active(world, A)
    active(world, B)
    opening = Segment(B.mac, A.mac, ("10.0.100.2", 40000), ("10.0.100.1", 80), SYN)
    assert send(world, HV1, opening) == [(PROXY1, replace(opening, eth_dst=PROXY1_MAC))]
    assert ports(send(world, PROXY1, by_proxy(opening, PROXY1_MAC))) == [HV1]
    answer = by_proxy(opening, PROXY1_MAC).answered(A.mac, SYN | ACK)
    assert ports(send(world, HV1, replace(answer, eth_dst=B.mac))) == [PROXY1]
    to_client = by_proxy(opening.answered(A.mac, SYN | ACK), PROXY1_MAC)
    assert send(world, PROXY1, to_client) == [(HV1, to_client)]


# --- limits and impostors -------------------------------------------------------------------------
def test_clients_are_turned_away_in_time_and_a_proxy_finds_room_for_what_it_has_accepted(world: World) -> None:
    vm, bystander = Vm(1, SMALL), Vm(3, SMALL)
    active(world, vm)
    active(world, bystander)
    accepted = [port for port in range(40000, 40010) if send(world, CLIENT, from_client(port))]
    # Nobody has answered these yet: twice as many as may be connections, both ends counted.
    assert accepted == [40000, 40001, 40002, 40003]
    for port in accepted:
        assert send(world, PROXY1, by_proxy(from_client(port), PROXY1_MAC)) != []
        assert ports(send(world, CLIENT, from_client(port, ACK))) == [PROXY1]
    assert send(world, CLIENT, from_client(40004)) == []
    assert len(world.rules(S1, CookieKind.STATE)) == 12
    assert ports(send(world, CLIENT, from_client(40004, vm=bystander))) == [PROXY1]


def test_a_vm_that_owns_a_whole_vlan_cannot_pass_for_a_proxy(world: World) -> None:
    active(world)
    whole = Vm(5, DUAL)
    info = FilterInfo.of(Vid(VLAN))
    world.send(HV2, ASSOCIATIONS[ASSOC](RequestStatus(), *whole.type, whole.vsi_id, info))
    assert world.answer(HV2).success
    opening = from_client()
    assert send(world, HV2, replace(opening, eth_src=0x020000000B0B)) != []
    assert send(world, HV2, by_proxy(opening, PROXY1_MAC)) == []


def test_a_copy_for_a_proxy_changes_nothing_for_the_other_members(world: World) -> None:
    beside, sender = Vm(2, PLAIN), Vm(3, PLAIN)
    active(world, A, HV2)
    active(world, beside, HV1)
    active(world, sender, HV1)
    everybody = 0xFFFFFFFFFFFF
    epochs = {
        program.vsi_type.key: program.epoch
        for attachment in world.engine.registry.attachments()
        if (program := attachment.holding.program)
    }
    assert epochs[PLAIN] > epochs[DUAL], "copies are made in this order"

    def reached(to: int) -> list[tuple[PortId, int]]:
        segment = Segment(sender.mac, everybody, ("10.0.100.3", 40000), ("10.0.100.255", to), SYN)
        return sorted((arrival.port, arrival.segment.eth_dst) for arrival in send(world, HV1, segment))

    # No copy returns to the port that the frame came by, whoever was dealt with before.
    hosts = [(port, everybody) for port in (NMS, PROXY1, CLIENT, PROXY2)]
    assert reached(22) == sorted([*hosts, (HV2, A.mac)])
    assert reached(80) == sorted([*hosts, (PROXY1, PROXY1_MAC)])


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("at", [HV1, HV3])
def test_errors_for_the_vm_reach_it_and_every_proxy_of_its_vlan(world: World, at: PortId, version: int) -> None:
    """A router is told the VM's address by what a proxy sends; which proxy that is, no switch can read."""
    active(world, A, at)
    active(world, Vm(3, PLAIN), HV2)
    router = from_client(version=version).fields
    name, kind, proto = ("icmpv4", 3, 1) if version == 4 else ("icmpv6", 2, 58)
    error = {key: value for key, value in router.items() if not key.startswith("tcp")}
    error |= {"ip_proto": proto, f"{name}_type": kind, f"{name}_code": 0}
    assert {(arrival.port, arrival.fields["eth_dst"]) for arrival in world.carry(CLIENT, error)} == {
        (at, A.mac),
        (PROXY1, PROXY1_MAC),
        (PROXY2, PROXY2_MAC),
    }
    echo = {"icmpv4": 8, "icmpv6": 128}[name]
    assert [arrival.port for arrival in world.carry(CLIENT, error | {f"{name}_type": echo})] == [at]
    plain = {**error, "eth_dst": Vm(3).mac}
    assert [arrival.port for arrival in world.carry(CLIENT, plain)] == [HV2]
    # What the VM has to say of a segment that a proxy has sent in the client's name.
    address = "10.0.100.1" if version == 4 else "fe80::5054:ff:fe00:1"
    said = {**error, "eth_src": A.mac, "eth_dst": CLIENT_MAC, f"ipv{version}_src": int(ip_address(address))}
    assert {(arrival.port, arrival.fields["eth_dst"]) for arrival in world.carry(at, said)} == {
        (CLIENT, CLIENT_MAC),
        (PROXY1, PROXY1_MAC),
        (PROXY2, PROXY2_MAC),
    }
    # What one of the proxies has to say to the VM is none for itself.
    assert PROXY1 not in [arrival.port for arrival in world.carry(PROXY1, error | {"eth_src": PROXY1_MAC})]


# --- with the firewall ----------------------------------------------------------------------------
@pytest.mark.parametrize("port", [None, 51111], ids=["the client's port", "a port of its own"])
def test_a_proxied_connection_passes_the_firewall_twice_and_nothing_else_does(world: World, port: int | None) -> None:
    vm = Vm(1, WALLED)
    active(world, vm)
    opening = by_proxy(from_client(), PROXY1_MAC, port)
    assert ports(send(world, CLIENT, from_client())) == [PROXY1]
    assert ports(send(world, PROXY1, opening)) == [HV1]
    assert ports(send(world, HV1, replace(opening.answered(vm.mac, SYN | ACK), eth_dst=CLIENT_MAC))) == [PROXY1]
    assert ports(send(world, CLIENT, from_client(flags=ACK))) == [PROXY1]
    assert ports(send(world, PROXY1, opening.flagged(ACK))) == [HV1]
    assert send(world, CLIENT, from_client(to=22)) == []
    assert send(world, PROXY1, by_proxy(from_client(to=22), PROXY1_MAC)) == []
    assert send(world, HV1, from_client(to=22).answered(vm.mac, SYN)) == []


# --- the move -------------------------------------------------------------------------------------
def opened(world: World, port: int, proxy: PortId, mac: int, vm_at: PortId) -> None:
    """A client opens a connection through a proxy."""
    assert ports(send(world, CLIENT, from_client(port))) == [proxy]
    opening = by_proxy(from_client(port), mac, port + 10000)
    assert ports(send(world, proxy, opening)) == [vm_at]


def goes_on(world: World, port: int, proxy: PortId, mac: int, vm_at: PortId) -> None:
    """Its four halves work."""
    assert ports(send(world, CLIENT, from_client(port, ACK))) == [proxy]
    data = by_proxy(from_client(port, ACK), mac, port + 10000)
    assert ports(send(world, proxy, data)) == [vm_at]
    assert ports(send(world, vm_at, replace(data.answered(A.mac), eth_dst=CLIENT_MAC))) == [proxy]
    to_client = by_proxy(from_client(port).answered(A.mac), mac)
    assert send(world, proxy, to_client) == [(CLIENT, to_client)]


def latency(world: World, vm: Vm, suspended: Callable[[], None]) -> None:
    world.ask(HV1, vm, ASSOC, suspended=True)
    suspended()
    world.ask(HV3, vm, ASSOC)


def safest(world: World, vm: Vm, suspended: Callable[[], None]) -> None:
    # The gates take their time to shut: until then a client may still begin a connection.
    world.hold |= {S1, S2}
    world.ask(HV1, vm, DEASSOC)
    suspended()
    world.release()
    world.ask(HV3, vm, ASSOC)


@pytest.mark.parametrize("ladder", [latency, safest])
@pytest.mark.parametrize("key", [DUAL, SINGLE])
def test_connections_stay_with_the_proxy_that_has_them_and_new_ones_take_the_nearest(
    world: World, key: VsiTypeKey, ladder: Callable[[World, Vm, Callable[[], None]], None]
) -> None:
    vm = Vm(1, key)
    active(world, vm)
    opened(world, 40000, PROXY1, PROXY1_MAC, HV1)
    world.ask(HV3, vm, RR, migrating=True)
    opened(world, 40001, PROXY1, PROXY1_MAC, HV1)
    ladder(world, vm, lambda: opened(world, 40002, PROXY1, PROXY1_MAC, HV1))
    assert world.answer(HV3).success
    for port in (40000, 40001, 40002):
        goes_on(world, port, PROXY1, PROXY1_MAC, HV3)
    opened(world, 40003, PROXY2, PROXY2_MAC, HV3)
    goes_on(world, 40003, PROXY2, PROXY2_MAC, HV3)
    assert world.rules(S1, CookieKind.STATE) == {}


def test_a_client_beside_the_old_proxy_is_led_back_over_the_trunk_it_came_by(world: World) -> None:
    active(world)
    opening = replace(from_client(), eth_src=NMS_MAC)
    assert ports(send(world, NMS, opening)) == [PROXY1]
    world.ask(HV3, A, RR, migrating=True)
    world.ask(HV3, A, ASSOC)
    assert ports(send(world, NMS, opening.flagged(ACK))) == [PROXY1]


def test_a_connection_outlives_two_moves(world: World) -> None:
    active(world)
    opened(world, 40000, PROXY1, PROXY1_MAC, HV1)
    for there in (HV3, HV2):
        world.ask(there, A, RR, migrating=True)
        world.ask(there, A, ASSOC)
        goes_on(world, 40000, PROXY1, PROXY1_MAC, there)


def test_what_is_staged_passes_nothing_to_or_from_the_port(world: World) -> None:
    active(world)
    opened(world, 40000, PROXY1, PROXY1_MAC, HV1)
    world.ask(HV3, A, RR, migrating=True)
    assert len(world.rules(S2, CookieKind.STATE)) == 2
    goes_on(world, 40000, PROXY1, PROXY1_MAC, HV1)
    assert send(world, HV3, from_client().answered(A.mac)) == []


def test_an_aborted_move_leaves_no_pin_and_does_not_hinder_the_next(world: World) -> None:
    active(world)
    before = world.snapshot()[S2]
    opened(world, 40000, PROXY1, PROXY1_MAC, HV1)
    world.ask(HV3, A, RR, migrating=True)
    world.ask(HV3, A, DEASSOC)
    assert world.snapshot()[S2] == before
    goes_on(world, 40000, PROXY1, PROXY1_MAC, HV1)
    world.ask(HV3, A, RR, migrating=True)
    world.ask(HV3, A, ASSOC)
    goes_on(world, 40000, PROXY1, PROXY1_MAC, HV3)


def test_a_restarted_controller_leaves_the_pins_alone(world: World) -> None:
    active(world)
    opened(world, 40000, PROXY1, PROXY1_MAC, HV1)
    before = world.snapshot()
    world.restart_controller()
    assert world.snapshot() == before
    goes_on(world, 40000, PROXY1, PROXY1_MAC, HV1)


# --- where there is no proxy ----------------------------------------------------------------------
def test_a_vsi_is_refused_where_no_proxy_is_and_told_why() -> None:
    bare = two_switches()
    world = World(Fabric({S1: with_proxy(bare, S1), S2: bare.switches[S2]}), policies())
    world.connect()
    active(world)
    before = world.snapshot()
    for mode in (PRE, RR, ASSOC):
        world.ask(HV3, A, mode, migrating=True)
        assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    reasons = {event.detail["reason"] for event in world.happened if event.kind == "vdp.refused"}
    assert reasons == {"switch s2 has no appliance tcp_proxy in VLAN 100"}
    assert world.snapshot() == before
    assert ports(send(world, CLIENT, from_client())) == [PROXY1]


def test_a_proxy_serves_its_own_vlans_only(world: World) -> None:
    world.ask(HV1, Vm(1, DUAL, OTHER_VLAN), RR)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES


def test_no_rule_of_the_type_names_a_proxy(world: World) -> None:
    active(world)
    active(world, B, HV3)
    bodies = [world.rules(dpid, CookieKind.TYPE_BODY) for dpid in (S1, S2)]
    assert bodies[0] == bodies[1]
    assert {key.table for key in bodies[0]} >= {Table.PROXY_FROM, Table.PROXY_TO, Table.PROXY_DECIDE, Table.PROXY_ROOM}


# --- ports that are used again --------------------------------------------------------------------
def converses(world: World, version: int = 4) -> None:
    """A connection through the proxy, with all segments that matter."""
    for flags in (SYN, ACK):
        sent = from_client(flags=flags, version=version)
        assert ports(send(world, CLIENT, sent)) == [PROXY1]
        assert ports(send(world, PROXY1, by_proxy(sent, PROXY1_MAC))) == [HV1]
        answer = by_proxy(sent, PROXY1_MAC).answered(A.mac, flags | ACK)
        assert ports(send(world, HV1, replace(answer, eth_dst=CLIENT_MAC))) == [PROXY1]


def ends(world: World, version: int = 4) -> None:
    for flags in (FIN | ACK, RST):
        sent = from_client(flags=flags, version=version)
        assert ports(send(world, CLIENT, sent)) == [PROXY1]
        assert ports(send(world, PROXY1, by_proxy(sent, PROXY1_MAC))) == [HV1]
        answer = by_proxy(sent, PROXY1_MAC).answered(A.mac, flags)
        assert ports(send(world, HV1, replace(answer, eth_dst=CLIENT_MAC))) == [PROXY1]


def forgotten(world: World, seconds: int) -> None:
    """Nobody says anything for so long."""
    rules = world.tables[S1].rules
    for key in [key for key, rule in rules.items() if rule.idle_timeout and rule.idle_timeout <= seconds]:
        del rules[key]


@pytest.mark.parametrize("version", [4, 6])
def test_a_port_that_is_used_again_has_the_whole_timeout_on_both_sides_of_the_proxy(world: World, version: int) -> None:
    active(world)
    for _ in range(LIVES - 1):
        converses(world, version)
        ends(world, version)
        assert 120 in {rule.idle_timeout for rule in world.rules(S1, CookieKind.STATE).values()}
    converses(world, version)
    forgotten(world, 120)
    assert {rule.idle_timeout for rule in world.rules(S1, CookieKind.STATE).values()} == {3600}
    sent = from_client(flags=ACK, version=version)
    assert ports(send(world, CLIENT, sent)) == [PROXY1]
    answer = by_proxy(sent, PROXY1_MAC).answered(A.mac)
    assert ports(send(world, HV1, replace(answer, eth_dst=CLIENT_MAC))) == [PROXY1]


def test_with_no_life_or_no_room_left_it_goes_on_with_the_pins_that_there_are(world: World) -> None:
    active(world)
    for _ in range(LIVES + 2):
        converses(world)
        ends(world)
    small = World(with_proxies(two_switches()), policies())
    small.connect()
    active(small, Vm(1, SMALL))
    for _ in range(4 * LIVES):
        converses(small)
    assert len(small.rules(S1, CookieKind.STATE)) <= 12
