"""The engine of a bridge that reads its policies: stations hear it, switches keep what they have, requests wait."""

from __future__ import annotations

import pytest

from ryu_apps.evb.bridge.starting_engine import StartingEngine
from ryu_apps.evb.events.effect import (
    Apply,
    Effect,
    Prepare,
    ReadMeters,
    ReadRules,
    RequestRole,
    Save,
    SendFrame,
    Survey,
)
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import Missed
from ryu_apps.evb.events.switch import ChannelUp, ControllerRole, FrameReceived, PortChanged, SwitchAltered
from ryu_apps.evb.record_kinds import STATION
from ryu_apps.evb.switches.bringup import MAX_EARLY_FRAMES
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.vdp import VdpMode, VdpPdu
from tests.unit.switches.test_fencing import OTHER, VM, associate
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, Vm
from tests.worlds.fenced import FencedBridge, Site, gone

#: What may go out meanwhile.
HARMLESS = RequestRole | Survey | SendFrame | Save


def station_mac(port: PortId) -> int:
    return 0x020000000000 | port.dpid << 8 | port.port_no


class StartingBridge:
    """A bridge with the store of one that has died, which reads its policies.

    Attributes:
        bridge: with a :class:`StartingEngine` in the place of its engine, until :meth:`succeed`.
        effects: of all events.
    """

    def __init__(self, site: Site, before: FencedBridge) -> None:
        self.effects: list[Effect] = []
        before.die()
        self.bridge = site.start(records=dict(before.store))
        self.bridge.engine = self.engine = StartingEngine(  # type: ignore[assignment]
            self.bridge.fabric, self.bridge.store, self.bridge.life
        )
        self.bridge.observers.append(self._observe)
        self.bridge.now = before.now

    def _observe(self, event: Event, effects: list[Effect]) -> None:
        self.effects += effects

    def succeed(self) -> FencedBridge:
        """End the start: the engine with the policies takes its place."""
        engine = self.bridge._new_engine(dict(self.bridge.store))
        engine.succeed(self.engine)
        self.bridge.engine = engine
        for dpid in (S1, S2):
            if dpid in self.engine.fencing.switches:
                self.bridge.feed(ChannelUp(dpid))
        return self.bridge

    def lldpdus(self, port: PortId) -> list[EvbTlv]:
        """The EVB TLVs that the bridge has sent out of a port."""
        frames = [Frame.decode(sent.data) for sent in self.bridge.frames if sent.port == port]
        tlvs = [Lldpdu.decode(frame.payload).evb for frame in frames if frame.ethertype == ETHERTYPE_LLDP]
        assert all(tlvs)
        return [tlv for tlv in tlvs if tlv]

    def acknowledged(self, port: PortId) -> list[int]:
        """The numbers of the ECPDUs that the bridge has acknowledged at a port."""
        frames = [Frame.decode(sent.data) for sent in self.bridge.frames if sent.port == port]
        ecpdus = [Ecpdu.decode(frame.payload) for frame in frames if frame.ethertype == ETHERTYPE_ECP]
        assert all(ecpdu.op is EcpOp.ACK for ecpdu in ecpdus), "a request has been answered"
        return [ecpdu.sequence for ecpdu in ecpdus]

    def agree(self, port: PortId, relay: bool = False) -> None:
        tlv = EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, rrreq=relay, r=3, rte=10, rwd=17, rka=17)
        lldpdu = bridge_lldpdu(station_mac(port), "eth0", 121, tlv)
        frame = Frame(NEAREST_CUSTOMER_BRIDGE, station_mac(port), ETHERTYPE_LLDP, lldpdu.encode())
        self.bridge.feed(FrameReceived(port, frame.encode()))


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def before(site: Site) -> FencedBridge:
    """A bridge with a VM at hv1, which is about to be started anew."""
    bridge = site.start()
    bridge.connect()
    associate(bridge, HV1, VM)
    return bridge


@pytest.fixture
def start(site: Site, before: FencedBridge) -> StartingBridge:
    return StartingBridge(site, before)


