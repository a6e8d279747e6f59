"""Switches of OpenFlow 1.3 alone: what they hold, whom they let through, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import SwitchUp
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import ANY_TAGGED, VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Group, GroupType
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.proxies import appliances
from ryu_apps.evb.pipeline.tables import FLOOD_GROUP, CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS, body_of_type
from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpError, VdpMode
from ryu_apps.southbound.encode import flow_add, group_add, meter_write
from ryu_apps.southbound.wall import ExtensionForbidden, check
from tests.worlds.bridge import (
    CLIENT,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    NMS,
    NMS_MAC,
    POLICIES,
    S1,
    S2,
    VLAN,
    Vm,
    World,
    two_switches,
    with_vlans,
    without_extensions,
)

BROADCAST = (1 << 48) - 1
ARP = {"eth_type": 0x0806, "arp_op": 1, "arp_spa": 0, "arp_tpa": 1, "arp_tha": 0}
UDP = {"eth_type": 0x0800, "ip_proto": 17, "ipv4_dst": 1, "udp_src": 5353}
WEB, WALLED, MDNS, SLOW, LISTENER = (VsiTypeKey(number, 1) for number in range(11, 16))

TYPES = """
version: 1
vsi_type: {{type_id: {key.type_id}, version: 1, name: {name}}}
from_vm: {{default: allow}}
to_vm: {{default: deny, rules: [{{rule: {{{test}, actions: {{allow: 1}}}}}}]}}
{more}
"""


def loaded(key: VsiTypeKey, name: str, test: str, more: str = "") -> PolicySet:
    policies, found = load_policies([("some.yaml", TYPES.format(key=key, name=name, test=test, more=more))], SECTIONS)
    assert policies is not None, found
    return policies


POLICY_FILES = PolicySet(
    {
        **POLICIES.types,
        **loaded(WEB, "web", "tcp_dst: 80").types,
        **loaded(WALLED, "walled", "tcp_dst: 80", "firewall: {from_vm: {default: allow}}").types,
        **loaded(SLOW, "slow", "tcp_dst: 80", "bandwidth: {to_vm: {rate: 1000}}").types,
        **loaded(LISTENER, "listener", "eth_type: ipv4", "multicast: {groups: [239.1.0.1]}").types,
        **loaded(MDNS, "mdns", "eth_type: ipv4, ip_proto: udp").types,
    }
)


def world_of(*dpids: int, metered: bool = True, vlans: tuple[int, ...] = ()) -> World:
    fabric = with_vlans(two_switches(), *vlans)
    world = World(without_extensions(fabric, *dpids, metered=metered), policies=POLICY_FILES, forward_in_flight=2)
    world.connect()
    return world


@pytest.fixture(params=[(S1, S2), (S1,), (S2,)], ids=["both", "s1", "s2"])
def world(request: pytest.FixtureRequest) -> World:
    """A world with one or two switches without extensions."""
    return world_of(*request.param)


def reached(world: World, port: PortId, source: int, destination: int, **fields: int) -> set[tuple[PortId, int]]:
    """The edge ports and destinations at which a frame comes out."""
    frame = {"eth_src": source, "eth_dst": destination, "vlan_vid": 0, **fields}
    if frame.get("eth_type") == ARP["eth_type"]:
        frame["arp_sha"] = source
    return {(delivered.port, delivered.fields["eth_dst"]) for delivered in world.carry(port, frame)}


def udp(vm: Vm, **fields: int) -> dict[str, int]:
    return {**UDP, "ipv4_src": int(vm.address), "udp_dst": 9, **fields}


def refusals(table: FlowTable) -> list[str]:
    """Refusals of the wall for a switch's rules, groups and meters."""
    found = []
    messages = [*map(flow_add, table.rules.values()), *map(group_add, table.groups.values())]
    messages += [meter_write(meter, known=False) for meter in table.meters.values()]
    for octets in messages:
        try:
            check(octets)
        except ExtensionForbidden as refusal:
            found.append(str(refusal))
    return found


