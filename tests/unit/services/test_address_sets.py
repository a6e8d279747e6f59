"""Sets of addresses: rules that name them, members that come, go and move, and switches that have them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.reservation import ResourceKind, SwitchResource
from ryu_apps.evb.vsi.set_members import MAX_MEMBER_RULES
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
    Vm,
    two_switches,
    with_vlans,
)
from tests.worlds.sets import (
    BATCH,
    CLIENT_OF,
    DATABASE,
    GUARDED,
    LOOSE,
    PEER,
    SECOND,
    WEB,
    MultiVm,
    SetWorld,
    from_vm,
    members,
    pairs,
)

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
FIRST, SECOND_WEB, WORKER, NEIGHBOUR = Vm(1, type=WEB), Vm(2, type=WEB), Vm(3, type=BATCH), Vm(4, type=LOOSE)
SERVER = Vm(8, type=DATABASE)


@pytest.fixture
def world() -> SetWorld:
    world = SetWorld()
    world.connect()
    return world


def reaches(world: SetWorld, port: PortId, vm: Vm, server: Vm = SERVER, **fields: int) -> bool:
    return bool(world.connect_to(port, server, **{**from_vm(vm), **fields}))


# --- rules ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [DATABASE, GUARDED, SECOND])
@pytest.mark.parametrize("there", [HV2, HV3])
def test_a_rule_admits_members_by_label_and_by_type_alone(world: SetWorld, kind: VsiTypeKey, there: PortId) -> None:
    server = Vm(8, type=kind)
    world.ask(there, server, ASSOCIATE)
    for vm in (FIRST, WORKER, NEIGHBOUR):
        world.ask(HV1, vm, ASSOCIATE)
    assert reaches(world, HV1, FIRST, server) and reaches(world, HV1, WORKER, server)
    assert not reaches(world, HV1, NEIGHBOUR, server), "no member: its type does not check its addresses"
    claimed = {"eth_src": NMS_MAC, "ipv4_src": int(FIRST.address), "tcp_src": 4001}
    assert not world.connect_to(NMS, server, **claimed), "the address of a member"


@pytest.mark.parametrize("there", [HV2, HV3])
def test_a_set_is_a_destination_too(world: SetWorld, there: PortId) -> None:
    client = Vm(8, type=CLIENT_OF)
    world.ask(there, client, ASSOCIATE)
    for vm in (FIRST, NEIGHBOUR):
        world.ask(HV1, vm, ASSOCIATE)
    assert reaches(world, there, client, FIRST)
    assert not reaches(world, there, client, NEIGHBOUR)
    assert not world.connect_to(there, NEIGHBOUR, **from_vm(client), ipv4_dst=int(FIRST.address)), "to another MAC"


def test_a_rule_may_name_sets_beside_networks_and_on_both_sides(world: SetWorld) -> None:
    one, other = Vm(8, type=PEER), Vm(9, type=PEER)
    for port, vm in ((HV1, one), (HV3, other), (HV2, FIRST), (HV4, WORKER)):
        world.ask(port, vm, ASSOCIATE)
    assert reaches(world, HV1, one, other) and reaches(world, HV3, other, one)
    assert reaches(world, HV2, FIRST, one) and not reaches(world, HV4, WORKER, one)
    outside = int(IPv4Address("192.0.2.7"))
    assert world.connect_to(NMS, one, eth_src=NMS_MAC, ipv4_src=outside)
    assert not world.connect_to(NMS, one, eth_src=NMS_MAC, ipv4_src=outside, ipv4_dst=int(FIRST.address))


def test_ipv6_addresses_are_members_too(world: SetWorld) -> None:
    mine, other = ip_address("fd00::11"), ip_address("fd00::12")
    world.ask(HV3, SERVER, ASSOCIATE)
    world.send(HV1, FIRST.tlv(ASSOCIATE), mine)
    segment = {"eth_type": 0x86DD, "ip_proto": 6, "tcp_src": 4000, "tcp_dst": 5432, "tcp_flags": 2, "vlan_vid": 0}
    addresses = {"eth_src": FIRST.mac, "eth_dst": SERVER.mac, "ipv6_dst": int(ip_address("fd00::88"))}
    assert [copy.port for copy in world.carry(HV1, segment | addresses | {"ipv6_src": int(mine)})] == [HV3]
    assert world.carry(HV1, segment | addresses | {"ipv6_src": int(other)}) == []
    from_host = segment | addresses | {"eth_src": NMS_MAC, "ipv6_src": int(mine)}
    assert world.carry(NMS, from_host) == []


def test_copies_of_a_broadcast_are_looked_up_for_each_receiver(world: SetWorld) -> None:
    """The first copy's result must not count for the second."""
    for port, vm in ((HV1, FIRST), (HV2, Vm(7, type=SECOND)), (HV2, SERVER), (HV3, Vm(9, type=SECOND))):
        world.ask(port, vm, ASSOCIATE)
    everybody = {"eth_dst": (1 << 48) - 1, "ipv4_dst": (1 << 32) - 1, "ip_proto": 17, "udp_src": 1, "udp_dst": 2}
    datagram = {"eth_type": 0x0800, "vlan_vid": 0} | everybody
    assert sorted(copy.port for copy in world.carry(HV1, datagram | from_vm(FIRST))) == [HV2, NMS, HV3, CLIENT]
    sender = {"eth_src": CLIENT_MAC, "ipv4_src": int(FIRST.address)}
    assert sorted(copy.port for copy in world.carry(CLIENT, datagram | sender)) == [HV1, NMS]


