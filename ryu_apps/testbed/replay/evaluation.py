"""Report of a finished migration: figures, verdict, rules as evidence, and the ladder diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.topology.fabric import Fabric, PortId
from ryu_apps.testbed.flow_dumps import added
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.probes import Notes, UdpNotes
from ryu_apps.testbed.ladder import text
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.timeline import steps_of
from ryu_apps.testbed.measurement.measure import FlowEnds, Seen, figures, seen_of, staged_alone
from ryu_apps.testbed.measurement.verdict import failures
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.testbed.moves.evidence import Evidence
from ryu_apps.testbed.replay.report import MigrationReport
from ryu_apps.testbed.replay.scenario import Scenario
from ryu_apps.testbed.replay.schema import MigrationSpec


@dataclass(frozen=True, slots=True)
class Moved:
    """A migration that is over.

    Attributes:
        spec: as written.
        attempt: the move, with its evidence.
        rules_left: rules of the VSI where the VM is not.
        services: work of each service, as REST shows it.
        timeline: the controller's events of the VSI since the migration began.
    """

    spec: MigrationSpec
    attempt: Attempt
    rules_left: int
    services: tuple[dict[str, Any], ...]
    timeline: tuple[dict[str, Any], ...]

    @property
    def evidence(self) -> Evidence:
        """Evidence of the attempt."""
        return self.attempt.evidence

    @property
    def ports(self) -> tuple[PortId, PortId]:
        """Bridge ports of source and destination."""
        return self.attempt.source.port, self.attempt.destination.port


@dataclass(frozen=True, slots=True)
class Observed:
    """Notes of the probes and taps of a whole scenario.

    Attributes:
        notes: end -> flow -> notes.
        announcements: RARPs at the end systems.
    """

    notes: Mapping[str, Mapping[str, Notes]]
    announcements: Sequence[Sighting]


def evaluate(
    scenario: Scenario, fabric: Fabric, moved: Moved, observed: Observed, settled: float
) -> tuple[MigrationReport, LadderDiagram]:
    """The report and the ladder of one migration, whose figures close at ``settled``."""
    seen = _seen(scenario, moved, observed, settled)
    result = figures(seen)
    ladder = _ladder(fabric, moved, seen)
    dumps = moved.evidence.dumps
    before = dumps["before"]
    report = MigrationReport(
        result,
        tuple(failures(result, moved.spec.expect)),
        staged=tuple(rule.line for rule in added(before, dumps.get("staged", before))),
        active=tuple(rule.line for rule in added(before, dumps.get("active", before))),
        strays=tuple(sighting.data.hex() for sighting in [*moved.evidence.at_staged_port, *seen.announced]),
        services=moved.services,
        timeline=moved.timeline,
        ladder=text.render(ladder),
        marks=moved.evidence.marks,
    )
    return report, ladder


def _seen(scenario: Scenario, moved: Moved, observed: Observed, settled: float) -> Seen:
    notes = observed.notes
    flows = [flow for flow in scenario.flows if flow.vm == moved.spec.vm]
    ends = [FlowEnds(flow, notes[flow.host][flow.name], notes[flow.vm][flow.name]) for flow in flows]
    staged = staged_alone(moved.evidence.dumps)
    return seen_of(moved.attempt, ends, observed.announcements, moved.rules_left, settled, staged)


def _ladder(fabric: Fabric, moved: Moved, seen: Seen) -> LadderDiagram:
    here, there = moved.ports
    names = {
        Lane.VCM: "VCM",
        Lane.SOURCE: seen.source,
        Lane.DESTINATION: seen.destination,
        Lane.SOURCE_SWITCH: fabric.switches[here.dpid].name,
        Lane.DESTINATION_SWITCH: fabric.switches[there.dpid].name,
        Lane.VM: seen.vm,
    }
    title = f"{seen.ladder}: {seen.vm} from {seen.source} to {seen.destination}, {moved.evidence.outcome.value}"
    steps = moved.evidence.steps + steps_of(moved.timeline, str(here), str(there)) + _first_packets(seen)
    return LadderDiagram(title, names, tuple(steps))


def _first_packets(seen: Seen) -> list[LadderStep]:
    """The first datagram each way after the VM was resumed."""
    resumed = seen.evidence.marks.resumed
    if not resumed:
        return []
    ways = (
        ([ends.vm for ends in seen.ends], Lane.DESTINATION_SWITCH, Lane.VM, "first packet to the VM"),
        ([ends.host for ends in seen.ends], Lane.VM, Lane.DESTINATION_SWITCH, "first packet from the VM has arrived"),
    )
    return [
        LadderStep(min(arrivals), origin, target, words)
        for notes, origin, target, words in ways
        if (arrivals := [t for end in notes if isinstance(end, UdpNotes) for _, _, t in end.heard if t >= resumed])
    ]
