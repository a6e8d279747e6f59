"""Journals of several bridges side by side: who acted when another one led."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ryu_apps.evb.event_catalogue.cluster import LeadBegun
from ryu_apps.evb.event_catalogue.vsis import BodyStaged, VdpAnswered, VsiActive

#: What only a leader does: answers to stations, and changes that a switch has confirmed.
ACTS = frozenset(event.row.kind for event in (VdpAnswered, BodyStaged, VsiActive))


def late_acts(journals: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Return, as text, acts of a bridge after another one had begun to lead, and before it led again itself.

    Args:
        journals: events as REST shows them, by the name of the bridge; their times are of one clock.
    """
    leader, late = "", []
    events = [(event["t"], name, event) for name, journal in journals.items() for event in journal]
    for _, name, event in sorted(events, key=lambda entry: entry[0]):
        if event["kind"] == LeadBegun.row.kind:
            leader = name
        elif event["kind"] in ACTS and leader not in ("", name):
            late.append(f"{name} while {leader} leads: {event['kind']} of {event['vsi']}")
    return late
