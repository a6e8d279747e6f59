"""From what was seen during a migration to its figures.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.testbed.flow_dumps import added, gates
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.exchanges import Exchange, VdpMessage, exchange, vdp_messages
from ryu_apps.testbed.harness.probes import Flow, Notes, TcpNotes, UdpNotes, Window, judge
from ryu_apps.testbed.replay.cluster_manager import Evidence
from ryu_apps.testbed.replay.report import Figures
from ryu_apps.testbed.replay.scenario import ExpectedOutcome

#: Seconds before the suspension from which a gap in the arrivals counts as blackout.
LEAD = 0.05
#: Seconds after the VM was resumed from which every datagram that may pass has to arrive.
SETTLED = 0.05


@dataclass(frozen=True, slots=True)
class FlowEnds:
    """Both ends' notes of one flow."""

    flow: Flow
    host: Notes
    vm: Notes


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was seen of one migration.

    Attributes:
        vm, ladder, source, destination: which.
        vsi: canonical text of its VSIID.
        evidence: the VCM's.
        uplink: VDP at the destination's uplink.
        ends: the VM's flows.
        announced: RARPs with the VM's address that reached an end system and should not have.
        rules_left: see ``rules.left_behind``; counted by whoever could ask the switch.
        settled: when the figures close, monotonic seconds.
    """

    vm: str
    ladder: str
    source: str
    destination: str
    vsi: str
    evidence: Evidence
    uplink: Sequence[Sighting]
    ends: Sequence[FlowEnds]
    announced: Sequence[Sighting]
    rules_left: int
    settled: float


def figures(seen: Seen) -> Figures:
    """The figures of one migration."""
    marks, evidence = seen.evidence.marks, seen.evidence
    messages = list(vdp_messages(seen.uplink))
    staging = exchange(messages, VdpMode.PREASSOCIATE_RR, seen.vsi, marks.begun)
    associating = exchange(messages, VdpMode.ASSOCIATE, seen.vsi, marks.associating) if marks.associating else None
    mark = associating.request.t if associating else None
    to_vm = [_window(seen, one.host, one.vm, mark) for one in _open_udp(seen.ends)]
    from_vm = [_window(seen, one.vm, one.host, mark) for one in _open_udp(seen.ends)]
    body = added(evidence.dumps["before"], evidence.dumps["staged"]) if "staged" in evidence.dumps else []
    completed = evidence.outcome is ExpectedOutcome.COMPLETED
    return Figures(
        vm=seen.vm,
        ladder=seen.ladder,
        source=seen.source,
        destination=seen.destination,
        outcome=evidence.outcome,
        reason=evidence.reason,
        error=_refusal(messages, seen.vsi, marks.begun),
        rules_staged=len(body),
        gates_staged=len(gates(body)),
        stage_ms=_ms(staging),
        associate_ms=_ms(associating),
        handover_ms=(mark - marks.suspended) * 1000.0 if mark is not None else None,
        first_to_vm_ms=_first(to_vm, mark) if completed else None,
        first_from_vm_ms=_first(from_vm, mark) if completed else None,
        blackout_to_vm_ms=_blackout(to_vm),
        blackout_from_vm_ms=_blackout(from_vm),
        sent=sum(window.sent for window in to_vm + from_vm),
        lost_to_vm=sum(window.lost for window in to_vm),
        lost_from_vm=sum(window.lost for window in from_vm),
        injected=evidence.injected,
        leaked_from_staged=_leaked(seen),
        leaked_to_staged=len(evidence.at_staged_port),
        wrongly_passed=sum(_arrived(one, marks.begun, seen.settled) for one in _udp(seen.ends, passes=False)),
        wrongly_blocked=sum(_lost_at_rest(seen, one) for one in _open_udp(seen.ends)),
        blocked=sum(_attempts(one, marks.begun, seen.settled) for one in _udp(seen.ends, passes=False)),
        rules_left=seen.rules_left,
        streams_broken=tuple(_broken(seen)),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    host: UdpNotes
    vm: UdpNotes


def _udp(ends: Iterable[FlowEnds], passes: bool) -> list[_Pair]:
    return [
        _Pair(one.host, one.vm)
        for one in ends
        if isinstance(one.host, UdpNotes) and isinstance(one.vm, UdpNotes) and one.flow.passes is passes
    ]


def _open_udp(ends: Iterable[FlowEnds]) -> list[_Pair]:
    return _udp(ends, passes=True)


def _window(seen: Seen, sender: UdpNotes, receiver: UdpNotes, mark: float | None) -> Window:
    marks = seen.evidence.marks
    return judge(sender, receiver, marks.begun - LEAD, mark or marks.begun, seen.settled)


def _lost_at_rest(seen: Seen, pair: _Pair) -> int:
    """Datagrams lost while the VM was not on its way: after it was resumed, or all along if it never left."""
    marks = seen.evidence.marks
    begin = marks.resumed + SETTLED if marks.resumed else marks.begun
    if marks.suspended and not marks.resumed:
        return 0  # it was taken back: when it ran again nobody noted
    both = (judge(*way, begin, begin, seen.settled) for way in ((pair.host, pair.vm), (pair.vm, pair.host)))
    return sum(window.lost for window in both)


def _first(windows: Iterable[Window], mark: float | None) -> float | None:
    arrivals = [window.first_after for window in windows if window.first_after is not None]
    return (min(arrivals) - mark) * 1000.0 if arrivals and mark is not None else None


def _blackout(windows: Iterable[Window]) -> float | None:
    gaps = [window.blackout * 1000.0 for window in windows]
    return max(gaps, default=None)


def _ms(found: Exchange | None) -> float | None:
    return found.seconds * 1000.0 if found else None


def _refusal(messages: Iterable[VdpMessage], vsi: str, since: float) -> int | None:
    for message in messages:
        answer = message.answer
        if message.vsi == vsi and message.t >= since and answer is not None and not answer.success:
            return int(answer.error)
    return None


def _leaked(seen: Seen) -> int:
    datagrams = sum(notes.leaked for one in seen.ends for notes in (one.host, one.vm) if isinstance(notes, UdpNotes))
    return datagrams + len(seen.announced)


def _arrived(pair: _Pair, begin: float, finish: float) -> int:
    return sum(1 for notes in (pair.host, pair.vm) for _, _, t in notes.heard if begin <= t <= finish)


def _attempts(pair: _Pair, begin: float, finish: float) -> int:
    sent = sum(1 for notes in (pair.host, pair.vm) for t in notes.sent if begin <= t <= finish)
    return sent - _arrived(pair, begin, finish)


def _broken(seen: Seen) -> Iterable[str]:
    """Streams that did not come through.

    One that goes on has been heard since the VM runs again; after a gap TCP takes its time, so when does not count.
    """
    alive_since = seen.evidence.marks.resumed or seen.evidence.marks.begun
    for one in seen.ends:
        if not isinstance(one.host, TcpNotes) or not isinstance(one.vm, TcpNotes):
            continue
        for name, notes in ((one.flow.host, one.host), (one.flow.vm, one.vm)):
            if notes.failure and notes.failed <= seen.settled:
                yield f"{one.flow.name} at {name}: {notes.failure}"
            elif notes.torn:
                yield f"{one.flow.name} at {name}: {notes.torn} beats out of order"
            elif not any(alive_since <= t <= seen.settled for _, t in notes.beats):
                yield f"{one.flow.name} at {name}: not heard again"
