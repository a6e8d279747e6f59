"""Only the station itself speaks EVB at its port."""

from __future__ import annotations

import pytest

from ryu_apps.evb.io import FrameReceived
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.lldp import bridge_lldpdu
from ryu_apps.evb.wire.vdp import VdpMode, VdpPdu
from tests.rest_world import RestWorld
from tests.world import HV1, Vm

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


def announce_from(world: RestWorld, source: int) -> None:
    evb = EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=7, rte=20, rwd=31, rka=31)
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_LLDP, bridge_lldpdu(source, "vm", 120, evb).encode())
    world.feed(FrameReceived(HV1, frame.encode()))


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
