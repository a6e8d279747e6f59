"""Treatment of stations: null VIDs, notices of moves, and refusals that a hypervisor ignores."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import Missed
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.policy.model import PolicySet, VsiType
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import NEVER, StationKind
from ryu_apps.evb.wire.filter_info import MacVid
from ryu_apps.evb.wire.vdp import Association, ManagerId, ResponseStatus, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, OPEN, S1, S2, VLAN, Vm, World, open_type, two_switches

A, P, RR, D = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.DEASSOCIATE
#: A VM whose station leaves the VID to the bridge, as libvirt does.
VM = Vm(7, vid=0)
#: libvirt's manager ID 11 as lldpad sends it.
OF_LIBVIRT = ManagerId(b"\x0b" + bytes(15))


def world_of(fabric: Fabric, vsi_type: VsiType | None = None, manager_id: ManagerId = OF_LIBVIRT) -> World:
    policies = PolicySet({OPEN: vsi_type or open_type(OPEN)})
    world = World(fabric=fabric, policies=policies, manager_id=manager_id)
    world.connect()
    return world


def with_stations(**changes: object) -> Fabric:
    """The two switches, whose station ports have other values."""
    fabric = two_switches()
    for switch in fabric.switches.values():
        for number, interface in switch.interfaces.items():
            if interface.role is Role.STATION:
                switch.interfaces[number] = replace(interface, **changes)
    return fabric


def answered_vid(world: World, port: PortId) -> int:
    (entry,) = world.sent[port][-1].filter_info.entries
    assert isinstance(entry, MacVid)
    return entry.vid


def said(world: World, port: PortId) -> Association | None:
    """Return what the bridge has sent last, and forget it."""
    return world.sent[port].pop() if world.sent.get(port) else None


# --- null VIDs ---
@pytest.mark.parametrize(
    ("changes", "manager_id", "of_type", "vid"),
    [
        ({}, OF_LIBVIRT, None, VLAN),
        ({"keep_null_vids": True}, OF_LIBVIRT, None, 0),
        ({"station": StationKind.LIBVIRT}, OF_LIBVIRT, None, 0),
        ({"station": StationKind.LIBVIRT, "keep_null_vids": False}, OF_LIBVIRT, None, VLAN),
        ({"station": StationKind.AUTO}, OF_LIBVIRT, None, 0),
        ({"station": StationKind.AUTO}, ManagerId(b"mgr1" + bytes(12)), None, VLAN),
        ({}, OF_LIBVIRT, True, 0),
        ({"station": StationKind.LIBVIRT}, OF_LIBVIRT, False, VLAN),
    ],
)
def test_null_vids_are_answered_as_type_or_port_or_kind_of_station_has_it(
    changes: dict[str, object], manager_id: ManagerId, of_type: bool | None, vid: int
) -> None:
    world = world_of(with_stations(**changes), replace(open_type(OPEN), keep_null_vids=of_type), manager_id)
    for mode in (P, A, A):
        world.ask(HV1, VM, mode)
        assert world.answer(HV1).success and answered_vid(world, HV1) == vid
    world.restart_controller()
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and answered_vid(world, HV1) == vid
    assert gate_ports(world) == {HV1}
    world.ask(HV1, VM, D)
    assert world.answer(HV1).success and not world.rules(S1, CookieKind.GATE)


# --- notices ---
def moved(fabric: Fabric, vsi_type: VsiType | None = None) -> World:
    """A world in which a VM has just moved from HV1 to HV3."""
    world = world_of(fabric, vsi_type)
    world.ask(HV1, VM, A)
    world.ask(HV3, VM, P)
    world.sent.clear()
    world.ask(HV3, VM, A)
    assert world.answer(HV3).success and gate_ports(world) == {HV3}
    return world


def live(world: World, seconds: float) -> None:
    """Time passes, and both stations keep the VSI alive."""
    for _ in range(int(seconds)):
        world.advance(1.0)
        for port in (HV1, HV3):
            world.ask(port, VM, A)


def test_by_default_the_station_that_a_vsi_has_left_is_notified_at_once() -> None:
    world = moved(two_switches())
    sent = said(world, HV1)
    assert sent is not None and sent.MODE is D


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("of_type", [False, True])
def test_a_notice_that_is_configured_for_later_is_sent_then_and_no_keep_alive_is_answered_by_one(
    of_type: bool, restarts: bool
) -> None:
    if of_type:
        world = moved(two_switches(), replace(open_type(OPEN), notify_displaced=10.0))
    else:
        world = moved(with_stations(notify_displaced=10.0))
    if restarts:
        world.restart_controller()
    live(world, 8.0)
    answers = world.sent.pop(HV1)
    assert {answer.MODE for answer in answers} == {A} and gate_ports(world) == {HV3}
    assert all(isinstance(answer.status, ResponseStatus) and answer.status.success for answer in answers)
    live(world, 5.0)
    assert D in {answer.MODE for answer in world.sent[HV1]} and gate_ports(world) == {HV3}
    assert world.answer(HV3).success


def test_a_station_that_ends_its_association_in_time_is_not_notified() -> None:
    world = moved(with_stations(notify_displaced=10.0))
    world.ask(HV1, VM, D)
    world.advance(1.0)
    assert world.answer(HV1).success
    world.sent.clear()
    world.ask(HV3, VM, A)
    world.advance(1.0)
    for _ in range(15):
        world.advance(1.0)
        world.ask(HV3, VM, A)
    assert HV1 not in world.sent and gate_ports(world) == {HV3}


def test_a_station_that_is_never_notified_ends_its_association_itself() -> None:
    world = moved(with_stations(notify_displaced=NEVER))
    live(world, 60.0)
    assert {answer.MODE for answer in world.sent[HV1]} == {A} and gate_ports(world) == {HV3}
    world.ask(HV1, VM, D)
    world.advance(1.0)
    assert world.answer(HV1).success and gate_ports(world) == {HV3}


def test_a_station_that_is_notified_late_is_answered_late_when_it_ends_its_association() -> None:
    """lldpad would pass the answer on to libvirtd, which asks for the VSI anew until it has removed the interface."""
    world = moved(with_stations(notify_displaced=10.0))
    world.ask(HV1, VM, D)
    world.advance(0.09)
    assert HV1 not in world.sent
    world.advance(0.02)
    (answer,) = world.sent.pop(HV1)
    assert answer.MODE is D and isinstance(answer.status, ResponseStatus) and answer.status.success
    world.advance(1.0)
    assert HV1 not in world.sent and gate_ports(world) == {HV3}


@pytest.mark.parametrize("mode", [P, D])
def test_a_request_after_an_association_has_ended_is_answered_after_it(mode: VdpMode) -> None:
    world = moved(with_stations(notify_displaced=10.0))
    world.ask(HV1, VM, D)
    world.ask(HV1, VM, mode)
    assert world.sent[HV1][0].MODE is D, "without a wait"
    world.advance(1.0)
    assert [answer.MODE for answer in world.sent[HV1]] == [D, mode]


@pytest.mark.parametrize("active", [False, True])
def test_an_association_that_has_not_moved_is_ended_at_once(active: bool) -> None:
    world = world_of(with_stations(notify_displaced=10.0))
    if active:
        world.ask(HV1, VM, A)
        world.sent.clear()
    world.ask(HV1, VM, D)
    assert [answer.MODE for answer in world.sent[HV1]] == [D]


def test_a_station_that_is_notified_at_once_is_answered_at_once_when_it_ends_its_association() -> None:
    world = moved(two_switches())
    world.advance(1.0)
    world.sent.clear()
    world.ask(HV1, VM, D)
    assert [answer.MODE for answer in world.sent[HV1]] == [D]


def test_time_in_which_the_controller_stood_still_postpones_a_notice() -> None:
    world = moved(with_stations(notify_displaced=10.0))
    live(world, 8.0)
    world.feed(Missed(5.0))
    live(world, 4.0)
    assert D not in {answer.MODE for answer in world.sent[HV1]}
    live(world, 3.0)
    assert D in {answer.MODE for answer in world.sent[HV1]}


def test_the_way_back_within_the_time_of_a_notice_is_a_move_like_any_other() -> None:
    world = moved(with_stations(notify_displaced=10.0))
    world.ask(HV1, VM, P)
    world.ask(HV1, VM, A)
    assert world.answer(HV1).success and gate_ports(world) == {HV1}
    live(world, 15.0)
    assert gate_ports(world) == {HV1} and world.answer(HV1).success


def test_a_withheld_notice_grants_nothing_when_the_vsi_has_ended_at_its_destination() -> None:
    world = moved(with_stations(notify_displaced=10.0))
    world.ask(HV3, VM, D)
    world.ask(HV1, VM, A)
    assert world.sent[HV1][-1].MODE is D and not gate_ports(world)


# --- refusals ---
@pytest.mark.parametrize(
    ("kind", "announces", "raised"),
    [(StationKind.LIBVIRT, True, True), (StationKind.LIBVIRT, False, False), (StationKind.EVB, True, False)],
)
def test_a_refused_associate_is_an_alarm_where_the_hypervisor_ignores_it(
    kind: StationKind, announces: bool, raised: bool
) -> None:
    world = world_of(with_stations(station=kind))
    if announces:
        world.ask(HV3, VM, P)
    world.refuse[S2, Mode.ATOMIC] = "table full"
    world.ask(HV3, VM, A)
    assert not world.answer(HV3).success
    assert [event.kind for event in world.happened].count("vdp.refusal_ignored") == raised


# --- the preset ---
def test_the_preset_of_libvirt_stages_at_a_plain_preassociate_and_refuses_there_for_want_of_room() -> None:
    fabric = with_stations(station=StationKind.LIBVIRT)
    world = world_of(fabric)
    world.ask(HV1, VM, P)
    assert world.answer(HV1).success and world.rules(S1, CookieKind.VSI_BODY)
    used = len(world.rules(S1))
    tight = {dpid: replace(switch, max_rules=used - 1) for dpid, switch in fabric.switches.items()}
    world = world_of(replace(fabric, switches=tight))
    world.ask(HV1, VM, P)
    assert not world.answer(HV1).success


def test_an_interface_inherits_what_it_does_not_say_from_the_kind_of_its_station() -> None:
    of_libvirt = Interface(1, "hv1", Role.STATION, station=StationKind.LIBVIRT, notify_displaced=NEVER)
    treatment = of_libvirt.treatment(False)
    assert treatment.keep_null_vids and treatment.stage_on_preassociate and treatment.notify_displaced == NEVER
    plain = Interface(1, "hv1", Role.STATION, station=StationKind.AUTO).treatment(False)
    assert not plain.keep_null_vids and not plain.ignores_refusals and plain.notify_displaced == 0.0
