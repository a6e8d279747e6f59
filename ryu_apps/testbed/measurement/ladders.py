"""The ladder diagram of a move: its steps, the controller's events, and the first packets behind it."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.testbed.harness.probes import UdpNotes
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.timeline import TimelineEntry, steps_of
from ryu_apps.testbed.measurement.measure import Seen


def ladder_of(
    fabric: Fabric, ports: tuple[PortId, PortId], seen: Seen, timeline: Iterable[TimelineEntry]
) -> LadderDiagram:
    """The diagram of a move.

    Args:
        ports: bridge ports of source and destination.
        timeline: the controller's events of the VSI since the move began.
    """
    here, there = ports
    names = {
        Lane.VCM: "VCM",
        Lane.SOURCE: seen.source,
        Lane.DESTINATION: seen.destination,
        Lane.SOURCE_SWITCH: fabric.switches[here.dpid].name,
        Lane.DESTINATION_SWITCH: fabric.switches[there.dpid].name,
        Lane.VM: seen.vm,
    }
    title = f"{seen.ladder}: {seen.vm} from {seen.source} to {seen.destination}, {seen.evidence.outcome.value}"
    steps = seen.evidence.steps + steps_of(timeline, str(here), str(there)) + _first_packets(seen)
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
