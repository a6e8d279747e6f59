"""From what was seen of an attempt to its figures, the same as those of a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.wire.association import VdpMode
from ryu_apps.testbed.flow_dumps import owner_at, read_dump
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.exchanges import exchange, vdp_messages
from ryu_apps.testbed.harness.probes import Notes, TcpNotes, UdpNotes, judge
from ryu_apps.testbed.manager.guests import CLIENT, TestVm
from ryu_apps.testbed.manager.hands import Attempt
from ryu_apps.testbed.manager.report import AttemptReport
from ryu_apps.testbed.replay.evaluation import leaked_announcements
from ryu_apps.testbed.replay.measure import LEAD, FlowEnds, Seen, figures
from ryu_apps.testbed.replay.report import Figures, failures
from ryu_apps.testbed.replay.scenario import Expectation
from ryu_apps.vcm.move import Ladder


def attempt_report(
    attempt: Attempt, ends: Sequence[FlowEnds], announced: Iterable[Sighting], rules_left: int, settled: float
) -> AttemptReport:
    """The figures of one attempt.

    Args:
        ends: notes of both ends of the VM's flows.
        announced: RARPs that end systems saw.
        rules_left: rules of the VSI where it is not, when everything is over.
        settled: when the figures close, monotonic seconds.
    """
    mac = bytes.fromhex(attempt.move.vm.mac.replace(":", ""))
    evidence = attempt.evidence
    mine = [one for one in announced if one.data[6:12] == mac and one.t <= settled]
    seen = Seen(
        vm=attempt.vm,
        ladder=attempt.way.value,
        source=attempt.source,
        destination=attempt.node,
        vsi=attempt.move.vsi.uuid,
        evidence=evidence,
        uplink=attempt.move.destination.tap.sightings,
        ends=ends,
        announced=leaked_announcements(mine, evidence.marks),
        rules_left=rules_left,
        settled=settled,
    )
    found = _of_restart(seen) if attempt.way is Ladder.RESTART else figures(seen)
    if found.blackout_ms is None and attempt.way is not Ladder.RESTART and ends:
        to_vm, from_vm = _silences(seen)
        found = replace(found, blackout_to_vm_ms=to_vm, blackout_from_vm_ms=from_vm)
    found = replace(found, rules_staged=_staged(attempt), gates_staged=_gates(attempt))
    wanted = Expectation(outcome=evidence.outcome)
    return AttemptReport(attempt.way.value, attempt.owner.home, found, tuple(failures(found, wanted)))


def _staged(attempt: Attempt) -> int:
    """Rules of the VSI's own that staging brought; others are staged at the same time."""
    dumps = attempt.evidence.dumps
    brought = read_dump(sorted(set(dumps.get("staged", [])) - set(dumps["before"])))
    cookies = [rule.cookie for rule in brought if rule.cookie is not None]
    return sum(one.kind is CookieKind.VSI_BODY and one.owner == attempt.index for one in cookies)


def _gates(attempt: Attempt) -> int:
    """Did anything let the VM in at the destination's port before Associate?"""
    staged = read_dump(attempt.evidence.dumps.get("staged", []))
    return int(owner_at(staged, attempt.move.destination.port.port_no, attempt.move.vm.mac) is not None)


def _silences(seen: Seen) -> Iterator[float | None]:
    """Blackouts, to the VM and from it, if it is only spoken to over TCP: the longest time without a beat, in
    milliseconds, retransmission included.
    """
    begin = seen.evidence.marks.begun - LEAD
    streams = [(one.vm, one.host) for one in seen.ends]
    for ends in zip(*streams, strict=True):
        times = [[t for _, t in one.beats if begin <= t <= seen.settled] for one in ends if isinstance(one, TcpNotes)]
        gaps = [later - earlier for one in times for earlier, later in pairwise(one)]
        yield 1000.0 * max(gaps) if gaps else None


def _of_restart(seen: Seen) -> Figures:
    """The VM that died took its notes along, and its streams: what counts is from its death on.

    The moment of its death stands for the last arrival, so that the first gap is the blackout; it is back when
    what runs in it speaks.
    """
    evidence, marks = seen.evidence, seen.evidence.marks
    died = marks.suspended
    ends = [
        FlowEnds(one.flow, _since(one.host, died), _since(one.vm, died)) for one in seen.ends if one.flow.proto == "udp"
    ]
    spoken = [one.vm.sent[0] for one in ends if isinstance(one.vm, UdpNotes) and one.vm.sent]
    resumed = max([marks.resumed, *spoken]) if marks.resumed else 0.0
    since = replace(seen, evidence=replace(evidence, marks=replace(marks, begun=died, resumed=resumed)), ends=ends)
    staging = exchange(vdp_messages(seen.uplink), VdpMode.PREASSOCIATE_RR, seen.vsi, marks.begun)
    return replace(figures(since), stage_ms=staging.seconds * 1000.0 if staging else None)


def _since(notes: Notes, died: float) -> Notes:
    if not isinstance(notes, UdpNotes):
        return notes
    later = tuple(one for one in notes.heard if one[2] >= died)
    return replace(notes, heard=((-1, died, died), *later) if later else ())


def ends_of(guest: TestVm, client: dict[str, Notes]) -> list[FlowEnds]:
    """Both ends' notes of a VM's flows."""
    return [FlowEnds(flow, client[flow.name], guest.notes[flow.name]) for flow in guest.flows if flow.host == CLIENT]


def lost_at_rest(ends: Iterable[FlowEnds], begin: float, finish: float) -> int:
    """Datagrams of a VM that stayed, lost although policy lets them through."""
    lost = 0
    for one in ends:
        if one.flow.passes and isinstance(one.host, UdpNotes) and isinstance(one.vm, UdpNotes):
            ways = ((one.host, one.vm), (one.vm, one.host))
            lost += sum(judge(*way, begin, begin, finish).lost for way in ways)
    return lost