def test_all_that_it_holds_is_openflow_13(world: World) -> None:
    for port, vm in ((HV1, Vm(1)), (HV2, Vm(2)), (HV3, Vm(3, type=WEB))):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(1), VdpMode.ASSOCIATE, migrating=True)
    for dpid, switch in world.fabric.switches.items():
        assert bool(refusals(world.tables[dpid])) == switch.extended


def test_a_staged_vsi_passes_nothing_and_an_associated_one_everything(world: World) -> None:
    vm = Vm(1)
    world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).success and world.rules(S1, CookieKind.VSI_BODY)
    assert not reached(world, HV1, vm.mac, CLIENT_MAC, **udp(vm))
    assert not reached(world, HV1, vm.mac, BROADCAST, **ARP)
    assert not reached(world, CLIENT, CLIENT_MAC, vm.mac, **UDP)
    assert reached(world, CLIENT, CLIENT_MAC, BROADCAST, **ARP) == {(NMS, BROADCAST)}
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert reached(world, HV1, vm.mac, CLIENT_MAC, **udp(vm)) == {(CLIENT, CLIENT_MAC)}
    about = ARP | {"arp_spa": int(vm.address)}
    assert reached(world, HV1, vm.mac, BROADCAST, **about) == {(NMS, BROADCAST), (CLIENT, BROADCAST)}
    assert reached(world, CLIENT, CLIENT_MAC, vm.mac, **UDP) == {(HV1, vm.mac)}
    assert reached(world, CLIENT, CLIENT_MAC, BROADCAST, **ARP) == {(NMS, BROADCAST), (HV1, vm.mac)}


def test_it_speaks_for_itself_alone(world: World) -> None:
    vm = Vm(1)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert not reached(world, HV1, 0x525400000099, CLIENT_MAC, **udp(vm))
    assert not reached(world, HV1, vm.mac, CLIENT_MAC, **udp(vm, ipv4_src=0x0A0000FE))
    assert not reached(world, HV1, vm.mac, BROADCAST, **(ARP | {"arp_spa": 0x0A0000FE}))
    assert not reached(world, HV1, vm.mac, CLIENT_MAC, **udp(vm, udp_src=67))


def test_a_moved_vsi_is_where_its_newest_associate_was_and_leaves_nothing(world: World) -> None:
    vm = Vm(1)
    before = world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    for to, gone in ((HV3, HV1), (HV2, HV3), (HV1, HV2)):
        world.ask(to, vm, VdpMode.ASSOCIATE, migrating=True)
        assert reached(world, NMS, NMS_MAC, vm.mac, **UDP) == {(to, vm.mac)}
        assert reached(world, CLIENT, CLIENT_MAC, BROADCAST, **ARP) == {(NMS, BROADCAST), (to, vm.mac)}
        assert not reached(world, gone, vm.mac, CLIENT_MAC, **udp(vm))
        world.ask(gone, vm, VdpMode.DEASSOCIATE)
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    world.advance(30)
    assert (world.snapshot(), {dpid: dict(table.groups) for dpid, table in world.tables.items()}) == before


def test_frames_in_flight_go_back_by_the_trunk_they_came_in_by() -> None:
    world, vm = world_of(S1), Vm(1)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    frame = {"eth_src": CLIENT_MAC, "eth_dst": vm.mac, "vlan_vid": VLAN_PRESENT | VLAN, "vlan_pcp": 0, **UDP}
    for trunk in (11, 12):
        assert [delivered.port for delivered in world.carry(PortId(S1, trunk), frame)] == [HV3]
    world.advance(3)
    assert not world.carry(PortId(S1, 11), frame)


