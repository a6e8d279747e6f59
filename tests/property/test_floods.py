"""A station is answered after a bounded number of frames of other ports, and never refused because of them.

Time passes only by what the bridge does: each request that it serves takes so long, as on a machine of any speed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.events.effect import Effect
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import FrameReceived, FramesDropped
from ryu_apps.evb.pipeline.flood import PAGE_SIZE
from ryu_apps.evb.ports.turns import COUNTED, ROOM, Turns
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.association import Associate, VdpMode
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
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpPdu
from tests.worlds.bridge import HV1, HV2, HV3, Vm, World
from tests.worlds.effort import calls

QUIET = HV2
MANAGER = ManagerId(b"mgr1" + bytes(12))
#: VSIs that a flooding port has, or asks for.
KNOWN = [Vm(number) for number in range(1000, 1040)]


# --- floods, as frames in the order in which they are repeated ------------------------------------------
def frame(port: PortId, ethertype: int, payload: bytes) -> bytes:
    station = 0x020000000000 | port.dpid << 8 | port.port_no
    return Frame(NEAREST_CUSTOMER_BRIDGE, station, ethertype, payload).encode(pad=True)


def packed(port: PortId, tlvs: list[Association], each: int = 20) -> list[bytes]:
    pdus = [VdpPdu(MANAGER, tuple(tlvs[at : at + each])) for at in range(0, len(tlvs), each)]
    return [
        frame(port, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, number, pdu.encode()).encode())
        for number, pdu in enumerate(pdus, start=1)
    ]


def unknown(port: PortId) -> list[bytes]:
    info = FilterInfo.of(MacVid(100, 0x525400EE0001))
    return packed(port, [Associate(RequestStatus(), 99, 1, vm.vsi_id, info) for vm in KNOWN])


def repeated(port: PortId) -> list[bytes]:
    return packed(port, [vm.tlv(VdpMode.ASSOCIATE) for vm in mine(port)])


def churned(port: PortId) -> list[bytes]:
    return packed(port, [vm.tlv(mode) for mode in (VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE) for vm in mine(port)])


def mine(port: PortId) -> list[Vm]:
    return [Vm(vm.number + 100 * (1 + port.dpid)) for vm in KNOWN]


def lldp(port: PortId) -> list[bytes]:
    tlvs = [EvbTlv(mode=EvbMode.STATION, rrstat=RrStatus.UNKNOWN, r=3, rte=rte, rwd=17, rka=17) for rte in (10, 11)]
    return [frame(port, ETHERTYPE_LLDP, bridge_lldpdu(0x020000000001, "x", 120, tlv).encode()) for tlv in tlvs]


def draft_ecp(port: PortId) -> list[bytes]:
    return [frame(port, ETHERTYPE_DRAFT_ECP, bytes(46))]


def rubbish(port: PortId) -> list[bytes]:
    whole = repeated(port)[0]
    return [whole[:end] for end in range(14, 60)] + [b"", bytes(14), bytes(1600)]


FLOODS = [unknown, repeated, churned, lldp, draft_ecp, rubbish]


class Site:
    """A world whose frames wait for their turns, as in the southbound."""

    def __init__(self, pace: float) -> None:
        """Serving a request takes ``pace`` seconds."""
        self.world = World()
        self.world.connect()
        self.turns = Turns(self.world.engine.is_busy)
        self.pace = pace

    def put(self, port: PortId, data: bytes) -> None:
        self.turns.put(FrameReceived(port, data), self.world.now)

    def serve(self) -> PortId | None:
        """One frame; the port that it is of."""
        turn = self.turns.take(self.world.now)
        if turn is None:
            self.world.advance(0.001)
            return None
        event, requests = turn
        before = len(self.world.applied)
        self.world.feed(event)
        changes = len(self.world.applied) - before
        if changes:
            self.turns.charge(event.port, requests, changes, self.world.now)
        self.world.advance(self.pace * (requests + min(changes, COUNTED * requests)))
        return event.port


def ask(site: Site, vm: Vm, mode: VdpMode, sequence: int) -> None:
    payload = VdpPdu(MANAGER, (vm.tlv(mode),)).encode()
    site.put(QUIET, frame(QUIET, ETHERTYPE_ECP, Ecpdu(EcpOp.REQUEST, 1, sequence, payload).encode()))


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from([HV1, HV3]), st.sampled_from(FLOODS), min_size=1),
    st.sampled_from([0.0003, 0.003]),
    st.integers(0, 100),
)
def test_a_station_waits_for_one_frame_of_each_other_port_and_is_granted(
    floods: dict[PortId, Callable[[PortId], list[bytes]]], pace: float, head_start: int
) -> None:
    site = Site(pace)
    sources = {port: cycle(make(port)) for port, make in floods.items()}

    def flood() -> None:
        for port, frames in sources.items():
            for _ in range(ROOM):
                site.put(port, next(frames))

    for _ in range(head_start):
        flood()
        site.serve()
    vm = Vm(7)
    for sequence, mode in enumerate((VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE), start=1):
        answered = len(site.world.sent.get(QUIET, []))
        flood()
        ask(site, vm, mode, sequence)
        served: list[PortId | None] = []
        while QUIET not in served:
            served.append(site.serve())
            flood()
        assert len(served) <= len(floods) + 1
        site.world.advance(0.01)
        assert len(site.world.sent[QUIET]) == answered + 1
        assert site.world.answer(QUIET).success
    assert QUIET not in site.turns.take_dropped()


# --- what one frame costs ---------------------------------------------------------------------------------
def associated(number: int) -> World:
    """So many VSIs at a port."""
    world = World()
    world.connect()
    # All at one moment: none is about to expire.
    for index in range(1, number + 1):
        world.send(HV1, Vm(index).tlv(VdpMode.ASSOCIATE))
    world.advance(0.5)
    assert sum(vsi.owner is not None for vsi in world.engine.registry) == number
    return world


@pytest.fixture
def worlds() -> tuple[World, World]:
    # Made for each test: a keep-alive costs less while the answer to the one before is not acknowledged.
    # Equally full is the last page of copies of a broadcast, which a change rewrites.
    return associated(3 * PAGE_SIZE), associated(15 * PAGE_SIZE)


def work(world: World, *actions: Callable[[], object]) -> int:
    """Calls of the engine alone, without those of the simulated switches."""
    feed, spent = world.engine.feed, 0

    def counted(event: Event, now: float) -> list[Effect]:
        nonlocal spent
        effects: list[Effect] = []
        spent += calls(lambda: effects.extend(feed(event, now)))
        return effects

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.engine, "feed", counted)
        for action in actions:
            action()
    return spent


def test_a_keep_alive_costs_the_same_however_many_vsis_are_known(worlds: tuple[World, World]) -> None:
    few, many = (work(world, partial(world.send, HV1, Vm(3).tlv(VdpMode.ASSOCIATE))) for world in worlds)
    assert many <= 1.1 * few


def test_a_request_of_another_port_costs_the_same_however_many_vsis_are_known(worlds: tuple[World, World]) -> None:
    modes = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
    few, many = (work(world, *(partial(world.ask, HV2, Vm(5000), mode) for mode in modes)) for world in worlds)
    assert many <= 1.2 * few


def test_timers_and_dropped_frames_of_another_port_cost_the_same(worlds: tuple[World, World]) -> None:
    told = [*(FrameReceived(HV2, data) for data in lldp(HV2)), FramesDropped(HV2, 40)]
    few, many = (work(world, *(partial(world.feed, event) for event in told)) for world in worlds)
    assert many <= 1.1 * few


def test_a_frame_that_is_refused_by_its_type_alone_costs_a_tenth_of_a_keep_alive(worlds: tuple[World, World]) -> None:
    world, (data,) = worlds[0], draft_ecp(HV1)
    world.feed(FrameReceived(HV1, data))
    draft = work(world, partial(world.feed, FrameReceived(HV1, data)))
    assert 10 * draft <= work(world, partial(world.send, HV1, Vm(3).tlv(VdpMode.ASSOCIATE)))
