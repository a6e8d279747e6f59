"""A bridge that cannot hear a station does not hold its silence against it."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.flow.actions import ClearInPort
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.pipeline.tables import UNTAGGED_GROUP
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpMode
from tests.unit.pipeline.test_forwarding import relay_on
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, S1, S2, Vm, World, world_with_vms

VM, OTHER = Vm(7), Vm(8)
#: toutKA at the timers of the tests.
PATIENCE = Operational(3, 10, 17, 17).keep_alive_timeout


@pytest.fixture
def world() -> World:
    return world_with_vms({HV1: VM, HV3: OTHER})


def test_stations_of_a_lost_switch_do_not_expire(world: World) -> None:
    world.disconnect(S2)
    for _ in range(10):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.connect(S2)
    assert gate_ports(world) == {HV1, HV3}


def test_their_time_begins_when_the_switch_is_back(world: World) -> None:
    world.disconnect(S2)
    world.advance(PATIENCE - 0.1)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.connect(S2)
    world.advance(PATIENCE - 0.1)
    assert HV3 in gate_ports(world)
    world.advance(0.2)
    assert HV3 not in gate_ports(world)


def test_stations_of_other_switches_expire_as_ever(world: World) -> None:
    world.disconnect(S2)
    world.advance(PATIENCE + 0.1)
    assert world.engine.registry.named(VM.text) is None
    assert world.engine.registry.named(OTHER.text) is not None


def relays(world: World) -> bool:
    """Do frames from hv1's port go back there where they should?"""
    groups = {group.group_id: group for group in world.tables[S1].groups.values()}
    return ClearInPort() in groups[UNTAGGED_GROUP | HV1.port_no].buckets[0].actions


def test_reflective_relay_stays_on_while_nobody_can_be_heard(world: World) -> None:
    relay_on(world, HV1)
    assert relays(world)
    world.disconnect(S1)
    world.connect(S1)
    assert relays(world)


def test_reflective_relay_survives_the_controller(world: World) -> None:
    relay_on(world, HV1)
    world.restart_controller()
    assert relays(world)


def test_reflective_relay_ends_with_the_link(world: World) -> None:
    relay_on(world, HV1)
    world.feed(PortChanged(HV1, False))
    assert not relays(world)
    world.restart_controller()
    assert not relays(world)


def test_keep_alive_that_nobody_heard_is_answered_when_somebody_is_there_again(world: World) -> None:
    for back in (lambda: (world.disconnect(S1), world.connect(S1)), world.restart_controller):
        before = len(world.sent[HV1])
        back()
        world.advance(0.05)
        (tlv,) = world.sent[HV1][before:]
        assert tlv.MODE is VdpMode.ASSOCIATE and tlv.filter_info is not None
        assert isinstance(tlv.status, ResponseStatus) and tlv.status.success


def test_station_whose_vsi_has_left_is_not_reassured(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    before = len(world.sent[HV1])
    world.restart_controller()
    world.advance(0.05)
    assert [tlv.MODE for tlv in world.sent[HV1][before:] if tlv.vsi_id == VM.vsi_id] == []


def acknowledge(world: World, port: PortId) -> None:
    """The station acknowledges the ECPDU that was sent to it last."""
    sent = [Frame.decode(effect.data) for effect in world.frames if effect.port == port]
    ecpdu = [Ecpdu.decode(frame.payload) for frame in sent if frame.ethertype == ETHERTYPE_ECP][-1]
    payload = ecpdu.acknowledgement().encode()
    station = 0x020000000000 | port.dpid << 8 | port.port_no
    world.feed(FrameReceived(port, Frame(NEAREST_CUSTOMER_BRIDGE, station, ETHERTYPE_ECP, payload).encode()))


def test_timeout_begins_when_the_station_has_received_the_answer(world: World) -> None:
    """Its own keep-alive timer does: an answer that was under way for long must not use up the difference."""
    world.unacknowledging.add(HV1)
    world.disconnect(S1)
    world.connect(S1)
    world.advance(PATIENCE - 0.1)
    acknowledge(world, HV1)
    world.advance(PATIENCE - 0.1)
    assert HV1 in gate_ports(world)
    world.advance(0.2)
    assert HV1 not in gate_ports(world)


def test_timeout_begins_when_the_answer_is_repeated_not_when_the_switch_connects(world: World) -> None:
    world.disconnect(S1)
    world.hold.add(S1)
    world.tables[S1] = FlowTable()
    world.connect(S1)
    world.advance(PATIENCE - 0.1)
    world.release()
    world.unacknowledging.add(HV1)
    world.advance(PATIENCE - 0.1)
    assert HV1 in gate_ports(world)