def test_a_station_hears_an_evb_tlv_once_it_is_heard_and_then_every_half_minute(start: StartingBridge) -> None:
    start.bridge.connect()
    assert {start.bridge.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
    for port in (HV1, HV2, HV3, HV4):
        # A switch without rules passes nothing on: its stations would send requests in vain.
        assert start.lldpdus(port) == []
        start.agree(port)
        tlvs = start.lldpdus(port)
        assert tlvs and {tlv.mode for tlv in tlvs} == {EvbMode.BRIDGE}
    start.bridge.advance(5.0)
    sent = len(start.lldpdus(HV1))
    start.bridge.advance(61.0)
    assert len(start.lldpdus(HV1)) == sent + 2


def test_a_link_that_returns_is_not_served_before_its_station_is_heard(start: StartingBridge) -> None:
    start.bridge.connect()
    start.agree(HV1)
    for up in (False, True):
        start.bridge.feed(PortChanged(HV1, up))
    sent = len(start.lldpdus(HV1))
    start.bridge.advance(61.0)
    assert len(start.lldpdus(HV1)) == sent
    start.agree(HV1)
    assert len(start.lldpdus(HV1)) > sent


def test_whatever_happens_no_switch_is_read_or_changed(start: StartingBridge) -> None:
    held = start.bridge.snapshot()
    start.bridge.connect()
    for port, vm in ((HV1, VM), (HV3, VM), (HV3, OTHER)):
        for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE):
            start.bridge.send(port, vm.tlv(mode), vm.address)
    start.agree(HV2, relay=True)
    for event in (PortChanged(HV1, False), PortChanged(HV1, True), SwitchAltered(S1, frozenset(), True), Missed(3.0)):
        start.bridge.feed(event)
    start.bridge.disconnect(S2)
    start.bridge.connect(S2)
    start.bridge.advance(100.0)
    assert start.bridge.snapshot() == held and start.bridge.applied == []
    out = [effect for effect in start.effects if isinstance(effect, Apply | ReadRules | ReadMeters | Prepare)]
    assert out == [] and any(isinstance(effect, HARMLESS) for effect in start.effects)
    assert not any(survey.proof for survey in start.effects if isinstance(survey, Survey))


def test_request_is_acknowledged_and_answered_when_the_switch_has_been_compared(start: StartingBridge) -> None:
    start.bridge.connect()
    start.bridge.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    assert start.acknowledged(HV3) == [1]
    start.bridge.advance(20.0)
    assert HV3 not in start.bridge.sent
    start.bridge.slow_reads |= {S1, S2}
    bridge = start.succeed()
    assert HV3 not in bridge.sent
    bridge.slow_reads.clear()
    while bridge.reads:
        bridge.read_on(1000)
    assert bridge.answer(HV3).success
    assert gate_ports(bridge) == {HV1, HV3}


def test_stations_of_a_switch_that_has_been_heard_need_not_wait_until_it_is_compared(start: StartingBridge) -> None:
    start.bridge.connect()
    sent = len(start.lldpdus(HV1))
    start.bridge.slow_reads |= {S1, S2}
    start.succeed()
    assert len(start.lldpdus(HV1)) == sent + 1


def test_what_is_in_force_is_not_repeated_before_the_switch_has_been_compared(start: StartingBridge) -> None:
    # It may have been restarted while no bridge was there.
    start.bridge.tables[S1].rules.clear()
    start.bridge.connect()
    start.bridge.slow_reads |= {S1, S2}
    bridge = start.succeed()
    bridge.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert HV1 not in bridge.sent
    bridge.slow_reads.clear()
    while bridge.reads:
        bridge.read_on(1000)
    assert bridge.answer(HV1).success and gate_ports(bridge) == {HV1}


def test_requests_are_taken_up_in_their_order(start: StartingBridge) -> None:
    start.bridge.connect()
    for mode in (VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE):
        start.bridge.send(HV3, OTHER.tlv(mode), OTHER.address)
    start.bridge.send(HV1, VM.tlv(VdpMode.DEASSOCIATE), VM.address)
    bridge = start.succeed()
    bridge.advance(1.0)
    assert gate_ports(bridge) == set()
    assert bridge.sent[HV3][-1].MODE is VdpMode.DEASSOCIATE


def test_beyond_the_bound_nothing_is_acknowledged(start: StartingBridge) -> None:
    start.bridge.connect()
    for number in range(MAX_EARLY_FRAMES + 3):
        vm = Vm(100 + number)
        start.bridge.send(HV3, vm.tlv(VdpMode.PREASSOCIATE), vm.address)
    assert start.acknowledged(HV3) == list(range(1, MAX_EARLY_FRAMES + 1))
    assert len(start.engine.frames[S2]) == MAX_EARLY_FRAMES


def test_an_ecpdu_that_is_repeated_is_kept_once(start: StartingBridge) -> None:
    start.bridge.connect()
    start.bridge.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    start.bridge.feed(start.engine.frames[S2][0])
    assert start.acknowledged(HV3) == [1, 1] and len(start.engine.frames[S2]) == 1


def test_malformed_request_is_answered_once_and_not_before_the_others(start: StartingBridge) -> None:
    start.bridge.connect()
    octets = bytearray(VdpPdu(start.bridge.manager_id, (OTHER.tlv(VdpMode.ASSOCIATE),)).encode())
    octets[-12] = 0x7F  # the format of the filter info
    assert VdpPdu.decode(bytes(octets)).malformed
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 9, bytes(octets))
    start.bridge.feed(FrameReceived(HV3, start.bridge._frame(HV3, ecpdu)))
    assert start.acknowledged(HV3) == [9]
    assert start.succeed().engine.stations[HV3].counters["malformed"] == 1