def test_a_broadcast_reaches_those_whose_type_permits_all_of_its_class() -> None:
    world = world_of(S1, S2)
    web, mdns, anything = Vm(1, type=WEB), Vm(2, type=MDNS), Vm(3)
    for port, vm in ((HV1, web), (HV2, mdns), (HV3, anything)):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    everyone = {(HV1, web.mac), (HV2, mdns.mac), (HV3, anything.mac), (NMS, BROADCAST)}
    assert reached(world, CLIENT, CLIENT_MAC, BROADCAST, **ARP) == everyone
    group = 0x01005E0000FB
    heard = {(HV2, mdns.mac), (HV3, anything.mac), (NMS, group)}
    assert reached(world, CLIENT, CLIENT_MAC, group, **UDP, ipv4_src=1, udp_dst=5353) == heard
    tcp = {"eth_type": 0x0800, "ip_proto": 6, "ipv4_src": 1, "ipv4_dst": 2, "tcp_src": 1, "tcp_dst": 80}
    assert reached(world, CLIENT, CLIENT_MAC, group, **tcp) == {(HV3, anything.mac), (NMS, group)}
    assert reached(world, CLIENT, CLIENT_MAC, web.mac, **tcp) == {(HV1, web.mac)}
    assert not reached(world, CLIENT, CLIENT_MAC, web.mac, **(tcp | {"tcp_dst": 81}))


def test_a_vlan_is_untagged_where_it_is_native_and_tagged_elsewhere() -> None:
    world, tagged = world_of(S1, vlans=(200,)), Vm(1, vid=200)
    world.ask(HV1, tagged, VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(2, vid=200), VdpMode.ASSOCIATE)
    about = {**ARP, "arp_sha": tagged.mac, "arp_spa": int(tagged.address)}
    frame = {"eth_src": tagged.mac, "eth_dst": BROADCAST, "vlan_vid": VLAN_PRESENT | 200, "vlan_pcp": 5, **about}
    (copy,) = world.carry(HV1, frame)
    assert (copy.port, copy.fields["vlan_vid"], copy.fields["vlan_pcp"]) == (HV3, VLAN_PRESENT | 200, 5)
    back = {**frame, "eth_src": Vm(2).mac, "arp_sha": Vm(2).mac, "arp_spa": int(Vm(2).address)}
    (copy,) = world.carry(HV3, back)
    assert (copy.port, copy.fields["vlan_vid"], copy.fields["vlan_pcp"]) == (HV1, VLAN_PRESENT | 200, 5)


def test_a_tag_behind_the_one_of_the_vlan_ends_a_frame_before_all_else(world: World) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    for dpid, switch in world.fabric.switches.items():
        for table in (Table.STRIPPED, Table.FLOOD_STRIPPED):
            if switch.extended:
                continue
            rules = [rule for rule in world.rules(dpid).values() if rule.table == table]
            first, second = sorted(rules, key=lambda rule: -rule.priority)[:2]
            assert first.match == match(vlan_vid=ANY_TAGGED) and first.priority > second.priority
            assert not first.apply and first.goto is None


@pytest.mark.parametrize(("key", "need"), [(WALLED, "walled {} firewall"), (SLOW, "slow {} bandwidth")])
@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
def test_a_type_that_needs_extensions_is_refused_there_and_nowhere_else(
    mode: VdpMode, key: VsiTypeKey, need: str
) -> None:
    world, vm = world_of(S1), Vm(1, type=key)
    world.ask(HV1, vm, mode)
    assert world.answer(HV1).error is VdpError.INSUFFICIENT_RESOURCES
    reasons = [event.reason for event in world.happened if getattr(event, "reason", None)]
    needed = need.format("needs the extensions of Open vSwitch for") + ", and the profile of s1 is openflow13"
    assert needed in reasons
    assert not world.rules(S1, CookieKind.TYPE_BODY, CookieKind.VSI_BODY, CookieKind.GATE)
    world.ask(HV3, vm, mode)
    assert world.answer(HV3).success


def test_a_vsi_without_an_address_is_refused() -> None:
    world, vm = world_of(S1), Vm(1)
    info = FilterInfo.of(Vid(VLAN))
    tlv = ASSOCIATIONS[VdpMode.PREASSOCIATE_RR](RequestStatus(), *vm.type, vm.vsi_id, info)
    for port, accepted in ((HV1, False), (HV3, True)):
        world.advance(0.01)
        world.send(port, tlv)
        assert world.answer(port).success == accepted


