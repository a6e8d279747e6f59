"""ECP endpoint: stop and wait, paced, with a forgetful duplicate test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ryu_apps.evb.protocol.ecp import (
    MINIMUM_DUPLICATE_WINDOW,
    MINIMUM_GAP,
    QUEUE_LIMIT,
    Acknowledged,
    Deliver,
    EcpEndpoint,
    EcpOutput,
    Received,
    Reconfigure,
    Reset,
    Submit,
    Tick,
    Transmit,
    Undelivered,
    documented_rows,
)
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import SUBTYPE_PE_CSP, SUBTYPE_VDP, Ecpdu, EcpOp

TIMERS = Operational(r=3, rte=10, rwd=17, rka=17)
ACK_TIMER = TIMERS.ack_timer


@pytest.fixture
def ecp() -> EcpEndpoint:
    return EcpEndpoint(TIMERS)


def request(sequence: int, payload: bytes = b"vdp", **header: int) -> Received:
    return Received(Ecpdu(EcpOp.REQUEST, **{"subtype": SUBTYPE_VDP, **header}, sequence=sequence, payload=payload))


def ack(sequence: int, subtype: int = SUBTYPE_VDP) -> Received:
    return Received(Ecpdu(EcpOp.ACK, subtype, sequence, b""))


def delivered(outputs: Iterable[EcpOutput]) -> list[bytes]:
    return [output.payload for output in outputs if isinstance(output, Deliver)]


def sent(outputs: Iterable[EcpOutput]) -> list[Ecpdu]:
    return [output.ecpdu for output in outputs if isinstance(output, Transmit)]


# --- receiving ------------------------------------------------------------------------------------
def test_a_request_is_acknowledged_before_it_is_delivered(ecp: EcpEndpoint) -> None:
    acknowledgement = Ecpdu(EcpOp.ACK, SUBTYPE_VDP, 7, b"")

    assert ecp.feed(request(7), 0.0) == [Transmit(acknowledgement), Deliver(b"vdp")]


def test_a_duplicate_is_acknowledged_and_not_delivered(ecp: EcpEndpoint) -> None:
    ecp.feed(request(7), 0.0)

    outputs = ecp.feed(request(7), 0.01)

    assert len(sent(outputs)) == 1
    assert delivered(outputs) == []
    assert ecp.counters.duplicates == 1


def test_any_starting_number_is_taken(ecp: EcpEndpoint) -> None:
    assert delivered(ecp.feed(request(0), 0.0)) == [b"vdp"]


def test_only_the_last_number_counts_as_a_duplicate(ecp: EcpEndpoint) -> None:
    for sequence in (5, 6, 5):
        assert delivered(ecp.feed(request(sequence), 0.0)) == [b"vdp"]


def test_an_equal_number_with_another_payload_is_new(ecp: EcpEndpoint) -> None:
    ecp.feed(request(1, b"before the restart"), 0.0)

    assert delivered(ecp.feed(request(1, b"after it"), 0.01)) == [b"after it"]


@pytest.mark.parametrize(
    ("rte", "window"), [(10, 0.5), (14, 2 * 4 * 0.16384)], ids=["at least 500 ms", "twice the retransmissions"]
)
def test_the_duplicate_test_expires(rte: int, window: float) -> None:
    ecp = EcpEndpoint(Operational(r=3, rte=rte, rwd=17, rka=17))
    ecp.feed(request(1), 0.0)

    assert delivered(ecp.feed(request(1), window - 0.001)) == []
    assert delivered(ecp.feed(request(1), window + 0.001)) == [b"vdp"]


def test_time_in_which_nothing_was_read_does_not_count(ecp: EcpEndpoint) -> None:
    ecp.feed(request(7), 0.0)
    ecp.feed(Submit(b"answer"), 0.0)
    ecp.postpone(10.0)

    assert delivered(ecp.feed(request(7), 10.0 + MINIMUM_DUPLICATE_WINDOW - 0.001)) == []
    assert ecp.counters.failures == 0


def test_the_gap_to_the_next_ecpdu_does_not_grow_by_it(ecp: EcpEndpoint) -> None:
    ecp.feed(Submit(b"answer"), 0.0)
    ecp.feed(ack(1), 0.001)
    ecp.postpone(10.0)
    ecp.feed(Tick(), 10.0)

    assert ecp.ready


def test_a_station_that_acknowledges_nothing_is_given_time_to_read() -> None:
    """Once it runs again, lldpad reads what has arrived at once, and keeps the last ECPDU only."""
    ecp = EcpEndpoint(TIMERS, silence=0.1)
    ecp.feed(Submit(b"answer"), 0.0)
    for number in range(1, 5):
        ecp.feed(Tick(), number * ACK_TIMER)
    given_up = 4 * ACK_TIMER
    assert ecp.deadline == given_up + 0.1 * TIMERS.response_wait

    late = given_up + 0.05
    assert ecp.feed(ack(1), late) == [Acknowledged(b"answer")]
    assert ecp.deadline == late + MINIMUM_GAP


def test_a_reset_ends_the_time_to_read() -> None:
    ecp = EcpEndpoint(TIMERS, silence=0.1)
    ecp.feed(Submit(b"answer"), 0.0)
    for number in range(1, 5):
        ecp.feed(Tick(), number * ACK_TIMER)
    ecp.feed(Reset(), 1.0)
    assert ecp.deadline == 1.0 + MINIMUM_GAP


def test_a_reset_forgets_the_last_number(ecp: EcpEndpoint) -> None:
    ecp.feed(request(1), 0.0)
    ecp.feed(Reset(), 0.001)

    assert delivered(ecp.feed(request(1), 0.002)) == [b"vdp"]


def test_another_version_is_not_even_acknowledged(ecp: EcpEndpoint) -> None:
    assert ecp.feed(request(1, version=2), 0.0) == []
    assert ecp.counters.malformed == 1


def test_port_extender_traffic_is_acknowledged_and_dropped(ecp: EcpEndpoint) -> None:
    outputs = ecp.feed(request(1, subtype=SUBTYPE_PE_CSP), 0.0)

    assert outputs == [Transmit(Ecpdu(EcpOp.ACK, SUBTYPE_PE_CSP, 1, b""))]


# --- sending --------------------------------------------------------------------------------------
def test_an_idle_endpoint_sends_at_once(ecp: EcpEndpoint) -> None:
    assert ecp.ready
    assert ecp.feed(Submit(b"answer"), 0.0) == [Transmit(Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, 1, b"answer"))]
    assert not ecp.ready
    assert ecp.deadline == ACK_TIMER


def test_an_unacknowledged_ecpdu_is_repeated_identically_and_then_given_up(ecp: EcpEndpoint) -> None:
    copies = sent(ecp.feed(Submit(b"answer"), 0.0))
    for number in range(1, 4):
        copies += sent(ecp.feed(Tick(), number * ACK_TIMER))

    assert len(copies) == 1 + TIMERS.r
    assert len(set(copies)) == 1
    assert ecp.unacknowledged_since is None
    assert ecp.feed(Tick(), 4 * ACK_TIMER) == [Undelivered(b"answer")]
    assert ecp.unacknowledged_since == 4 * ACK_TIMER
    assert (ecp.counters.retransmissions, ecp.counters.failures) == (3, 1)


def test_the_next_ecpdu_keeps_its_distance_from_the_acknowledgement(ecp: EcpEndpoint) -> None:
    ecp.feed(Submit(b"first"), 0.0)
    ecp.feed(Submit(b"second"), 0.0)

    assert ecp.feed(ack(1), 0.001) == [Acknowledged(b"first")]
    assert ecp.deadline == 0.001 + MINIMUM_GAP
    assert ecp.feed(Tick(), 0.0059) == []
    assert sent(ecp.feed(Tick(), 0.006)) == [Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, 2, b"second")]


def test_acknowledgements_are_not_paced(ecp: EcpEndpoint) -> None:
    ecp.feed(Submit(b"answer"), 0.0)
    ecp.feed(ack(1), 0.001)

    assert [len(sent(ecp.feed(request(number), 0.001))) for number in (1, 2, 3)] == [1, 1, 1]


def test_the_distance_is_kept_after_giving_up_too() -> None:
    ecp = EcpEndpoint(Operational(r=0, rte=10, rwd=17, rka=17))
    ecp.feed(Submit(b"first"), 0.0)
    ecp.feed(Submit(b"second"), 0.0)

    assert ecp.feed(Tick(), ACK_TIMER) == [Undelivered(b"first")]
    assert ecp.deadline == ACK_TIMER + MINIMUM_GAP


def test_a_submission_during_the_gap_waits_for_its_end(ecp: EcpEndpoint) -> None:
    ecp.feed(Submit(b"first"), 0.0)
    ecp.feed(ack(1), 0.001)

    assert ecp.feed(Submit(b"second"), 0.002) == []
    assert len(sent(ecp.feed(Tick(), 0.006))) == 1


def test_an_endpoint_without_gap_goes_on_at_the_acknowledgement() -> None:
    ecp = EcpEndpoint(TIMERS, gap=0.0)
    ecp.feed(Submit(b"first"), 0.0)
    ecp.feed(Submit(b"second"), 0.0)

    assert [output.payload for output in sent(ecp.feed(ack(1), 0.001))] == [b"second"]


@pytest.mark.parametrize("stray", [ack(2), ack(1, SUBTYPE_PE_CSP)], ids=["number", "subtype"])
def test_an_acknowledgement_of_something_else_is_ignored(ecp: EcpEndpoint, stray: Received) -> None:
    ecp.feed(Submit(b"answer"), 0.0)

    assert ecp.feed(stray, 0.001) == []
    assert ecp.deadline == ACK_TIMER
    assert ecp.counters.stray == 1


def test_a_second_acknowledgement_is_ignored(ecp: EcpEndpoint) -> None:
    ecp.feed(Submit(b"answer"), 0.0)
    ecp.feed(ack(1), 0.001)

    assert ecp.feed(ack(1), 0.004) == []
    assert ecp.deadline == 0.001 + MINIMUM_GAP


@pytest.mark.parametrize("late", [0.001, 0.5], ids=["during the gap", "after it"])
def test_an_acknowledgement_of_what_was_given_up_starts_the_gap_again(late: float) -> None:
    ecp = EcpEndpoint(Operational(r=0, rte=10, rwd=17, rka=17))
    ecp.feed(Submit(b"answer"), 0.0)
    ecp.feed(Tick(), ACK_TIMER)
    ecp.feed(Tick(), late + ACK_TIMER - 0.0005)

    ecp.feed(ack(1), late + ACK_TIMER)

    assert ecp.deadline == late + ACK_TIMER + MINIMUM_GAP
    assert not ecp.ready


def test_numbers_wrap_around_without_zero() -> None:
    ecp = EcpEndpoint(TIMERS, gap=0.0, first_sequence=0xFFFF)
    numbers = []
    for moment in range(3):
        [ecpdu] = sent(ecp.feed(Submit(b"x"), float(moment)))
        numbers.append(ecpdu.sequence)
        ecp.feed(ack(ecpdu.sequence), float(moment))

    assert numbers == [0xFFFF, 1, 2]


def test_a_reset_fails_everything_under_way_and_goes_on_counting(ecp: EcpEndpoint) -> None:
    for payload in (b"first", b"second"):
        ecp.feed(Submit(payload), 0.0)

    assert ecp.feed(Reset(), 0.001) == [Undelivered(b"first"), Undelivered(b"second")]
    assert ecp.feed(Submit(b"third"), 0.002) == []
    assert sent(ecp.feed(Tick(), 0.001 + MINIMUM_GAP)) == [Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, 2, b"third")]


def test_a_full_queue_refuses(ecp: EcpEndpoint) -> None:
    for _ in range(1 + QUEUE_LIMIT):
        assert Undelivered(b"x") not in ecp.feed(Submit(b"x"), 0.0)

    assert ecp.feed(Submit(b"one too many"), 0.0) == [Undelivered(b"one too many")]
    assert ecp.counters.refused == 1


def test_new_timers_serve_the_next_transmission(ecp: EcpEndpoint) -> None:
    ecp.feed(Reconfigure(Operational(r=3, rte=14, rwd=17, rka=17)), 0.0)
    ecp.feed(Submit(b"answer"), 0.0)

    assert ecp.deadline == pytest.approx(0.16384)


def test_every_row_can_be_read_aloud() -> None:
    assert all(row.action for row in documented_rows())
