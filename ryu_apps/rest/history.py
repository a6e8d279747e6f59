"""Migrations step by step, and the newest log events.

Each time is given twice: ``t`` is monotonic, for differences; ``wall`` is Unix time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.migrations import HISTORY, MigrationPart, MigrationState
from ryu_apps.evb.bridge.vsi_queries import MigrationStatus
from ryu_apps.evb.event_catalogue.base import LogEvent, Repetitions
from ryu_apps.evb.event_catalogue.vsis import CountersExtracted
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.rest.bridge import Bridge, RestError
from ryu_apps.rest.event_ids import EventId
from ryu_apps.rest.stream import EventFeed
from ryu_apps.rest.text import dpid_text


class EventJson(TypedDict):
    """A log event."""

    t: float
    wall: float
    kind: str
    dpid: str | None
    port: str | None
    detail: dict[str, object]


class NumberedEventJson(EventJson):
    """A log event with its place among all of them."""

    id: str
    vsi: str | None


class StepJson(EventJson):
    """A log event with its arrow and words in the ladder of a migration; null and empty: it is no step."""

    arrow: str | None
    words: str


class CarriedJson(TypedDict):
    """State of a service that a migration has carried."""

    name: str
    state: str
    carried: int
    fixed_up: int
    fix_up_secs: float | None


class MigrationJson(TypedDict):
    """A move of a VSI, step by step."""

    id: int
    vsi: str
    state: str
    source: str | None
    destination: str
    finished: bool
    services: list[CarriedJson]
    statistics: dict[str, object] | None
    events: list[StepJson]


def migrations(
    bridge: Bridge,
    now: float,
    vsi: str | None = None,
    port: PortId | None = None,
    switch: int | None = None,
    newest: int = HISTORY,
    after: int = 0,
) -> Iterator[MigrationJson]:
    """The newest migrations, oldest first; of one VSI, from or to a port or switch, or all."""
    chosen = [
        found
        for found in bridge.queries.vsis.migrations(vsi)
        if found.number > after and _about((found.source, found.destination), port, switch)
    ]
    return (_migration_json(bridge, found) for found in chosen[-newest:])


def migration(bridge: Bridge, now: float, number: int) -> MigrationJson:
    """One migration.

    Raises:
        RestError: 404, there was none of that number, or it is no longer kept.
    """
    found = bridge.queries.vsis.migration(number)
    if found is None:
        raise RestError(404, f"no migration {number}")
    return _migration_json(bridge, found)


def events(
    bridge: Bridge,
    now: float,
    since: float = -inf,
    vsi: str | None = None,
    port: PortId | None = None,
    switch: int | None = None,
    after: EventId | None = None,
) -> Iterator[NumberedEventJson]:
    """The log events that are kept, oldest first; ``since`` is the ``t`` of the last one that the client has."""
    journal, life = bridge.journal, bridge.queries.fencing.generation
    wanted, shown = _about_subject(vsi, port, switch), _numbered(bridge, life)
    # Of another life of the bridge: all that there are have come later.
    least = after.number if after is not None and after.life == life else 0
    chosen = [
        (number, when, happened)
        for number, (when, happened) in enumerate(journal.entries, journal.kept - len(journal.entries) + 1)
        if when > since and number > least and wanted(happened)
    ]
    return (shown(*entry) for entry in chosen)


def event_stream(
    bridge: Bridge,
    now: float,
    vsi: str | None = None,
    port: PortId | None = None,
    switch: int | None = None,
    after: EventId | None = None,
) -> EventFeed:
    """The log events as they happen, as server-sent events; ``Last-Event-ID`` or ``after`` resumes."""
    life = bridge.queries.fencing.generation
    return EventFeed(bridge.journal, _about_subject(vsi, port, switch), _numbered(bridge, life), life, after)


def _about_subject(vsi: str | None, port: PortId | None, switch: int | None) -> Callable[[LogEvent], bool]:
    return lambda happened: (
        vsi in (None, happened.vsi) and port in (None, happened.port) and switch in (None, happened.dpid)
    )


def _numbered(bridge: Bridge, life: int) -> Callable[[int, float, LogEvent], NumberedEventJson]:
    """The JSON form of an event of a number and a time."""

    def shown(number: int, when: float, happened: LogEvent) -> NumberedEventJson:
        return {
            "id": str(EventId(life, number)),
            **_event_json(bridge, when, happened),
            "vsi": happened.vsi,
        }

    return shown


def _about(places: Iterable[PortId | None], port: PortId | None, switch: int | None) -> bool:
    known = [place for place in places if place is not None]
    return (port is None or port in known) and (switch is None or switch in [place.dpid for place in known])


def _migration_json(bridge: Bridge, found: MigrationStatus) -> MigrationJson:
    return {
        "id": found.number,
        "vsi": found.vsi,
        "state": found.state.value,
        "source": str(found.source) if found.source else None,
        "destination": str(found.destination),
        "finished": found.finished,
        "services": [_service_json(found, name, share) for name, share in found.services.items()],
        "statistics": _extracted(found),
        "events": [_step_json(bridge, when, happened) for when, happened in found.steps],
    }


#: State of a service in the switches, by the state of the migration; after a failure nothing is left of it.
_SERVICE_STATES = {
    MigrationState.STAGING: "staging",
    MigrationState.STAGED: "staged",
    MigrationState.ACTIVATING: "staged",
    MigrationState.COMPLETED: "active",
}


def _service_json(found: MigrationStatus, name: str, share: MigrationPart) -> CarriedJson:
    return {
        "name": name,
        "state": _SERVICE_STATES.get(found.state, "gone"),
        "carried": share.carried,
        "fixed_up": share.fixed_up,
        "fix_up_secs": share.fix_up_secs,
    }


def _extracted(found: MigrationStatus) -> dict[str, object] | None:
    """The totals of the last reading at the source; None: there was no reading."""
    read = (step.detail for _, step in reversed(found.steps) if _is_extraction(step, found))
    return next(read, None)


def _is_extraction(step: LogEvent, found: MigrationStatus) -> bool:
    return isinstance(step, CountersExtracted) and step.port == found.source


def _step_json(bridge: Bridge, when: float, happened: LogEvent) -> StepJson:
    arrow = None if isinstance(happened, Repetitions) else happened.row.ladder
    return {
        **_event_json(bridge, when, happened),
        "arrow": None if arrow is None else arrow.name.lower(),
        "words": happened.ladder_text,
    }


def _event_json(bridge: Bridge, when: float, happened: LogEvent) -> EventJson:
    return {
        "t": when,
        "wall": when + bridge.wall_offset,
        "kind": happened.kind,
        "dpid": None if happened.dpid is None else dpid_text(happened.dpid),
        "port": str(happened.port) if happened.port else None,
        "detail": happened.detail,
    }
