"""From a finished migration to its report: figures, verdict, rules as evidence, and the ladder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.topology.fabric import Fabric, PortId
from ryu_apps.testbed.flow_dumps import added
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.prober import LEAK_MAGIC
from ryu_apps.testbed.harness.probes import Notes, UdpNotes
from ryu_apps.testbed.ladder import text
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.timeline import steps_of
from ryu_apps.testbed.replay.cluster_manager import Evidence, Marks
from ryu_apps.testbed.replay.measure import FlowEnds, Seen, figures
from ryu_apps.testbed.replay.report import MigrationReport, failures
from ryu_apps.testbed.replay.scenario import MigrationSpec, Scenario


@dataclass(frozen=True, slots=True)
class Moved:
    """A migration that is over.

    Attributes:
        spec: what was wanted.
        source: the hypervisor the VM was at.
        ports: of source and destination.
        evidence: the VCM's.
        rules_left: rules of the VSI where the VM is not.
        services: what each service had to do, as the controller tells it.
        timeline: the controller's events of the VSI meanwhile.
    """

    spec: MigrationSpec
    source: str
    ports: tuple[PortId, PortId]
    evidence: Evidence
    rules_left: int
    services: tuple[dict[str, Any], ...]
    timeline: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What the whole scenario's probes and taps noted.

    Attributes:
        notes: end -> flow -> notes.
        uplinks: hypervisor -> VDP on its uplink.
        announcements: RARPs at the end systems.
    """

    notes: Mapping[str, Mapping[str, Notes]]
    uplinks: Mapping[str, Sequence[Sighting]]
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
        strays=tuple(one.data.hex() for one in [*moved.evidence.at_staged_port, *seen.announced]),
        services=moved.services,
        timeline=moved.timeline,
        ladder=text.render(ladder),
    )
    return report, ladder


def _seen(scenario: Scenario, moved: Moved, observed: Observed, settled: float) -> Seen:
    spec, evidence, notes = moved.spec, moved.evidence, observed.notes
    mac = bytes.fromhex(scenario.file.vms[spec.vm].mac.replace(":", ""))
    return Seen(
        vm=spec.vm,
        ladder=spec.ladder.value,
        source=moved.source,
        destination=spec.to,
        vsi=scenario.vsis[spec.vm].uuid,
        evidence=evidence,
        uplink=observed.uplinks[spec.to],
        ends=[
            FlowEnds(flow, notes[flow.host][flow.name], notes[flow.vm][flow.name])
            for flow in scenario.flows
            if flow.vm == spec.vm
        ],
        announced=leaked_announcements(
            [one for one in observed.announcements if one.data[6:12] == mac and one.t <= settled], evidence.marks
        ),
        rules_left=moved.rules_left,
        settled=settled,
    )


def leaked_announcements(announcements: Iterable[Sighting], marks: Marks) -> list[Sighting]:
    """Of the RARPs of a VM that reached an end system, those that should not have.

    One that was injected at the staged port bears a mark and is a leak whenever it arrives.  Any other is
    one until the destination associates; from then on the bridge announces the VM, and so may the VM.
    """
    welcome = marks.associating or float("inf")
    return [one for one in announcements if one.t >= marks.begun and (LEAK_MAGIC in one.data or one.t < welcome)]


def _ladder(fabric: Fabric, moved: Moved, seen: Seen) -> LadderDiagram:
    here, there = moved.ports
    names = {
        Lane.VCM: "VCM",
        Lane.SOURCE: moved.source,
        Lane.DESTINATION: moved.spec.to,
        Lane.SOURCE_SWITCH: fabric.switches[here.dpid].name,
        Lane.DESTINATION_SWITCH: fabric.switches[there.dpid].name,
        Lane.VM: seen.vm,
    }
    title = f"{seen.ladder}: {seen.vm} from {moved.source} to {moved.spec.to}, {moved.evidence.outcome.value}"
    steps = moved.evidence.steps + steps_of(moved.timeline, str(here), str(there)) + _first_packets(seen)
    return LadderDiagram(title, names, tuple(steps))


def _first_packets(seen: Seen) -> list[LadderStep]:
    """The first datagram each way after the VM was resumed."""
    resumed = seen.evidence.marks.resumed
    if not resumed:
        return []
    ways = (
        ([one.vm for one in seen.ends], Lane.DESTINATION_SWITCH, Lane.VM, "first packet to the VM"),
        ([one.host for one in seen.ends], Lane.VM, Lane.DESTINATION_SWITCH, "first packet from the VM has arrived"),
    )
    return [
        LadderStep(min(arrivals), origin, target, words)
        for notes, origin, target, words in ways
        if (arrivals := [t for one in notes if isinstance(one, UdpNotes) for _, _, t in one.heard if t >= resumed])
    ]
