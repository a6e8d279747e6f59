"""Frames wait for their turn: every port has one, none has more than its budget, and none costs memory."""

from __future__ import annotations

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.ports.turns import BURST, CHANGE, RATE, ROOM, Turns
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.association import Associate
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import ManagerId, VdpPdu, requests_in
from ryu_apps.evb.wire.vsi_id import VsiId

NOISY, QUIET = PortId(1, 1), PortId(1, 2)
MAC = 0x525400000001


def ecp(requests: int, sequence: int = 1) -> bytes:
    tlvs = tuple(
        Associate(
            RequestStatus(), 99, 1, VsiId.from_text(f"00000000-0000-4000-8000-{n:012d}"), FilterInfo.of(MacVid(100, n))
        )
        for n in range(1, requests + 1)
    )
    payload = Ecpdu(EcpOp.REQUEST, 1, sequence, VdpPdu(ManagerId(), tlvs).encode()).encode()
    return Frame(NEAREST_CUSTOMER_BRIDGE, MAC, ETHERTYPE_ECP, payload).encode(pad=True)


def flood(turns: Turns, frames: int, requests: int, now: float = 0.0) -> None:
    data = ecp(requests)
    for _ in range(frames):
        turns.put(FrameReceived(NOISY, data), now)


def test_a_frame_counts_as_many_requests_as_it_has_association_tlvs() -> None:
    assert [requests_in(ecp(count)) for count in (1, 2, 20)] == [1, 2, 20]


def test_whatever_else_comes_counts_as_one() -> None:
    lldp = Frame(NEAREST_CUSTOMER_BRIDGE, MAC, ETHERTYPE_LLDP, bytes(46)).encode()
    ack = Frame(NEAREST_CUSTOMER_BRIDGE, MAC, ETHERTYPE_ECP, Ecpdu(EcpOp.ACK, 1, 7).encode()).encode(pad=True)
    cut = ecp(20)
    assert {requests_in(data) for data in (b"", bytes(14), lldp, ack, *(cut[:end] for end in range(60)))} == {1}


def test_a_quiet_port_waits_for_one_frame_of_a_noisy_one() -> None:
    turns = Turns()
    flood(turns, 50, 1)
    turns.put(FrameReceived(QUIET, ecp(1)), 0.0)
    served = [turns.take(0.0) for _ in range(3)]
    assert [taken[0].port for taken in served if taken] == [NOISY, QUIET, NOISY]


def test_frames_of_a_port_keep_their_order() -> None:
    turns = Turns()
    frames = [FrameReceived(NOISY, ecp(1, number)) for number in range(1, 6)]
    for frame in frames:
        turns.put(frame, 0.0)
    assert [turn[0] for _ in frames if (turn := turns.take(0.0))] == frames


def test_what_a_full_queue_cannot_take_is_dropped_and_counted() -> None:
    turns = Turns()
    flood(turns, ROOM + 10, 1)
    assert turns.take_dropped() == {NOISY: 10}
    assert turns.take_dropped() == {}


def test_a_port_is_served_no_faster_than_its_budget() -> None:
    turns, served, now = Turns(), 0, 0.0
    while now < 2.0:
        flood(turns, 10, 20, now)
        while turn := turns.take(now):
            served += turn[1]
        now += 0.01
    assert BURST + RATE < served < BURST + 2 * RATE + 40


def test_a_port_that_has_waited_is_due_again() -> None:
    turns = Turns()
    flood(turns, ROOM, 20)
    while turns.take(0.0):
        pass
    assert not turns.ready
    assert turns.deadline is not None
    assert turns.take(turns.deadline - 0.001) is None
    assert turns.take(turns.deadline) is not None


def test_nothing_is_due_when_nothing_waits() -> None:
    turns = Turns()
    flood(turns, 3, 1)
    while turns.take(0.0):
        pass
    assert (turns.ready, turns.deadline) == (False, None)


def test_a_request_that_changes_switches_counts_for_more() -> None:
    turns, served = Turns(), 0
    flood(turns, ROOM, 1)
    while turn := turns.take(0.0):
        served += 1
        assert turns.charge(turn[0].port, 1, 18, 0.0) == 2 * CHANGE
    assert served == -(-BURST // (1 + 2 * CHANGE))
    assert turns.deadline is not None


def test_what_is_charged_beyond_the_budget_is_paid_back() -> None:
    turns = Turns()
    flood(turns, 2, 1)
    turns.take(0.0)
    turns.charge(NOISY, BURST, BURST, 0.0)
    assert not turns.ready
    assert turns.take((CHANGE - 1) * BURST / RATE - 0.01) is None
    assert turns.take((CHANGE - 1) * BURST / RATE + 0.01) is not None