def test_without_meters_no_rule_has_one() -> None:
    world = world_of(S1, metered=False)
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    assert not world.tables[S1].meters
    assert all(rule.meter is None for rule in world.tables[S1].rules.values())
    assert world.tables[S2].meters


def test_a_restarted_controller_finds_all_as_it_should_be(world: World) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    world.ask(HV3, Vm(2, type=WEB), VdpMode.PREASSOCIATE_RR)
    before, sent = world.snapshot(), len(world.applied)
    world.restart_controller()
    assert world.snapshot() == before
    assert not any(apply.change.add or apply.change.remove for apply in world.applied[sent:])


def test_a_group_that_nothing_needs_is_deleted_after_a_restart(world: World) -> None:
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    before = {dpid: dict(table.groups) for dpid, table in world.tables.items()}
    for dpid in plain_switches(world):
        world.tables[dpid].groups[FLOOD_GROUP | 9999] = Group(FLOOD_GROUP | 9999, GroupType.ALL, ())
    world.restart_controller()
    assert {dpid: dict(table.groups) for dpid, table in world.tables.items()} == before


def test_a_group_that_nothing_needs_any_more_when_a_switch_is_ready_is_deleted() -> None:
    world, vm = world_of(S1), Vm(1)
    before = dict(world.tables[S1].groups)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.disconnect(S1)
    world.hold.add(S1)
    world.connect(S1)
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    assert world.tables[S1].groups != before
    world.release()
    assert world.tables[S1].groups == before


def plain_switches(world: World) -> list[int]:
    return [dpid for dpid, switch in world.fabric.switches.items() if not switch.extended]


def test_it_lets_no_station_speak_for_a_proxy_of_another_switch() -> None:
    usual = two_switches()
    proxy = Interface(4, "proxy", Role.HOST, VLAN, macs=(CLIENT_MAC + 1,), appliance="tcp_proxy")
    second = replace(usual.switches[S2], interfaces={**usual.switches[S2].interfaces, 4: proxy})
    fabric = without_extensions(replace(usual, switches={S1: usual.switches[S1], S2: second}), S1)
    (rule,) = appliances(fabric, S1).add
    of_proxy = match(eth_src=CLIENT_MAC + 1, vlan_vid=VLAN_PRESENT | VLAN)
    assert (rule.table, rule.match, rule.apply, rule.goto) == (Table.INGRESS, of_proxy, (), None)


def test_only_a_switch_with_extensions_can_be_unwatched(world: World) -> None:
    for dpid, switch in world.fabric.switches.items():
        world.happened.clear()
        world.feed(SwitchUp(dpid, {}, watched=False))
        assert ("switch.unwatched" in [event.kind for event in world.happened]) == switch.extended


def test_a_group_address_is_flooded_through_it_to_a_receiver_elsewhere() -> None:
    world, vm = world_of(S1), Vm(1, type=LISTENER)
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success and not refusals(world.tables[S1])
    group = 0x01005E010001
    stream = {**UDP, "ipv4_src": 1, "ipv4_dst": 0xEF010001, "udp_dst": 9}
    assert (HV3, vm.mac) in reached(world, NMS, NMS_MAC, group, **stream)


def test_a_refused_flip_leaves_nothing_open() -> None:
    world, vm = world_of(S1, S2), Vm(1)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    assert not world.answer(HV3).success
    assert not reached(world, HV3, vm.mac, CLIENT_MAC, **udp(vm))


def test_no_reflective_relay_is_offered(world: World) -> None:
    for port, station in world.engine.stations.items():
        relay = ReflectiveRelay.AGREED if world.fabric.switches[port.dpid].extended else ReflectiveRelay.NEVER
        assert station.interface.reflective_relay is relay


def test_a_body_without_extensions_is_a_part_of_the_other() -> None:
    vsi_type = POLICY_FILES.types[WEB]
    plain = {rule.key for rule in body_of_type(vsi_type, 1, replace(world_of(S1).fabric.switches[S1]).profile)}
    assert plain < {rule.key for rule in body_of_type(vsi_type, 1)}
