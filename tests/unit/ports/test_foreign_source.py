"""Only the station itself speaks EVB at its port."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.flow.actions import CONTROLLER
from ryu_apps.evb.ports.bridge_port import MAX_FRAME, MAX_TTL
from ryu_apps.evb.protocol.station_address import CHANNEL_PATIENCE, LINK_PATIENCE
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.cisco import L3Address
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import (
    ETHERTYPE_DRAFT_ECP,
    ETHERTYPE_ECP,
    ETHERTYPE_LLDP,
    NEAREST_CUSTOMER_BRIDGE,
    Frame,
)
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.vdp import VdpError, VdpMode, VdpPdu
from tests.worlds.bridge import HV1, HV2, S1, VLAN, Vm
from tests.worlds.rest import RestWorld, station_mac

VM, VICTIM = Vm(7), Vm(8)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def deassociate_from(world: RestWorld, source: int) -> None:
    pdu = VdpPdu(world.manager_id, (VM.tlv(VdpMode.DEASSOCIATE),))
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 999, pdu.encode())
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, ecpdu.encode())
    world.feed(FrameReceived(HV1, frame.encode()))


def is_sent_ahead(world: RestWorld, source: int) -> bool:
    """Return True if changes are sent ahead of the steps for an Associate of a VM that is staged at hv2."""
    world.ask(HV2, VICTIM, VdpMode.PREASSOCIATE_RR)
    world.advance(0.05)
    pdu = VdpPdu(world.manager_id, (VICTIM.tlv(VdpMode.ASSOCIATE), L3Address(VICTIM.vsi_id, VICTIM.address).encode()))
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 999, pdu.encode())
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, ecpdu.encode())
    return bool(world.engine.ahead(FrameReceived(HV2, frame.encode()), world.now))


@pytest.mark.parametrize(
    ("source", "ahead"), [(station_mac(HV2), True), (VICTIM.mac, False), (station_mac(HV1), False)]
)
def test_nothing_is_sent_ahead_of_a_request_that_is_not_the_stations(
    world: RestWorld, source: int, ahead: bool
) -> None:
    announce_from(world, station_mac(HV2), HV2)
    assert is_sent_ahead(world, source) is ahead


def announce_from(world: RestWorld, source: int, port: PortId = HV1, ttl: int = 120) -> None:
    evb = EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=7, rte=31, rwd=31, rka=31)
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_LLDP, bridge_lldpdu(source, "vm", ttl, evb).encode())
    world.feed(FrameReceived(port, frame.encode()))


def speaks(world: RestWorld, port: PortId = HV1) -> int | None:
    """The station that is agreed with at a port."""
    return world.engine.stations[port].station


def meters_of(world: RestWorld, source: int, ethertype: int) -> list[int]:
    """The meters that a frame for the controller passes at hv1's port."""
    frame = {"in_port": HV1.port_no, "eth_dst": NEAREST_CUSTOMER_BRIDGE, "eth_src": source, "eth_type": ethertype}
    emitted, metered = passage(world.tables[S1], {**frame, "vlan_vid": 0}, [HV1.port_no])
    assert [arrival.port for arrival in emitted] == [CONTROLLER]
    return [meter for meter, _ in metered]


def test_vm_cannot_speak_for_its_neighbours(world: RestWorld) -> None:
    deassociate_from(world, VM.mac)
    assert world.engine.registry.named(VM.text) is not None
    assert world.engine.stations[HV1].counters["not_the_station"] == 1


def test_vm_cannot_pose_as_the_station(world: RestWorld) -> None:
    announce_from(world, VM.mac)
    assert world.engine.stations[HV1].station is None


def test_stranger_cannot_take_the_place_of_a_known_station(world: RestWorld) -> None:
    world.agree(HV1)
    known = world.engine.stations[HV1].station
    announce_from(world, 0x02DEADBEEF00)
    deassociate_from(world, 0x02DEADBEEF00)
    assert world.engine.stations[HV1].station == known
    assert world.engine.registry.named(VM.text) is not None


