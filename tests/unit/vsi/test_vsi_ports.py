"""VMs at the switch of their own server: the station speaks at one port, each VM is behind another, known by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.actions import CONTROLLER
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.evb.vsi.absent_ports import PATIENCE
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, MacVid, Vid
from ryu_apps.evb.wire.vdp import ManagerId, ResponseStatus, VdpError, VdpMode, VdpPdu
from tests.worlds.bridge import NMS_MAC, VLAN, Vm
from tests.worlds.vswitch import (
    HV,
    NMS,
    RACK,
    SERVER1,
    SERVER2,
    STATION1,
    STATION2,
    ServerWorld,
    server_fabric,
    tap_of,
)

A, P, RR, D = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.DEASSOCIATE
VM, OTHER = Vm(7), Vm(8)
TAP, OTHER_TAP, NEW_TAP = PortId(SERVER1, 7), PortId(SERVER1, 8), PortId(SERVER1, 9)
FAR_TAP = PortId(SERVER2, 5)
BROADCAST = 0xFFFFFFFFFFFF


@pytest.fixture
def world() -> ServerWorld:
    world = ServerWorld()
    world.connect()
    return world


def live_at(world: ServerWorld, station: PortId, place: PortId, vm: Vm) -> None:
    """A VM is associated at a tap."""
    world.plug(place, tap_of(vm))
    world.ask(station, vm, A)
    assert world.answer(station).success


def places(world: ServerWorld, place: PortId, source: int, destination: int) -> set[PortId]:
    return {found.port for found in world.reached(place, source, destination)}


def status(world: ServerWorld, station: PortId) -> ResponseStatus:
    return world.answer(station)


def kinds(world: ServerWorld, *wanted: str) -> list[str]:
    return [event.kind for event in world.happened if event.kind in wanted]


def refusal(world: ServerWorld) -> str:
    return str([event.detail["reason"] for event in world.happened if event.kind == "vdp.refused"][-1])


# --- the gate is at the VM's port ---
def test_the_gate_is_at_the_tap_and_not_at_the_port_of_the_station(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    assert places(world, TAP, VM.mac, NMS_MAC) == {NMS}
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    assert places(world, STATION1, VM.mac, NMS_MAC) == set()


def test_vms_of_one_server_reach_each_other_through_both_gates_and_never_hear_themselves(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    world.plug(OTHER_TAP, tap_of(OTHER))
    assert places(world, TAP, VM.mac, OTHER.mac) == set()
    world.ask(STATION1, OTHER, A)
    assert places(world, TAP, VM.mac, OTHER.mac) == {OTHER_TAP}
    assert places(world, OTHER_TAP, OTHER.mac, VM.mac) == {TAP}
    assert places(world, TAP, VM.mac, BROADCAST) == {OTHER_TAP, NMS}


def test_another_address_does_not_pass_a_tap_nor_a_vms_address_another_tap(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    assert places(world, TAP, OTHER.mac, NMS_MAC) == set()
    assert places(world, OTHER_TAP, VM.mac, NMS_MAC) == set()


def test_a_tap_without_a_vsi_passes_nothing(world: ServerWorld) -> None:
    world.plug(TAP, tap_of(VM))
    assert places(world, TAP, VM.mac, NMS_MAC) == places(world, TAP, VM.mac, BROADCAST) == set()
    assert places(world, NMS, NMS_MAC, BROADCAST) == set()


def test_a_port_whose_name_is_no_vsi_port_is_not_touched(world: ServerWorld) -> None:
    before = world.snapshot()
    world.plug(TAP, "eth7")
    assert world.snapshot() == before


# --- staged before the tap is there ---
def test_a_vsi_is_staged_before_its_tap_exists_and_passes_nothing(world: ServerWorld) -> None:
    world.ask(STATION1, VM, RR)
    assert status(world, STATION1).success
    assert world.rules(SERVER1, CookieKind.VSI_BODY)
    world.plug(TAP, tap_of(VM))
    assert not world.rules(SERVER1, CookieKind.GATE) and not world.rules(RACK, CookieKind.GATE)
    assert places(world, TAP, VM.mac, NMS_MAC) == places(world, NMS, NMS_MAC, VM.mac) == set()
    world.ask(STATION1, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


def test_an_associate_waits_a_little_for_the_tap(world: ServerWorld) -> None:
    world.ask(STATION1, VM, RR)
    answers = len(world.ask(STATION1, VM, A))
    world.advance(0.5)
    assert len(world.sent[STATION1]) == answers, "answered before the port is there"
    world.plug(TAP, tap_of(VM))
    assert status(world, STATION1).success
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


def test_an_associate_without_a_tap_is_refused_with_an_alarm_and_the_next_one_succeeds(world: ServerWorld) -> None:
    world.ask(STATION1, VM, RR)
    world.ask(STATION1, VM, A)
    world.advance(PATIENCE)
    assert status(world, STATION1).error is VdpError.INSUFFICIENT_RESOURCES
    assert refusal(world) == f"VSI port {tap_of(VM)} is not there"
    assert kinds(world, "vsi.port_missing") == ["vsi.port_missing"]
    assert not world.rules(SERVER1, CookieKind.GATE)
    live_at(world, STATION1, TAP, VM)


def test_a_tap_that_vanishes_while_its_vsi_is_staged_for_an_associate_leads_to_a_refusal(world: ServerWorld) -> None:
    world.plug(TAP, tap_of(VM))
    world.hold.add(SERVER1)
    world.ask(STATION1, VM, A)
    world.unplug(TAP)
    world.release()
    assert not status(world, STATION1).success
    assert not world.rules(SERVER1, CookieKind.GATE)


# --- other numbers ---
def test_a_tap_that_returns_under_another_number_has_its_gate_there(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    world.unplug(TAP)
    assert places(world, NMS, NMS_MAC, VM.mac) == set()
    world.plug(TAP, "tapstranger")
    assert places(world, TAP, VM.mac, NMS_MAC) == set(), "the number is that of another VM now"
    world.plug(NEW_TAP, tap_of(VM))
    assert places(world, NEW_TAP, VM.mac, NMS_MAC) == {NMS}
    assert places(world, NMS, NMS_MAC, VM.mac) == {NEW_TAP}
    assert places(world, NMS, NMS_MAC, BROADCAST) == {NEW_TAP, OTHER_TAP}
    assert kinds(world, "vsi.port_gone", "vsi.port_found") == ["vsi.port_gone", "vsi.port_found"]


def test_nothing_is_left_of_a_tap_that_is_gone(world: ServerWorld) -> None:
    table = world.tables[SERVER1]
    before = dict(table.rules), dict(table.groups), dict(table.meters)
    world.plug(TAP, tap_of(VM))
    assert dict(table.groups) != before[1] and dict(table.meters) != before[2]
    world.unplug(TAP)
    assert (dict(table.rules), dict(table.groups), dict(table.meters)) == before


def test_a_tap_that_is_renamed_is_another_tap(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    world.plug(TAP, tap_of(OTHER))
    assert places(world, TAP, VM.mac, NMS_MAC) == set()
    world.ask(STATION1, OTHER, A)
    assert places(world, NMS, NMS_MAC, OTHER.mac) == {TAP}


def test_a_tap_with_the_number_of_an_uplink_is_no_vsi_port(world: ServerWorld) -> None:
    world.taps[PortId(SERVER1, 1)] = tap_of(VM)
    world.connect(SERVER1)
    world.ask(STATION1, VM, RR)
    world.ask(STATION1, VM, A)
    world.advance(PATIENCE)
    assert not status(world, STATION1).success


# --- restarts ---
def test_a_restart_of_the_controller_changes_no_rule_while_the_tap_is_there(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    before = world.snapshot()
    world.applied.clear()
    world.restart_controller()
    assert world.snapshot() == before
    assert kinds(world, "vsi.port_found", "vsi.port_gone") == []
    assert [apply for apply in world.applied if apply.change.add or apply.change.remove] == []


def test_other_switches_keep_a_gate_after_a_restart_until_the_server_has_connected(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    before = world.rules(RACK, CookieKind.GATE)
    assert before
    world.engine = world._new_engine(dict(world.store))
    world.connect(RACK)
    assert world.rules(RACK, CookieKind.GATE) == before


def test_after_a_restart_a_tap_under_another_number_has_its_gate_there(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    del world.taps[TAP]
    world.taps[NEW_TAP] = tap_of(VM)
    world.restart_controller()
    assert places(world, NMS, NMS_MAC, VM.mac) == {NEW_TAP}
    assert places(world, TAP, VM.mac, NMS_MAC) == set()


def test_after_a_restart_without_the_tap_no_gate_leads_to_its_number(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    del world.taps[TAP]
    world.restart_controller()
    assert not world.rules(SERVER1, CookieKind.GATE) and not world.rules(RACK, CookieKind.GATE)
    world.plug(TAP, tap_of(VM))
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


def test_a_bridge_that_has_lost_its_records_keeps_the_gate_at_the_tap(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    world.restart_controller(remembering=False)
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    world.ask(STATION1, VM, A)
    assert status(world, STATION1).success
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


# --- moves ---
def test_a_vsi_moves_from_one_server_to_the_other_and_back(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    world.ask(STATION2, VM, RR)
    world.plug(FAR_TAP, tap_of(VM))
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    assert places(world, FAR_TAP, VM.mac, NMS_MAC) == set()
    world.ask(STATION2, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {FAR_TAP}
    assert places(world, TAP, VM.mac, NMS_MAC) == set()
    world.unplug(TAP)
    world.ask(STATION1, VM, RR)
    world.plug(NEW_TAP, tap_of(VM))
    world.ask(STATION1, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {NEW_TAP}


def test_a_vsi_moves_from_the_uplink_of_a_vepa_to_a_tap_and_back(world: ServerWorld) -> None:
    world.ask(HV, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {HV}
    world.ask(STATION1, VM, RR)
    world.plug(TAP, tap_of(VM))
    world.ask(STATION1, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    world.ask(HV, VM, RR)
    world.ask(HV, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {HV}


def test_a_refused_move_leaves_the_gate_where_it_was(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    world.ask(STATION2, VM, RR)
    world.ask(STATION2, VM, A)
    while len(world.sent[STATION2]) < 2:
        world.advance(0.5)
        world.ask(STATION1, VM, A)
    assert not status(world, STATION2).success
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


# --- which port ---
def test_a_port_that_another_vsi_has_is_refused() -> None:
    world = ServerWorld(server_fabric("tap{vsi:4}"))
    world.connect()
    live = Vm(7)
    world.plug(TAP, f"tap{live.text[:4]}")
    world.ask(STATION1, live, A)
    world.ask(STATION1, OTHER, RR)
    assert not status(world, STATION1).success
    assert refusal(world) == f"VSI port tap{live.text[:4]} belongs to {live.text}"
    world.ask(STATION1, live, D)
    world.ask(STATION1, OTHER, A)
    assert places(world, NMS, NMS_MAC, OTHER.mac) == {TAP}


def test_the_station_may_name_the_port_and_another_name_moves_the_gate(world: ServerWorld) -> None:
    world.plug(TAP, "tapnamed")
    world.send(STATION1, VM.tlv(A), VM.address, port_name="tapnamed")
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    world.advance(0.01)
    world.ask(STATION1, VM, A)
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}, "a keep-alive may leave it out"
    world.plug(OTHER_TAP, "tapanother")
    world.advance(0.01)
    world.send(STATION1, VM.tlv(A), VM.address, port_name="tapanother")
    assert places(world, NMS, NMS_MAC, VM.mac) == {OTHER_TAP}
    assert places(world, TAP, VM.mac, NMS_MAC) == set()


@pytest.mark.parametrize("name", ["eth0", "uplink"])
def test_the_station_cannot_name_a_port_that_is_no_vsi_port(world: ServerWorld, name: str) -> None:
    world.plug(TAP, name)
    world.send(STATION1, VM.tlv(A), VM.address, port_name=name)
    assert refusal(world) == f"{name} is no VSI port of vs1"


def test_the_name_that_a_station_has_given_outlives_the_controller(world: ServerWorld) -> None:
    world.plug(TAP, "tapnamed")
    world.send(STATION1, VM.tlv(A), VM.address, port_name="tapnamed")
    before = world.snapshot()
    world.restart_controller()
    world.ask(STATION1, VM, A)
    assert world.snapshot() == before


# --- a name that comes later ---
def ask_named(world: ServerWorld, vm: Vm, mode: VdpMode, name: str, *entries: FilterEntry) -> bool:
    """Send a request with the name of a port, after the answer to the one before; True if it is granted."""
    world.advance(0.01)
    tlv = vm.tlv(mode)
    if entries:
        tlv = replace(tlv, filter_info=FilterInfo.of(*entries))
    world.send(STATION1, tlv, vm.address, port_name=name)
    return status(world, STATION1).success


def bodies(world: ServerWorld) -> list[Rule]:
    return sorted(world.rules(SERVER1, CookieKind.VSI_BODY), key=str)


def test_a_vsi_is_staged_before_its_port_has_a_name_and_its_body_stays() -> None:
    # By the rule, the VSI would be at no VSI port.
    world = ServerWorld(server_fabric("eth{vsi:4}"))
    world.connect()
    assert ask_named(world, VM, RR, "")
    assert world.get(f"/evb/vsis/{VM.text}")["attachments"][0]["vsi_port"] == {"name": None, "port_no": None}
    staged = bodies(world)
    assert staged and not world.rules(SERVER1, CookieKind.GATE)
    world.plug(TAP, "tapnamed")
    world.applied.clear()
    assert ask_named(world, VM, A, "tapnamed")
    assert places(world, TAP, VM.mac, NMS_MAC) == {NMS} and places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    assert bodies(world) == staged
    assert kinds(world, "flow.staged") == ["flow.staged"], "the body is staged once"


def test_an_associate_without_a_name_is_refused_and_opens_nothing(world: ServerWorld) -> None:
    world.plug(TAP, tap_of(VM))
    assert ask_named(world, VM, RR, "")
    assert not ask_named(world, VM, A, "")
    assert refusal(world) == "the station has not named the VSI port"
    assert not world.rules(SERVER1, CookieKind.GATE)
    assert ask_named(world, VM, A, tap_of(VM))


def test_a_keep_alive_without_the_name_takes_it_not_back(world: ServerWorld) -> None:
    world.plug(TAP, "tapnamed")
    assert ask_named(world, VM, A, "tapnamed")
    before = world.snapshot()
    assert ask_named(world, VM, A, "")
    assert world.snapshot() == before


def test_two_vsis_whose_ports_are_not_named_yet_do_not_exclude_each_other(world: ServerWorld) -> None:
    for vm in (VM, OTHER):
        assert ask_named(world, vm, RR, "", Vid(VLAN))
    for vm, name in ((VM, "tapone"), (OTHER, "taptwo")):
        assert ask_named(world, vm, RR, name, Vid(VLAN))
    assert not ask_named(world, OTHER, RR, "tapone", Vid(VLAN)), "but one name is for one of them"


def test_a_vsi_without_the_name_of_its_port_outlives_the_controller(world: ServerWorld) -> None:
    assert ask_named(world, VM, RR, "")
    before = world.snapshot()
    world.restart_controller()
    assert world.snapshot() == before
    world.plug(TAP, "tapnamed")
    assert ask_named(world, VM, A, "tapnamed")
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}


@pytest.mark.parametrize(("vid", "granted"), [(0, False), (VLAN, True), (200, True), (300, False)])
def test_until_the_port_has_a_name_a_vsi_may_have_the_vlans_of_any(vid: int, granted: bool) -> None:
    fabric = server_fabric()
    patterns = (VsiPortPattern("tap*", VLAN), VsiPortPattern("blue*", 200))
    server = replace(fabric.switches[SERVER1], vsi_ports=patterns)
    world = ServerWorld(replace(fabric, switches={**fabric.switches, SERVER1: server}))
    world.connect()
    wanted = MacVid(vid, VM.mac)
    assert ask_named(world, VM, RR, "", wanted) is granted
    if granted:
        names = {VLAN: "tapnamed", 200: "bluenamed"}
        for place, name in ((TAP, "tapnamed"), (OTHER_TAP, "bluenamed")):
            world.plug(place, name)
        assert not ask_named(world, VM, A, next(name for of, name in names.items() if of != vid), wanted)
        assert ask_named(world, VM, A, names[vid], wanted)


# --- a guest cannot speak for the station ---
def test_vdp_from_a_vm_is_counted_and_leads_to_nothing(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    before, sent = world.snapshot(), len(world.frames)
    pdu = VdpPdu(ManagerId(), (OTHER.tlv(A),)).encode()
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, VM.mac, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, 1, pdu).encode())
    for _ in range(3):
        world.feed(FrameReceived(TAP, frame.encode()))
    assert world.engine.foreign_frames[SERVER1, tap_of(VM)] == 3
    assert world.snapshot() == before and len(world.frames) == sent
    assert kinds(world, "evb.impostor") == ["evb.impostor"]
    (server,) = [found for found in world.get("/evb/status")["switches"] if found["name"] == "vs1"]
    assert server["vsi_ports"] == [{"name": tap_of(VM), "port_no": 7, "up": False, "dropped": 3}]
    assert {port["role"] for port in server["ports"]} == {"trunk", "local_station"}


def test_rest_shows_where_the_gate_of_a_vsi_is(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)

    def shown() -> object:
        return world.get(f"/evb/vsis/{VM.text}")["attachments"][0]["vsi_port"]

    assert shown() == {"name": tap_of(VM), "port_no": 7}
    world.unplug(TAP)
    assert shown() == {"name": tap_of(VM), "port_no": None}
    assert [alarm["kind"] for alarm in world.get("/evb/status")["alarms"]] == ["vsi.port_gone"]
    world.plug(NEW_TAP, tap_of(VM))
    assert shown() == {"name": tap_of(VM), "port_no": 9}
    assert world.get("/evb/status")["alarms"] == []


@pytest.mark.parametrize("ethertype", [0x88CC, 0x8940, 0x88B7])
def test_frames_of_station_protocols_leave_a_tap_only_for_the_controller(world: ServerWorld, ethertype: int) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    fields = {"in_port": TAP.port_no, "eth_src": VM.mac, "eth_dst": NEAREST_CUSTOMER_BRIDGE, "vlan_vid": 0}
    emitted, _ = passage(world.tables[SERVER1], {**fields, "eth_type": ethertype}, [TAP.port_no])
    assert [arrival.port for arrival in emitted] == [CONTROLLER]
    for destination in (NEAREST_CUSTOMER_BRIDGE, 0x0180C200000E, 0x0180C2000003):
        assert world.reached(TAP, VM.mac, destination, eth_type=ethertype) == []


def test_the_budget_of_a_switch_has_room_for_the_rules_of_the_port() -> None:
    world = ServerWorld()
    world.connect()
    before, table = len(world.rules(SERVER1)), world.tables[SERVER1]
    groups, meters = len(table.groups), len(table.meters)
    live_at(world, STATION1, TAP, VM)
    assert world.engine.ledger.used(SERVER1) >= len(world.rules(SERVER1)) - before
    promised = next(found for found in world.queries.reservations(SERVER1) if found.owner[0] == "vsi")
    assert (promised.groups, promised.meters) == (len(table.groups) - groups, len(table.meters) - meters)


def test_an_associate_that_waits_for_its_tap_does_not_win_over_a_newer_one(world: ServerWorld) -> None:
    world.ask(STATION1, VM, RR)
    world.ask(STATION1, VM, A)
    world.ask(HV, VM, RR)
    world.hold.add(RACK)
    world.ask(HV, VM, A)
    world.plug(TAP, tap_of(VM))
    world.release()
    assert places(world, NMS, NMS_MAC, VM.mac) == {HV}
    assert places(world, TAP, VM.mac, NMS_MAC) == set()


def test_nothing_is_kept_of_an_associate_that_is_given_up_while_it_waits_for_its_tap(world: ServerWorld) -> None:
    world.ask(STATION1, VM, A)
    world.ask(STATION1, VM, D)
    world.advance(PATIENCE)
    assert not world.engine.associations._decisions.absent_ports._attempts
    world.plug(TAP, tap_of(VM))
    assert not world.rules(SERVER1, CookieKind.GATE)
