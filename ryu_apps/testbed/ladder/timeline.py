"""From the controller's events to steps of a ladder.

The wire's own view (which frame when) is in these events too: ``vdp.request`` is written as the frame is taken from
the switch, ``vdp.response`` as the answer is handed to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ryu_apps.evb.event_catalogue.base import LadderArrow
from ryu_apps.evb.event_catalogue.catalogue import from_json
from ryu_apps.testbed.ladder.model import LadderStep, Lane

#: A timeline event as REST shows it: t, kind, port, detail.
TimelineEntry = Mapping[str, Any]


def steps_of(events: Iterable[TimelineEntry], source: str, destination: str) -> list[LadderStep]:
    """The steps of a migration's timeline.

    Args:
        events: as in ``GET /evb/migrations/{id}``; kinds that have no place in a ladder are left out.
        source, destination: the two ports as REST writes them (``0000000000000001:1``).
    """
    ends = {source: (Lane.SOURCE, Lane.SOURCE_SWITCH), destination: (Lane.DESTINATION, Lane.DESTINATION_SWITCH)}
    steps = []
    for entry in events:
        end, event = ends.get(entry["port"]), from_json(entry)
        if end is None or event is None or event.row.ladder is None:
            continue
        station, switch = end
        origin, target = {
            LadderArrow.FROM_STATION: (station, switch),
            LadderArrow.TO_STATION: (switch, station),
            LadderArrow.AT_SWITCH: (switch, switch),
        }[event.row.ladder]
        steps.append(LadderStep(entry["t"], origin, target, event.ladder_text))
    return steps