def test_switch_that_does_not_answer_is_asked_again(start: StartingBridge) -> None:
    start.bridge.mute = {S1}
    start.bridge.connect()
    assert start.lldpdus(HV1) == []
    start.bridge.mute.clear()
    start.bridge.advance(11.0)
    start.agree(HV1)
    assert len(start.lldpdus(HV1)) > 0


def test_requests_are_lost_with_their_switch(start: StartingBridge) -> None:
    start.bridge.connect()
    start.bridge.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    start.bridge.disconnect(S2)
    start.bridge.connect(S2)
    assert start.engine.frames[S2] == []
    start.bridge.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    start.bridge.mute = {S2}
    bridge = start.succeed()
    bridge.disconnect(S2)
    bridge.mute.clear()
    bridge.connect(S2)
    assert bridge.engine.bringup.ready(S2) and HV3 not in bridge.sent


def test_reflective_relay_that_a_switch_has_not_is_not_confirmed(start: StartingBridge) -> None:
    start.bridge.connect()
    start.agree(HV2, relay=True)
    start.bridge.advance(2.0)
    assert {(tlv.rrcap, tlv.rrctr) for tlv in start.lldpdus(HV2)} == {(False, False)}
    bridge = start.succeed()
    start.agree(HV2, relay=True)
    assert bridge.engine.stations[HV2].relay
    # As the switch has it by now.
    again = StartingBridge(bridge.site, bridge)
    again.bridge.connect()
    again.agree(HV2, relay=True)
    again.bridge.advance(2.0)
    assert (again.lldpdus(HV2)[-1].rrcap, again.lldpdus(HV2)[-1].rrctr) == (True, True)


def test_frames_of_others_than_the_known_station_are_ignored(site: Site, before: FencedBridge) -> None:
    before.store[STATION.key(HV1)] = station_mac(HV1).to_bytes(6)
    start = StartingBridge(site, before)
    start.bridge.connect()
    frame = Frame(NEAREST_CUSTOMER_BRIDGE, 0x525400000666, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, 5, b"").encode())
    start.bridge.feed(FrameReceived(HV1, frame.encode()))
    assert start.acknowledged(HV1) == [] and start.engine.frames[S1] == []
    start.bridge.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert start.acknowledged(HV1) != [] and len(start.engine.frames[S1]) == 1


def test_bridge_that_is_superseded_while_it_starts_stays_aside(site: Site, start: StartingBridge) -> None:
    start.bridge.connect()
    newer = site.start()
    newer.connect()
    assert {start.bridge.role(dpid) for dpid in (S1, S2)} == {ControllerRole.SLAVE}
    assert start.engine.frames == {}
    sent = len(start.bridge.frames)
    start.bridge.requests.clear()
    bridge = start.succeed()
    bridge.advance(100.0)
    assert {asked.role for asked in bridge.requests} == {ControllerRole.SLAVE}
    assert bridge.engine.fencing.superseded and bridge.engine.fencing.newest == newer.life.generation
    assert {newer.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
    assert len(bridge.frames) == sent


def test_generation_that_was_taken_over_meanwhile_is_that_of_the_next_engine(site: Site, before: FencedBridge) -> None:
    # The store is new, and the switches know a generation of a clock that was ahead.
    for dpid in (S1, S2):
        site.switches[dpid].generation = before.life.generation + (1 << 40)
    before.store.clear()
    start = StartingBridge(site, before)
    start.bridge.connect()
    generation = start.engine.fencing.generation
    assert generation != start.bridge.life.generation
    bridge = start.succeed()
    assert bridge.engine.fencing.generation == generation and not bridge.engine.fencing.superseded
    assert {bridge.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}


def test_channel_that_is_gone_before_the_next_engine_is_there_takes_its_requests_along(start: StartingBridge) -> None:
    start.bridge.connect()
    start.bridge.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    gone(start.bridge)
    assert start.engine.frames == {} and start.engine.fencing.switches == {}


@pytest.mark.parametrize("stopped", [True, False])
def test_a_repetition_is_recognised_across_a_time_in_which_nothing_was_heard(
    start: StartingBridge, stopped: bool
) -> None:
    start.bridge.connect()
    for _ in range(2):
        start.bridge._sequence[HV1] = 76
        start.bridge.send(HV1, VM.tlv(VdpMode.PREASSOCIATE), VM.address)
        start.bridge.advance(60.0)
        if stopped:
            start.bridge.feed(Missed(60.0))
    # Else it is a new request, which has come late.
    assert len(start.engine.frames[S1]) == (1 if stopped else 2)
