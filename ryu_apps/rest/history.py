"""What happened: migrations step by step, and everything else for as long as it is remembered.

Times are given twice: ``t`` is monotonic and good for differences, ``wall`` is Unix time.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.bridge.migrations import MigrationPart, MigrationState
from ryu_apps.evb.bridge.vsi_queries import MigrationStatus
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import CountersExtracted
from ryu_apps.rest.bridge import Bridge, JsonValue, RestError
from ryu_apps.rest.text import dpid_text


def migrations(bridge: Bridge, now: float, vsi: str | None = None) -> Iterator[JsonValue]:
    """The migrations the bridge remembers, oldest first; of one VSI or of all."""
    return (_migration_json(bridge, found) for found in bridge.queries.vsis.migrations(vsi))


def migration(bridge: Bridge, now: float, number: int) -> JsonValue:
    """One migration.

    Raises:
        RestError: 404, there was none of that number, or it is forgotten.
    """
    found = bridge.queries.vsis.migration(number)
    if found is None:
        raise RestError(404, f"no migration {number}")
    return _migration_json(bridge, found)


def events(bridge: Bridge, now: float, since: float | None = None) -> Iterator[JsonValue]:
    """What the journal still holds, oldest first; ``since`` is the ``t`` of the last one already seen."""
    chosen = [entry for entry in bridge.journal.entries if since is None or entry[0] > since]
    return ({**_event_json(bridge, when, happened), "vsi": happened.vsi} for when, happened in chosen)


def _migration_json(bridge: Bridge, one: MigrationStatus) -> JsonValue:
    return {
        "id": one.number,
        "vsi": one.vsi,
        "state": one.state.value,
        "source": str(one.source) if one.source else None,
        "destination": str(one.destination),
        "finished": one.finished,
        "services": [_service_json(one, name, share) for name, share in one.services.items()],
        "statistics": _extracted(one),
        "events": [_event_json(bridge, when, happened) for when, happened in one.steps],
    }


#: What the switches hold of a service, by the state of the migration; nothing, once it has failed.
_SERVICE_STATES = {
    MigrationState.STAGING: "staging",
    MigrationState.STAGED: "staged",
    MigrationState.ACTIVATING: "staged",
    MigrationState.COMPLETED: "active",
}


def _service_json(one: MigrationStatus, name: str, share: MigrationPart) -> JsonValue:
    return {
        "name": name,
        "state": _SERVICE_STATES.get(one.state, "gone"),
        "carried": share.carried,
        "fixed_up": share.fixed_up,
        "fix_up_secs": share.fix_up_secs,
    }


def _extracted(one: MigrationStatus) -> JsonValue | None:
    """The totals as they were last read at the source; None: they were not."""
    read = (step.detail for _, step in reversed(one.steps) if _is_extraction(step, one))
    return next(read, None)


def _is_extraction(step: LogEvent, one: MigrationStatus) -> bool:
    return isinstance(step, CountersExtracted) and step.port == one.source


def _event_json(bridge: Bridge, when: float, happened: LogEvent) -> JsonValue:
    return {
        "t": when,
        "wall": when + bridge.wall_offset,
        "kind": happened.kind,
        "dpid": None if happened.dpid is None else dpid_text(happened.dpid),
        "port": str(happened.port) if happened.port else None,
        "detail": happened.detail,
    }
