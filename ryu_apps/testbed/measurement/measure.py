"""Figures of one move from its evidence, frames and probes.  Pure.

The same for a scenario and for a cluster manager's goal; a VM that starts anew counts from the death of its node on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.testbed.flow_dumps import DumpedRule, added, gates, owner_at, read_dump
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.exchanges import Exchange, VdpMessage, exchange, vdp_messages
from ryu_apps.testbed.harness.prober import LEAK_MAGIC
from ryu_apps.testbed.harness.probes import Flow, Notes, TcpNotes, UdpNotes, Window, judge
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.testbed.moves.evidence import Evidence, Marks, MoveOutcome
from ryu_apps.vcm.move_events import Ladder

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
class StagedRules:
    """Rules that staging has brought to the destination's switch.

    Attributes:
        body: rules of the VSI's body.
        gates: rules that let the VM in; must be 0.
    """

    body: int = 0
    gates: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """The time, monotonic seconds, in which an appliance of the VM's traffic was under way."""

    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Seen:
    """All observations of one move.

    Attributes:
        vm, ladder, source, destination: of the move; names.
        vsi: canonical text of its VSIID.
        evidence: of the steps.
        uplink: VDP at the destination's uplink.
        ends: the VM's flows.
        announced: RARPs with the VM's address that reached an end system and should not have.
        rules_left: see ``flow_dumps.left_behind``.
        settled: when the figures close, monotonic seconds.
        staged: rules that staging has brought.
        pauses: of appliances that the VM needs.
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
    staged: StagedRules = StagedRules()
    pauses: Sequence[Pause] = ()


def seen_of(
    attempt: Attempt,
    ends: Sequence[FlowEnds],
    announcements: Iterable[Sighting],
    rules_left: int,
    settled: float,
    staged: StagedRules,
    pauses: Sequence[Pause] = (),
) -> Seen:
    """Collect the observations of an attempt.

    Args:
        ends: notes of both ends of the VM's flows.
        announcements: RARPs that end systems received, of any VM.
        rules_left: rules of the VSI where the VM is not.
        settled: when the figures close, monotonic seconds.
        staged: see :func:`staged_alone` and :func:`staged_among_others`.
    """
    macs = {bytes.fromhex(face.mac.replace(":", "")) for face in attempt.vm.interfaces}
    own = [sighting for sighting in announcements if sighting.data[6:12] in macs and sighting.t <= settled]
    return Seen(
        vm=attempt.vm.name,
        ladder=attempt.ladder.value,
        source=attempt.source.name,
        destination=attempt.destination.name,
        vsi=attempt.vsi.uuid,
        evidence=attempt.evidence,
        uplink=attempt.destination.tap.sightings,
        ends=ends,
        announced=leaked_announcements(own, attempt.evidence.marks),
        rules_left=rules_left,
        settled=settled,
        staged=staged,
        pauses=pauses,
    )


def leaked_announcements(announcements: Iterable[Sighting], marks: Marks) -> list[Sighting]:
    """Return those RARPs of a VM at an end system that should not have reached it.

    A RARP that was injected at the staged port bears a mark and is a leak whenever it arrives.  Any other is a leak
    until the destination associates; from then on the bridge announces the VM, and so may the VM.
    """
    associating = marks.associating or float("inf")
    return [
        sighting
        for sighting in announcements
        if sighting.t >= marks.begun and (LEAK_MAGIC in sighting.data or sighting.t < associating)
    ]


def staged_alone(dumps: Mapping[str, list[str]]) -> StagedRules:
    """Count what staging has brought to a switch at which no other VM moves.

    Memberships of other VSIs may change meanwhile: listeners report when they like.  Members of the sets that its rules
    name come with it; they are part of the gates of other VSIs.
    """
    brought = added(dumps["before"], dumps["staged"]) if "staged" in dumps else []
    cookies = [rule.cookie for rule in brought if rule.cookie is not None]
    indices = {cookie.owner for cookie in cookies if cookie.kind is CookieKind.VSI_BODY}
    body = [rule for rule in brought if not _is_of_others(rule, indices)]
    # Pages of groups are staged: each of their copies has yet to pass the gate, in GROUP_GATE.
    copies = [rule for rule in brought if rule.table == Table.FLOOD_PAGE and rule.copied_to & indices]
    return StagedRules(len(body), len(gates(body)) + len(copies))


def _is_of_others(rule: DumpedRule, indices: set[int]) -> bool:
    """True for a membership of groups, which VSIs share, and for a member of a set that is another VSI."""
    if rule.cookie is None:
        return False
    return rule.cookie.kind is CookieKind.MEMBERSHIP or (
        rule.table == Table.MEMBERS and rule.cookie.owner not in indices
    )


def staged_among_others(
    dumps: Mapping[str, list[str]], index: int | None, port_no: int | None, mac: str
) -> StagedRules:
    """Count what staging has brought for one VSI while other VMs move, too.

    Args:
        index: the bridge's number of the VSI at the switch, by which its rules are known; None: it has none.
        port_no, mac: of the VM at the destination; None: any port of its switch.
    """
    staged = dumps.get("staged", [])
    brought = read_dump(sorted(set(staged) - set(dumps["before"])))
    cookies = [rule.cookie for rule in brought if rule.cookie is not None]
    body = sum(cookie.kind is CookieKind.VSI_BODY and cookie.owner == index for cookie in cookies)
    return StagedRules(body, int(owner_at(read_dump(staged), port_no, mac) is not None))


def figures(seen: Seen) -> Figures:
    """Compute the figures of one move."""
    if seen.ladder == Ladder.RESTART.value:
        return _of_restart(seen)
    found = _of_move(seen)
    if found.blackout_ms is None and seen.ends:
        to_vm, from_vm = _silences(seen)
        found = replace(found, blackout_to_vm_ms=to_vm, blackout_from_vm_ms=from_vm)
    return found


def _of_move(seen: Seen) -> Figures:
    marks, evidence = seen.evidence.marks, seen.evidence
    messages = list(vdp_messages(seen.uplink))
    staging = exchange(messages, VdpMode.PREASSOCIATE_RR, seen.vsi, marks.begun)
    associating = exchange(messages, VdpMode.ASSOCIATE, seen.vsi, marks.associating) if marks.associating else None
    mark = associating.request.t if associating else None
    to_vm = [_window(seen, pair.host, pair.vm, mark) for pair in _open_udp(seen.ends)]
    from_vm = [_window(seen, pair.vm, pair.host, mark) for pair in _open_udp(seen.ends)]
    completed = evidence.outcome is MoveOutcome.COMPLETED
    return Figures(
        vm=seen.vm,
        ladder=seen.ladder,
        source=seen.source,
        destination=seen.destination,
        outcome=evidence.outcome,
        reason=evidence.reason,
        error=_refusal(messages, seen.vsi, marks.begun),
        rules_staged=seen.staged.body,
        gates_staged=seen.staged.gates,
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
        wrongly_passed=sum(_arrived(pair, marks.begun, seen.settled) for pair in _udp(seen.ends, passes=False)),
        wrongly_blocked=sum(_lost_at_rest(seen, pair) for pair in _open_udp(seen.ends)),
        blocked=sum(_attempts(pair, marks.begun, seen.settled) for pair in _udp(seen.ends, passes=False)),
        rules_left=seen.rules_left,
        streams_broken=tuple(_broken(seen)),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    host: UdpNotes
    vm: UdpNotes


def _udp(ends: Iterable[FlowEnds], passes: bool) -> list[_Pair]:
    return [
        _Pair(end.host, end.vm)
        for end in ends
        if isinstance(end.host, UdpNotes) and isinstance(end.vm, UdpNotes) and end.flow.passes is passes
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
        return 0  # it was taken back: the time at which it ran again is not known
    return _lost(pair, begin, seen.settled, seen.pauses)


def _lost(pair: _Pair, begin: float, finish: float, pauses: Iterable[Pause]) -> int:
    """Datagrams lost, both ways, that were not lost because an appliance was under way."""
    ways = (pair.host, pair.vm), (pair.vm, pair.host)
    return sum(judge(*way, begin, begin, finish).lost - _excused(*way, begin, finish, pauses) for way in ways)


def _excused(sender: UdpNotes, receiver: UdpNotes, begin: float, finish: float, pauses: Iterable[Pause]) -> int:
    """Datagrams lost from the suspension of an appliance until the first that it has passed on again."""
    heard = {number for number, _, _ in receiver.heard}
    lost: set[int] = set()
    for pause in pauses:
        again = min((number for number, _, t in receiver.heard if number >= 0 and t >= pause.ended), default=None)
        until = pause.ended if again is None else max(pause.ended, sender.sent[again])
        since = max(begin, pause.begun - LEAD)
        lost |= {number for number, t in enumerate(sender.sent) if since <= t <= min(finish, until)} - heard
    return len(lost)


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
    datagrams = sum(notes.leaked for end in seen.ends for notes in (end.host, end.vm) if isinstance(notes, UdpNotes))
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
    for flow_ends in seen.ends:
        if not isinstance(flow_ends.host, TcpNotes) or not isinstance(flow_ends.vm, TcpNotes):
            continue
        for name, notes in ((flow_ends.flow.host, flow_ends.host), (flow_ends.flow.vm, flow_ends.vm)):
            if notes.failure and notes.failed <= seen.settled:
                yield f"{flow_ends.flow.name} at {name}: {notes.failure}"
            elif notes.torn:
                yield f"{flow_ends.flow.name} at {name}: {notes.torn} beats out of order"
            elif not any(alive_since <= t <= seen.settled for _, t in notes.beats):
                yield f"{flow_ends.flow.name} at {name}: not heard again"


def _silences(seen: Seen) -> Iterator[float | None]:
    """Blackouts, to the VM and from it, if it is only spoken to over TCP: the longest time without a beat, in
    milliseconds, retransmission included.
    """
    begin = seen.evidence.marks.begun - LEAD
    streams = [(flow_ends.vm, flow_ends.host) for flow_ends in seen.ends]
    for ends in zip(*streams, strict=True):
        beats = [end.beats for end in ends if isinstance(end, TcpNotes)]
        times = [[t for _, t in numbered if begin <= t <= seen.settled] for numbered in beats]
        gaps = [later - earlier for instants in times for earlier, later in pairwise(instants)]
        yield 1000.0 * max(gaps) if gaps else None


def _of_restart(seen: Seen) -> Figures:
    """The VM that died took its notes along, and its streams: what counts is from its death on.

    The moment of its death stands for the last arrival, so that the first gap is the blackout; it is back when
    its probes send.
    """
    evidence, marks = seen.evidence, seen.evidence.marks
    died = marks.suspended
    ends = [
        FlowEnds(end.flow, _since(end.host, died), _since(end.vm, died)) for end in seen.ends if end.flow.proto == "udp"
    ]
    spoken = [end.vm.sent[0] for end in ends if isinstance(end.vm, UdpNotes) and end.vm.sent]
    resumed = max([marks.resumed, *spoken]) if marks.resumed else 0.0
    since = replace(seen, evidence=replace(evidence, marks=replace(marks, begun=died, resumed=resumed)), ends=ends)
    staging = exchange(vdp_messages(seen.uplink), VdpMode.PREASSOCIATE_RR, seen.vsi, marks.begun)
    return replace(_of_move(since), stage_ms=staging.seconds * 1000.0 if staging else None)


def _since(notes: Notes, died: float) -> Notes:
    if not isinstance(notes, UdpNotes):
        return notes
    later = tuple(arrival for arrival in notes.heard if arrival[2] >= died)
    return replace(notes, heard=((-1, died, died), *later) if later else ())


def lost_at_rest(ends: Iterable[FlowEnds], begin: float, finish: float, pauses: Sequence[Pause] = ()) -> int:
    """Datagrams of a VM that stayed, lost although policy lets them through and its appliances were at rest."""
    return sum(_lost(pair, begin, finish, pauses) for pair in _open_udp(ends))
