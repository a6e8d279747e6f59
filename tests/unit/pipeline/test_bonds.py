"""Stations with several links: one port for everything but the link by which a frame leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.ports import BondDegraded, BondWhole, EvbLost
from ryu_apps.evb.events.switch import PortChanged, SwitchUp
from ryu_apps.evb.flow.actions import CONTROLLER, OutputGroup
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule, RuleKey
from ryu_apps.evb.pipeline.bonds import HEARD, controller_group
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import BondMode
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.reservation import ResourceKind, SwitchResource
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, Frame
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, NMS, NMS_MAC, S1, Vm, World, two_switches
from tests.worlds.rest import RestWorld, station_mac

#: The second link of hv1.
SECOND = PortId(S1, 21)
LINKS = pytest.mark.parametrize("link", [HV1, SECOND], ids=["first", "second"])
MODES = pytest.mark.parametrize("mode", list(BondMode))
A, B, C = Vm(1), Vm(2), Vm(3)
BROADCAST = 0xFFFFFFFFFFFF


def bonded(mode: BondMode = BondMode.ACTIVE_BACKUP) -> Fabric:
    """Two switches, hv1 with two links."""
    fabric = two_switches()
    ports = fabric.switches[S1].interfaces
    ports[1] = replace(ports[1], bond=(1, SECOND.port_no), bond_mode=mode)
    return fabric


def world_of(mode: BondMode = BondMode.ACTIVE_BACKUP) -> RestWorld:
    world = RestWorld(fabric=bonded(mode))
    world.connect()
    world.agree(HV1)
    return world


@pytest.fixture
def world() -> RestWorld:
    return world_of()


def datagram(source: int, target: int) -> dict[str, int]:
    addresses = {"ipv4_src": 0x0A006400 + (source & 0xFF), "ipv4_dst": 0}
    return {"eth_src": source, "eth_dst": target, "eth_type": 0x0800, "ip_proto": 17, **addresses}


def sent(world: World, port: PortId, source: int, target: int) -> list[tuple[PortId, int]]:
    """The edge ports by which an untagged datagram leaves, and its destination there."""
    return [(copy.port, copy.fields["eth_dst"]) for copy in world.carry(port, datagram(source, target))]


def from_client(world: World, vm: Vm) -> list[PortId]:
    """The edge ports by which a datagram to a VM leaves."""
    return [port for port, _ in sent(world, CLIENT, CLIENT_MAC, vm.mac)]


def link(world: World, port: PortId, up: bool) -> None:
    (world.cut.discard if up else world.cut.add)(port)
    world.feed(PortChanged(port, up, live=up))


def learnt(world: World) -> dict[RuleKey, object]:
    return {key: rule.apply for key, rule in world.rules(S1, CookieKind.BOND_LINK).items()}


def forget(world: World) -> None:
    """As 30 s without a frame of the station."""
    for key in learnt(world):
        del world.tables[S1].rules[key]


def by_group(world: World, group_id: int) -> list[int]:
    """The ports by which a frame of the controller leaves that is sent by a group."""
    table, first = world.tables[S1], match(in_port=CONTROLLER)
    rule = Rule(Table.ADMIT, 65535, first, 0, (OutputGroup(group_id),))
    frame = {"in_port": CONTROLLER, "eth_type": ETHERTYPE_ECP}
    return [copy.port for copy in passage(FlowTable({**table.rules, rule.key: rule}, table.groups), frame).emitted]


# --- one port ---
@MODES
@LINKS
def test_frames_by_either_link_are_those_of_the_vsi(mode: BondMode, link: PortId) -> None:
    world = world_of(mode)
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    assert sent(world, link, A.mac, CLIENT_MAC) == [(CLIENT, CLIENT_MAC)]
    assert sent(world, link, B.mac, CLIENT_MAC) == []
    assert sorted(sent(world, link, A.mac, BROADCAST)) == [(NMS, BROADCAST), (CLIENT, BROADCAST)]


@MODES
@LINKS
@pytest.mark.parametrize("request_mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR])
def test_a_staged_port_passes_nothing_by_either_link(mode: BondMode, link: PortId, request_mode: VdpMode) -> None:
    world = world_of(mode)
    world.ask(HV3, A, VdpMode.ASSOCIATE)
    world.ask(HV1, A, request_mode)
    for target in (BROADCAST, NMS_MAC, CLIENT_MAC):
        assert sent(world, link, A.mac, target) == []
    assert from_client(world, A) == [HV3]
    assert {port for port, _ in sent(world, CLIENT, CLIENT_MAC, BROADCAST)} == {HV3, NMS}
    assert learnt(world) == {}


@MODES
@LINKS
def test_a_frame_does_not_go_back_by_another_link_without_reflective_relay(mode: BondMode, link: PortId) -> None:
    world = world_of(mode)
    for vm in (A, B):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert sent(world, link, A.mac, B.mac) == []
    assert {port for port, _ in sent(world, link, A.mac, BROADCAST)} == {NMS, CLIENT}


@MODES
@LINKS
def test_with_reflective_relay_a_frame_goes_back_once(mode: BondMode, link: PortId) -> None:
    world = world_of(mode)
    world.agree(HV1, rrreq=True)
    for vm in (A, B):
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    sent(world, link, A.mac, CLIENT_MAC)
    back = [link] if mode is BondMode.ACTIVE_BACKUP else [HV1]
    assert [port for port, _ in sent(world, link, A.mac, B.mac)] == back
    assert [port for port, mac in sent(world, link, A.mac, BROADCAST) if mac == B.mac] == back


# --- the link by which frames leave ---
@LINKS
def test_frames_follow_the_station(world: RestWorld, link: PortId) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    sent(world, link, A.mac, CLIENT_MAC)
    assert from_client(world, A) == [link]
    assert [port for port, mac in sent(world, CLIENT, CLIENT_MAC, BROADCAST) if mac == A.mac] == [link]
    for rule in world.rules(S1, CookieKind.BOND_LINK).values():
        assert (rule.table, rule.hard_timeout) == (Table.BOND_LINK, HEARD)


def test_frames_leave_by_all_links_while_the_station_was_heard_by_none_or_by_several(world: RestWorld) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    assert from_client(world, A) == [HV1, SECOND]
    sent(world, HV1, A.mac, CLIENT_MAC)
    sent(world, SECOND, A.mac, CLIENT_MAC)
    assert from_client(world, A) == [HV1, SECOND]
    forget(world)
    sent(world, SECOND, A.mac, CLIENT_MAC)
    assert from_client(world, A) == [SECOND]


@MODES
def test_frames_leave_by_the_link_that_is_left(mode: BondMode) -> None:
    world = world_of(mode)
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    for failed, left in ((HV1, SECOND), (SECOND, HV1)):
        forget(world)
        sent(world, failed, A.mac, CLIENT_MAC)
        link(world, failed, up=False)
        assert from_client(world, A) == [left]
        link(world, failed, up=True)


@LINKS
def test_ecp_of_the_known_station_teaches_and_nothing_else_that_the_controller_gets(
    world: RestWorld, link: PortId
) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    reserved = {"eth_dst": 0x0180C2000000, "vlan_vid": 0}
    for source, ethertype in ((station_mac(HV1), ETHERTYPE_LLDP), (A.mac, ETHERTYPE_ECP)):
        world.carry(link, {**reserved, "eth_src": source, "eth_type": ethertype})
        assert learnt(world) == {}
    world.carry(link, {**reserved, "eth_src": station_mac(HV1), "eth_type": ETHERTYPE_ECP})
    assert from_client(world, A) == [link]


def test_frames_of_the_controller_leave_as_others_do(world: RestWorld) -> None:
    """ECP by the group of the bond, in which the frame finds the link in use; LLDP by each link."""
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    sent(world, SECOND, A.mac, CLIENT_MAC)
    frames = {Frame.decode(frame.data).ethertype: frame for frame in world.frames if frame.port == HV1}
    group = frames[ETHERTYPE_ECP].group
    assert group is not None and group == controller_group(world.fabric.switches[S1].interfaces[1])
    assert by_group(world, group) == [SECOND.port_no]
    lldp = [frame for frame in world.frames if Frame.decode(frame.data).ethertype == ETHERTYPE_LLDP]
    assert {frame.port for frame in lldp if frame.port.port_no in (1, 21) and frame.port.dpid == S1} == {HV1, SECOND}
    assert all(frame.group is None for frame in lldp)


def test_other_ports_send_as_ever(world: RestWorld) -> None:
    world.ask(HV2, A, VdpMode.ASSOCIATE)
    frames = [frame for frame in world.frames if frame.port == HV2]
    assert frames and all(frame.group is None for frame in frames)
    assert from_client(world, A) == [HV2]


# --- links ---
def test_the_agreement_lasts_as_long_as_a_link_is_up(world: RestWorld) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    station = world.engine.stations[HV1]
    link(world, HV1, up=False)
    link(world, HV1, up=True)
    link(world, SECOND, up=False)
    assert station.up and station.station == station_mac(HV1)
    assert not [event for event in world.happened if isinstance(event, EvbLost)]
    link(world, HV1, up=False)
    assert not station.up and station.station is None
    link(world, SECOND, up=True)
    assert station.up


def test_links_that_are_down_are_reported_and_shown(world: RestWorld) -> None:
    assert world.get("/evb/status")["switches"][0]["ports"][1]["bond"] is None
    link(world, SECOND, up=False)
    port = world.get("/evb/status")["switches"][0]["ports"][0]
    assert port["up"] and port["bond"] == {
        "mode": "active_backup",
        "links": [{"port_no": 1, "up": True}, {"port_no": 21, "up": False}],
    }
    shown = world.request("/metrics").text
    labels = 'dp_id="0x1",dp_name="s1",link="{}",port="1"'
    assert [f"evb_bond_link_up{{{labels.format(number)}}} {up}" in shown for number, up in ((1, "1.0"), (21, "0.0"))]
    link(world, HV1, up=False)
    assert world.get("/evb/status")["switches"][0]["ports"][0]["up"] is False
    assert world.get("/evb/stations")[0]["link"] == "down"
    for end in (HV1, SECOND):
        link(world, end, up=True)
    found = [event for event in world.happened if isinstance(event, BondDegraded | BondWhole)]
    down = [event.down for event in found if isinstance(event, BondDegraded)]
    assert down == [(SECOND,), (HV1, SECOND), (SECOND,)] and found[-1] == BondWhole(HV1)


def test_a_link_without_an_agreement_by_lacp_is_down() -> None:
    """Frames that come by it do not count; in the other mode the link is up without one."""
    world, other = world_of(BondMode.LACP), world_of()
    for end in (SECOND, HV1):
        for each in (world, other):
            each.feed(PortChanged(end, True, live=False))
    assert not [event for event in other.happened if isinstance(event, BondDegraded)]
    assert [event.down for event in world.happened if isinstance(event, BondDegraded)] == [(SECOND,), (HV1, SECOND)]
    world.advance(2.0)
    world.agree(HV1)
    assert not world.engine.stations[HV1].up
    world.feed(PortChanged(SECOND, True, live=True))
    assert world.engine.stations[HV1].up
    world.disconnect(S1)
    world.feed(SwitchUp(S1, {1: True, 2: True, 3: True, 11: True, 12: True, 21: True}, live=frozenset({2, 3, 11, 12})))
    assert not world.engine.stations[HV1].up


def test_a_switch_that_returns_shows_which_links_are_down(world: RestWorld) -> None:
    world.disconnect(S1)
    world.cut.add(SECOND)
    world.connect(S1)
    assert BondDegraded(HV1, (SECOND,)) in world.happened
    assert world.engine.stations[HV1].up


# --- what the switch learns is its own ---
def test_what_is_learnt_stays_through_audits_and_restarts(world: RestWorld) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    sent(world, SECOND, A.mac, CLIENT_MAC)
    before = learnt(world)
    world.applied.clear()
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    world.restart_controller()
    assert not any(apply.change.add or apply.change.remove for apply in world.applied)
    assert learnt(world) == before and from_client(world, A) == [SECOND]


def test_nothing_is_left_of_a_bond_that_is_not_configured_any_more(world: RestWorld) -> None:
    world.ask(HV1, A, VdpMode.ASSOCIATE)
    sent(world, SECOND, A.mac, CLIENT_MAC)
    world.fabric = two_switches()
    world.restart_controller()
    of_bonds = (Table.BOND, Table.BOND_LINK, Table.BOND_OUTPUT, Table.BOND_LEARN)
    assert not [rule for rule in world.tables[S1].rules.values() if rule.table in of_bonds]
    assert sent(world, SECOND, A.mac, CLIENT_MAC) == []
    assert sent(world, HV1, A.mac, CLIENT_MAC) == [(CLIENT, CLIENT_MAC)]


def test_rules_groups_and_learnt_rules_are_budgeted(world: RestWorld) -> None:
    wanted = world.engine.wanted.budgeted(S1)
    single = World().engine.wanted.budgeted(S1)
    more = {amount: count - single[amount] for amount, count in wanted.items() if count != single[amount]}
    tables = {Table.ADMIT: 2, Table.BOND: 2, Table.BOND_LINK: 2, Table.BOND_OUTPUT: 3, Table.BOND_LEARN: 2}
    assert {SwitchResource(ResourceKind.TABLE, table): count for table, count in tables.items()}.items() <= more.items()
    assert more[SwitchResource(ResourceKind.GROUPS)] == 2
