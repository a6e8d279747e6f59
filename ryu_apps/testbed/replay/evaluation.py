"""Report of a finished migration: figures, verdict, rules as evidence, and the ladder diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.testbed.flow_dumps import added
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.probes import Notes
from ryu_apps.testbed.ladder import text
from ryu_apps.testbed.ladder.model import LadderDiagram
from ryu_apps.testbed.measurement.ladders import ladder_of
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
    ladder = ladder_of(fabric, moved.ports, seen, moved.timeline)
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