def test_address_of_a_vm_that_has_left_may_be_a_stations(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    announce_from(world, VM.mac)
    assert world.engine.stations[HV1].station == VM.mac


def test_address_of_a_station_is_no_vms_at_another_port(world: RestWorld) -> None:
    world.agree(HV2)
    station = world.engine.stations[HV2].known
    assert station is not None
    other = replace(VICTIM.tlv(VdpMode.ASSOCIATE), filter_info=FilterInfo.of(MacVid(vid=VLAN, mac=station)))
    world.send(HV1, other)
    (refused,) = [event for event in world.happened if event.kind == "vdp.refused"]
    assert refused.detail["error"] == VdpError.INVALID_VID_GROUP_MAC.name
    assert str(refused.detail["reason"]).endswith("belongs to another station")


# --- what the switch lets through -----------------------------------------------------------------
STRANGER, STATION = 0x02DEADBEEF00, station_mac(HV1)


@pytest.mark.parametrize("ethertype", [ETHERTYPE_LLDP, ETHERTYPE_ECP])
def test_a_known_station_has_its_meter_for_itself(world: RestWorld, ethertype: int) -> None:
    assert meters_of(world, STATION, ethertype) == meters_of(world, VM.mac, ethertype) == [HV1.port_no]
    world.agree(HV1)
    assert meters_of(world, STATION, ethertype) == [HV1.port_no]
    for other in (VM.mac, STRANGER):
        (apart,) = meters_of(world, other, ethertype)
        assert world.tables[S1].meters[apart].rate < world.tables[S1].meters[HV1.port_no].rate / 50
    announce_from(world, STATION, ttl=0)
    assert meters_of(world, STATION, ethertype) == meters_of(world, VM.mac, ethertype) == [HV1.port_no]


def test_lldp_of_a_new_station_is_not_behind_ecp_of_guests(world: RestWorld) -> None:
    world.agree(HV1)
    assert meters_of(world, STRANGER, ETHERTYPE_LLDP) != meters_of(world, VM.mac, ETHERTYPE_ECP)


def test_the_meter_stays_over_all_that_does_not_end_the_station(world: RestWorld) -> None:
    world.agree(HV1)
    (apart,) = meters_of(world, STRANGER, ETHERTYPE_ECP)
    for loss in (
        lambda: world.disconnect(S1),
        world.restart_controller,
        lambda: world.restart_controller(remembering=False),
        lambda: world.restart_switch(S1),
    ):
        loss()
        if not world.engine.bringup.ready(S1):
            world.connect(S1)
        assert meters_of(world, STRANGER, ETHERTYPE_ECP) == [apart]
        assert meters_of(world, STATION, ETHERTYPE_ECP) == [HV1.port_no]
        world.agree(HV1)


# --- who is first when nothing is agreed ------------------------------------------------------------
@pytest.mark.parametrize("loss", ["channel", "controller", "state"])
def test_a_guest_that_is_quicker_than_the_station_does_not_take_its_place(world: RestWorld, loss: str) -> None:
    world.agree(HV1)
    if loss == "channel":
        world.disconnect(S1)
        world.connect(S1)
    else:
        world.restart_controller(remembering=loss == "controller")
    announce_from(world, STRANGER)
    deassociate_from(world, STRANGER)
    assert speaks(world) is None and world.engine.stations[HV1].counters["not_the_station"] == 2
    world.agree(HV1)
    assert speaks(world) == STATION


def test_a_station_that_does_not_come_back_does_not_keep_others_out(world: RestWorld) -> None:
    world.agree(HV1)
    world.disconnect(S1)
    world.connect(S1)
    world.advance(CHANNEL_PATIENCE)
    announce_from(world, STRANGER)
    assert speaks(world) == STRANGER
    assert meters_of(world, STRANGER, ETHERTYPE_ECP) == [HV1.port_no] != meters_of(world, STATION, ETHERTYPE_ECP)


def test_after_a_link_flap_the_station_comes_first_and_another_hypervisor_soon(world: RestWorld) -> None:
    world.agree(HV1)
    for up in (False, True):
        world.feed(PortChanged(HV1, up))
    announce_from(world, STRANGER)
    assert speaks(world) is None
    world.advance(LINK_PATIENCE)
    announce_from(world, STRANGER)
    assert speaks(world) == STRANGER


def test_no_lldpdu_is_believed_for_hours(world: RestWorld) -> None:
    announce_from(world, STATION, ttl=0xFFFF)
    world.advance(MAX_TTL)
    announce_from(world, STRANGER)
    assert speaks(world) == STRANGER


def test_another_hypervisor_may_come_when_the_first_has_fallen_silent(world: RestWorld) -> None:
    world.agree(HV1)
    world.advance(122)
    announce_from(world, STRANGER)
    assert speaks(world) == STRANGER


# --- one address, one port --------------------------------------------------------------------------
def test_a_station_is_at_one_port(world: RestWorld) -> None:
    world.agree(HV1)
    announce_from(world, STATION, HV2)
    assert speaks(world, HV2) is None
    (dropped,) = [event for event in world.happened if event.kind == "evb.impostor"]
    assert dropped.detail["reason"] == f"0x88cc from 02:00:00:00:01:01, which is the station of port {HV1}"
    world.feed(PortChanged(HV1, False))
    announce_from(world, STATION, HV2)
    assert speaks(world, HV2) == STATION


# --- bounds -------------------------------------------------------------------------------------------
def test_timers_of_hours_are_not_agreed_on(world: RestWorld) -> None:
    announce_from(world, STATION)
    timers = world.engine.stations[HV1].evb.operational
    assert (timers.rte, timers.rwd, timers.rka) == (20, 23, 25)
    assert timers.keep_alive_timeout < 800 and timers.resource_wait_delay < 90


def test_what_is_dropped_is_counted_each_time_and_told_once_a_second(world: RestWorld) -> None:
    world.agree(HV1)
    for _ in range(100):
        world.advance(0.025)
        deassociate_from(world, STRANGER)
    told = [event.detail["frames"] for event in world.happened if event.kind == "evb.impostor"]
    assert world.engine.stations[HV1].counters["not_the_station"] == 100
    assert len(told) == 3 and sum(int(str(count)) for count in told) <= 100


def test_a_frame_longer_than_ethernet_s_is_not_read(world: RestWorld) -> None:
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, STATION, ETHERTYPE_ECP, bytes(MAX_FRAME))
    world.feed(FrameReceived(HV1, frame.encode()))
    assert world.engine.stations[HV1].counters == {"too_long": 1}


def test_draft_ecp_has_the_small_meter_also_before_a_station_is_known(world: RestWorld) -> None:
    """Its frames are only counted and refused."""
    before = meters_of(world, STATION, ETHERTYPE_DRAFT_ECP)
    world.agree(HV1)
    assert before == meters_of(world, STATION, ETHERTYPE_DRAFT_ECP) == meters_of(world, STRANGER, ETHERTYPE_ECP)
    assert before != meters_of(world, STATION, ETHERTYPE_ECP)
