"""From probes, taps and dumps to figures, and from figures to a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.wire.association import Associate, Association, PreAssociateRR
from ryu_apps.evb.wire.ecp import SUBTYPE_VDP, Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.status import RequestStatus, ResponseStatus, Status, VdpError
from ryu_apps.evb.wire.vdp import ManagerId, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.prober import LEAK_MAGIC
from ryu_apps.testbed.harness.probes import Flow, TcpNotes, UdpNotes, judge
from ryu_apps.testbed.harness.staged import announcement
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.measurement.measure import FlowEnds, Pause, Seen, figures, leaked_announcements
from ryu_apps.testbed.measurement.verdict import MUST_BE_ZERO, Expectation, failures
from ryu_apps.testbed.moves.evidence import Evidence, Marks, MoveOutcome
from ryu_apps.testbed.replay.report import GatheredVm, MigrationReport, ReplayReport

UUID = "11223344-5566-7788-99aa-bbccddeeff00"
OPEN = Flow("open", "udp", "client", "vm1", 443, 0.001, True)
CLOSED = Flow("closed", "udp", "client", "vm1", 5002, 0.001, False)
STREAM = Flow("stream", "tcp", "client", "vm1", 80, 0.005, True)

#: A probe a millisecond for a second; the VM is away from 0.4 to 0.5.
TICKS = [number / 1000 for number in range(1000)]
AWAY = UdpNotes(tuple(TICKS), tuple((number, t, t) for number, t in enumerate(TICKS) if not 0.4 <= t < 0.5))
SENDER = UdpNotes(tuple(TICKS))


def frame(t: float, kind: type[Association], status: Status, sequence: int) -> Sighting:
    association = kind(status, 1, 1, VsiId.from_text(UUID), FilterInfo.of(MacVid(100, 0x525400AA0001)))
    ecpdu = Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, sequence, VdpPdu(ManagerId(), (association,)).encode())
    data = Frame(NEAREST_CUSTOMER_BRIDGE, 1, ETHERTYPE_ECP, ecpdu.encode()).encode()
    return Sighting(t, isinstance(status, RequestStatus), data)


def seen(**changes: object) -> Seen:
    evidence = Evidence(
        marks=Marks(begun=0.1, suspended=0.4, associating=0.48, resumed=0.5, ended=0.6),
        dumps={"before": [], "staged": [], "active": []},
        injected=100,
    )
    uplink = [
        frame(0.2, PreAssociateRR, RequestStatus(), 1),
        frame(0.205, PreAssociateRR, ResponseStatus(), 1),
        frame(0.49, Associate, RequestStatus(), 2),
        frame(0.492, Associate, ResponseStatus(), 2),
    ]
    usual = Seen(
        "vm1", "minimize-latency", "hv1", "hv5", UUID, evidence, uplink, [FlowEnds(OPEN, AWAY, AWAY)], [], 0, 0.9
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_the_longest_gap_between_arrivals_is_the_blackout() -> None:
    window = judge(SENDER, AWAY, 0.0, 0.45, 0.9)
    assert window.blackout == pytest.approx(0.101)
    assert window.lost == 100
    assert window.first_after == 0.5


def test_arrivals_outside_the_window_do_not_count() -> None:
    window = judge(SENDER, AWAY, 0.6, 0.6, 0.9)
    assert (window.lost, window.sent) == (0, 301)
    assert window.blackout == pytest.approx(0.001)


def test_exchanges_are_timed_by_their_frames() -> None:
    result = figures(seen())
    assert result.stage_ms == pytest.approx(5.0)
    assert result.associate_ms == pytest.approx(2.0)
    assert result.first_to_vm_ms == pytest.approx(10.0)
    assert result.first_from_vm_ms == pytest.approx(10.0)


def test_datagrams_that_policy_blocks_are_counted_when_they_arrive() -> None:
    through = UdpNotes(tuple(TICKS), ((500, 0.5, 0.501),))
    result = figures(seen(ends=[FlowEnds(CLOSED, SENDER, through)]))
    assert result.wrongly_passed == 1
    assert result.blocked > 1000
    assert result.sent == 0


def test_an_injected_frame_that_arrives_is_a_leak() -> None:
    result = figures(seen(ends=[FlowEnds(OPEN, replace(AWAY, leaked=3), AWAY)], announced=[Sighting(0.3, False, b"")]))
    assert result.leaked_from_staged == 4


@pytest.mark.parametrize(
    ("t", "mark", "leaked"),
    [
        (0.05, LEAK_MAGIC, False),  # of an earlier migration
        (0.3, LEAK_MAGIC, True),
        (0.3, b"", True),
        (0.47, b"", True),
        (0.49, b"", False),  # the bridge's own, or the VM's
        (0.49, LEAK_MAGIC, True),
    ],
)
def test_an_announcement_is_a_leak_before_associate_and_an_injected_one_always(
    t: float, mark: bytes, leaked: bool
) -> None:
    sighting = Sighting(t, False, announcement("52:54:00:aa:00:01", mark))
    assert leaked_announcements([sighting], seen().evidence.marks) == [sighting] * leaked


def test_where_nobody_associates_every_announcement_is_a_leak() -> None:
    sighting = Sighting(0.8, False, announcement("52:54:00:aa:00:01"))
    assert leaked_announcements([sighting], Marks(begun=0.1)) == [sighting]


def test_a_frame_at_the_staged_port_is_a_leak() -> None:
    evidence = replace(seen().evidence, at_staged_port=[Sighting(0.3, False, b"")])
    assert figures(seen(evidence=evidence)).leaked_to_staged == 1


def test_a_refusal_is_told_by_its_error_code() -> None:
    refusal = [
        frame(0.2, PreAssociateRR, RequestStatus(), 1),
        frame(0.21, PreAssociateRR, ResponseStatus(VdpError.INSUFFICIENT_RESOURCES), 1),
    ]
    evidence = Evidence(Marks(begun=0.1), dumps={"before": []}, outcome=MoveOutcome.REFUSED)
    result = figures(seen(uplink=refusal, evidence=evidence))
    assert result.error == 2
    assert result.first_to_vm_ms is None


BEATS = tuple((number, number / 100) for number in range(90))


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        (TcpNotes(BEATS, 0, "ECONNRESET", 0.5), "ECONNRESET"),
        (TcpNotes(BEATS, 2), "2 beats out of order"),
        (TcpNotes(BEATS[:50], 0), "not heard again"),
    ],
)
def test_a_stream_that_did_not_survive_is_named(notes: TcpNotes, words: str) -> None:
    broken = figures(seen(ends=[FlowEnds(STREAM, TcpNotes(BEATS), notes)])).streams_broken
    assert len(broken) == 1
    assert "stream at vm1" in broken[0] and words in broken[0]


def test_a_stream_that_ends_with_the_scenario_has_survived() -> None:
    notes = TcpNotes(BEATS, 0, "closed by the other end", 0.95)
    assert figures(seen(ends=[FlowEnds(STREAM, notes, notes)])).streams_broken == ()


# --- the verdict ---
GOOD = Figures("vm1", "minimize-latency", "hv1", "hv5", MoveOutcome.COMPLETED, rules_staged=20)


def test_zeros_and_a_completed_migration_are_a_success() -> None:
    assert failures(GOOD, Expectation()) == []


@pytest.mark.parametrize("name", MUST_BE_ZERO)
def test_each_zero_has_to_be_zero(name: str) -> None:
    assert failures(replace(GOOD, **{name: 1}), Expectation()) == [f"1 {MUST_BE_ZERO[name]}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figures", "expect", "words"),
    [
        (
            replace(GOOD, outcome=MoveOutcome.REFUSED, reason="no room"),
            Expectation(),
            "refused instead of completed no room",
        ),
        (replace(GOOD, error=4), Expectation(error=2), "VDP error 4 instead of 2"),
        (replace(GOOD, lost_to_vm=2, lost_from_vm=1), Expectation(lost=2), "3 datagrams lost, 2 allowed"),
        (replace(GOOD, blackout_from_vm_ms=51.0), Expectation(blackout_ms=50), "blackout of 51 ms, 50 allowed"),
        (replace(GOOD, rules_staged=0), Expectation(), "nothing was staged"),
        (replace(GOOD, streams_broken=("web: reset",)), Expectation(), "stream web: reset"),
    ],
)
def test_an_expectation_that_does_not_hold_is_named(figures: Figures, expect: Expectation, words: str) -> None:
    assert failures(figures, expect) == [words]


def test_a_report_is_good_only_if_every_migration_is() -> None:
    good, bad = MigrationReport(GOOD, ()), MigrationReport(GOOD, ("something",))
    assert ReplayReport("x", (good, good)).ok
    assert not ReplayReport("x", (good, bad)).ok
    assert not ReplayReport("x", ()).ok
    assert ReplayReport("x", (good,), gathered=(GatheredVm("vm1"),)).ok
    assert not ReplayReport("x", (good,), gathered=(GatheredVm("vm1", failures=("totals",)),)).ok


def test_what_is_lost_while_the_vm_is_not_under_way_was_wrongly_blocked() -> None:
    deaf = UdpNotes(AWAY.sent, tuple(note for note in AWAY.heard if not 0.7 <= note[1] < 0.703))
    assert figures(seen()).wrongly_blocked == 0
    late = figures(seen(ends=[FlowEnds(OPEN, AWAY, deaf)]))
    assert late.wrongly_blocked == 3
    assert any("policy lets through" in failure for failure in failures(late, Expectation()))
    assert figures(seen(ends=[FlowEnds(OPEN, AWAY, deaf)], pauses=[Pause(0.7, 0.702)])).wrongly_blocked == 0
    assert figures(seen(ends=[FlowEnds(OPEN, AWAY, deaf)], pauses=[Pause(0.8, 0.802)])).wrongly_blocked == 3


def test_vm_that_never_left_may_lose_nothing() -> None:
    stayed = Evidence(marks=Marks(begun=0.1, ended=0.6), dumps={"before": []}, outcome=MoveOutcome.ABORTED)
    assert figures(seen(evidence=stayed)).wrongly_blocked == 2 * 100