# --- members --------------------------------------------------------------------------------------
def test_a_member_is_one_from_its_associate_to_its_end(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    world.ask(HV1, FIRST, RR)
    assert members(world, S2) == set()
    world.ask(HV1, FIRST, ASSOCIATE)
    assert members(world, S2) == pairs([FIRST])
    world.ask(HV1, FIRST, DEASSOCIATE)
    assert members(world, S2) == set()


def test_a_member_that_moves_stays_one(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    world.ask(HV1, FIRST, ASSOCIATE)
    world.ask(HV4, FIRST, RR)
    assert reaches(world, HV1, FIRST) and not reaches(world, HV4, FIRST)
    world.ask(HV4, FIRST, ASSOCIATE)
    assert not reaches(world, HV1, FIRST) and reaches(world, HV4, FIRST)
    assert members(world, S2) == pairs([FIRST])


def test_a_move_that_fails_leaves_the_member_as_it_was(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    world.ask(HV1, FIRST, ASSOCIATE)
    before = world.snapshot()
    world.refuse[S2, Mode.ATOMIC] = "refused"
    world.ask(HV4, FIRST, RR)
    world.ask(HV4, FIRST, ASSOCIATE)
    world.advance(0.2)
    assert world.answer(HV4).error and reaches(world, HV1, FIRST)
    assert {key: rule for key, rule in before[S2].items() if key.table == Table.MEMBERS} == {
        key: rule for key, rule in world.snapshot()[S2].items() if key.table == Table.MEMBERS
    }


def test_a_vsi_is_a_member_by_the_type_that_it_has(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    world.ask(HV1, Vm(1, type=CLIENT_OF), ASSOCIATE)
    assert members(world, S2) == set()
    world.ask(HV1, FIRST, ASSOCIATE)
    assert members(world, S2) == pairs([FIRST])
    world.ask(HV1, Vm(1, type=PEER), ASSOCIATE)
    assert members(world, S2) == set()


def test_a_vsi_of_several_addresses_is_a_member_with_all_of_them(world: SetWorld) -> None:
    world = SetWorld(with_vlans(two_switches(), 200))
    world.connect()
    vm = MultiVm(9, type=WEB)
    world.ask(HV3, SERVER, ASSOCIATE)
    world.send(HV1, vm.tlv(ASSOCIATE), *vm.addresses)
    assert len(members(world, S2)) == len(vm.macs) * len(vm.vids) * len(vm.addresses)
    for mac in vm.macs:
        for address in vm.addresses:
            assert reaches(world, HV1, vm, eth_src=mac, ipv4_src=int(address))
    assert not reaches(world, HV1, vm, ipv4_src=int(FIRST.address), eth_src=vm.macs[0])


def test_a_vsi_with_too_many_addresses_is_refused(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    macs = tuple(0x525400001000 + number for number in range(50))
    addresses = [IPv4Address("10.0.100.0") + number for number in range(100, 100 + MAX_MEMBER_RULES // 50 + 1)]
    world.send(HV1, MultiVm(9, WEB, macs=macs, vids=(100,)).tlv(RR), *addresses)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    assert members(world, S2) == set()


# --- switches -------------------------------------------------------------------------------------
def test_members_are_at_switches_with_users_alone(world: SetWorld) -> None:
    world.ask(HV1, FIRST, ASSOCIATE)
    assert members(world, S1) == members(world, S2) == set()
    world.ask(HV3, SERVER, RR)
    assert members(world, S1) == set() and members(world, S2) == pairs([FIRST]), "staged with the server"
    world.ask(HV4, Vm(9, type=SECOND), ASSOCIATE)
    world.ask(HV3, SERVER, DEASSOCIATE)
    assert members(world, S2) == pairs([FIRST])
    world.ask(HV4, Vm(9, type=SECOND), DEASSOCIATE)
    assert members(world, S2) == set()


def test_a_station_is_not_answered_before_the_members_are_confirmed(world: SetWorld) -> None:
    world.ask(HV1, FIRST, ASSOCIATE)
    world.hold.add(S2)
    world.ask(HV3, SERVER, RR)
    world.ask(HV4, Vm(9, type=DATABASE), RR)
    assert HV3 not in world.sent and HV4 not in world.sent
    world.release()
    assert not world.answer(HV3).error and not world.answer(HV4).error


def test_members_that_a_switch_refuses_are_an_answer_and_a_comparison(world: SetWorld) -> None:
    world.ask(HV1, FIRST, ASSOCIATE)
    world.refuse[S2, Mode.ATOMIC] = "refused"
    world.ask(HV3, SERVER, RR)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.advance(0.2)
    world.ask(HV3, SERVER, RR)
    assert not world.answer(HV3).error and members(world, S2) == pairs([FIRST])


def test_rules_are_members_plus_users_not_their_product(world: SetWorld) -> None:
    """Ten servers of two types name the same set by different names, and share its members."""
    visitors = [Vm(number, type=WEB) for number in range(20, 40)]
    for vm in visitors:
        world.ask(HV1, vm, ASSOCIATE)
    for number in range(5):
        world.ask(HV3, Vm(50 + number, type=DATABASE), ASSOCIATE)
        world.ask(HV4, Vm(60 + number, type=SECOND), ASSOCIATE)
    rules = [rule for rule in world.tables[S2].rules.values() if rule.table == Table.MEMBERS]
    assert len(rules) == len(visitors) and members(world, S2) == pairs(visitors)


def test_a_change_of_members_is_part_of_the_change_of_gates(world: SetWorld) -> None:
    world.ask(HV3, SERVER, ASSOCIATE)
    before = len(world.applied)
    world.ask(HV1, FIRST, RR)
    world.ask(HV1, FIRST, ASSOCIATE)
    changes = [apply for apply in world.applied[before:] if apply.dpid == S2]
    (opening,) = [apply for apply in changes if any(rule.table == Table.MEMBERS for rule in apply.change.add)]
    assert opening.mode is Mode.ATOMIC and any(rule.table == Table.FORWARD for rule in opening.change.add)
    kinds = {parse_cookie(rule.cookie) for rule in opening.change.add if rule.table == Table.MEMBERS}
    assert {kind.kind for kind in kinds if kind} == {CookieKind.GATE}


# --- restarts and faults --------------------------------------------------------------------------
def test_a_restarted_controller_writes_no_rule(world: SetWorld) -> None:
    for port, vm in ((HV1, FIRST), (HV3, SERVER), (HV2, WORKER)):
        world.ask(port, vm, ASSOCIATE)
    world.ask(HV4, SECOND_WEB, RR)
    before, sent = world.snapshot(), len(world.applied)
    world.restart_controller()
    assert world.snapshot() == before
    assert not any(apply.change.add or apply.change.remove for apply in world.applied[sent:])
    world.ask(HV3, SERVER, DEASSOCIATE)
    assert members(world, S2) == set()


def test_a_member_that_somebody_adds_or_deletes_is_corrected(world: SetWorld) -> None:
    world.ask(HV1, FIRST, ASSOCIATE)
    world.ask(HV3, SERVER, ASSOCIATE)
    found = {key for key in world.tables[S2].rules if key.table == Table.MEMBERS}
    world.delete_objects(S2, found)
    world.advance(2)
    assert members(world, S2) == pairs([FIRST])


# --- reservations ---------------------------------------------------------------------------------
def reserved(world: SetWorld, dpid: int) -> int:
    return world.engine.ledger.used(dpid, SwitchResource(ResourceKind.TABLE, Table.MEMBERS))


def test_room_is_reserved_for_members_that_are_staged(world: SetWorld) -> None:
    world.ask(HV1, FIRST, RR)
    assert (reserved(world, S1), reserved(world, S2)) == (0, 0)
    world.ask(HV3, SERVER, RR)
    assert (reserved(world, S1), reserved(world, S2)) == (0, 1)
    world.ask(HV2, SECOND_WEB, RR)
    assert (reserved(world, S1), reserved(world, S2)) == (0, 2)
    world.ask(HV1, FIRST, DEASSOCIATE)
    assert (reserved(world, S1), reserved(world, S2)) == (0, 1)
    world.ask(HV3, SERVER, DEASSOCIATE)
    assert (reserved(world, S1), reserved(world, S2)) == (0, 0)


def test_without_room_for_members_the_member_or_the_user_is_refused() -> None:
    world = SetWorld(capacity=SwitchCapacity(tables=dict.fromkeys(Table, 10_000) | {Table.MEMBERS: 1}))
    world.connect()
    world.ask(HV1, FIRST, RR)
    world.ask(HV3, SERVER, RR)
    assert not world.answer(HV3).error
    world.ask(HV2, SECOND_WEB, RR)
    assert world.answer(HV2).error is VdpError.INSUFFICIENT_RESOURCES
    world.ask(HV3, SERVER, DEASSOCIATE)
    world.ask(HV2, SECOND_WEB, RR)
    assert not world.answer(HV2).error
    world.ask(HV3, SERVER, RR)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    assert (reserved(world, S1), reserved(world, S2)) == (0, 0)


# --- files ----------------------------------------------------------------------------------------
HEAD = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\nsets: {web: {labels: [web]}}\n"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "to_vm: {rules: [{rule: {ipv4_src: $wbe, actions: {allow: 1}}}]}",
            "4:35: $wbe is not defined: sets has no 'wbe'",
        ),
        (
            "to_vm: {rules: [{rule: {arp_spa: $web, actions: {allow: 1}}}]}",
            "4:34: a set such as $web may stand",
        ),
        (
            "to_vm: {rules: [{rule: {eth_src: $web, actions: {allow: 1}}}]}",
            "4:34: a set such as $web may stand",
        ),
        ("to_vm: {rules: [{rule: {ipv4_src: $1, actions: {allow: 1}}}]}", "4:35: $1 names no set"),
        ("firewall: {to_vm: {rules: [{rule: {ipv6_src: $x, actions: {allow: 1}}}]}}", "4:46: $x is not defined"),
        ("addresses: [$web]", "4:13: the set $web may stand in rules only"),
        ("multicast: {groups: [$web]}", "4:22: the set $web may stand in rules only"),
        ("multicast: {filter: [$web]}", "4:22: the set $web may stand in rules only"),
        ("labels: [a b]", "4:10: a name was expected"),
    ],
)
def test_mistakes_have_their_place_and_reason(text: str, mistake: str) -> None:
    loaded, found = load_policies([("some.yaml", HEAD + text + "\n")], SECTIONS)
    assert loaded is None and any(f"some.yaml:{mistake}" in str(diagnostic) for diagnostic in found), found


@pytest.mark.parametrize(
    ("sets", "mistake"),
    [
        ("{web: {}}", "a set has types, labels or both"),
        ("{1x: {labels: [a]}}", "key '1x': a name was expected"),
        ("{x: {types: [y]}}", "a type ID was expected"),
        ("{x: {types: [1/256]}}", "a type ID was expected"),
        ("{x: {lables: [a]}}", "unknown key 'lables' (did you mean 'labels'?)"),
    ],
)
def test_a_definition_has_types_or_labels(sets: str, mistake: str) -> None:
    head = HEAD.partition("sets:")[0]
    loaded, found = load_policies([("some.yaml", f"{head}sets: {sets}\n")], SECTIONS)
    assert loaded is None and any("some.yaml:3:" in str(line) and mistake in str(line) for line in found), found


def test_sets_and_labels_are_part_of_the_meaning_of_a_type() -> None:
    def digest(text: str) -> str:
        loaded, found = load_policies([("some.yaml", HEAD + text)], SECTIONS)
        assert loaded is not None, found
        return next(iter(loaded.types.values())).digest

    rules = "to_vm: {rules: [{rule: {ipv4_src: %s, actions: {allow: 1}}}]}\n"
    texts = ("", "labels: [web]\n", rules % "$web", rules % "192.0.2.0/24", rules % "[$web, 192.0.2.0/24]")
    assert len({digest(text) for text in texts}) == len(texts)
