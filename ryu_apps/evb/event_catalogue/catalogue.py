"""All log events by kind, and events read from their JSON form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ryu_apps.evb.event_catalogue import bridge, cluster, pods, ports, switches, vsis
from ryu_apps.evb.event_catalogue.base import LogEvent, VsiEvent
from ryu_apps.evb.event_catalogue.values import port_from_text

_MODULES = (bridge, cluster, pods, switches, ports, vsis)


class DocumentedEvent(NamedTuple):
    """One row of the table of the manual."""

    kind: str
    level: str
    detail: str
    description: str


def _classes() -> list[type[LogEvent]]:
    found = [value for module in _MODULES for value in vars(module).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, LogEvent) and "row" in vars(value)]


#: The class of the events of each kind.
CATALOGUE: dict[str, type[LogEvent]] = {made.row.kind: made for made in _classes()}


def from_json(entry: Mapping[str, Any]) -> LogEvent | None:
    """Read an event about a VSI at a port, as ``/evb/events`` and ``/evb/migrations`` show it.

    Args:
        entry: ``kind``, ``port``, ``vsi`` and ``detail``; the events of a migration come without ``vsi``.

    Returns:
        the event; None: of another subject, of an unknown kind, or a number of repetitions.
    """
    made, detail = CATALOGUE.get(entry["kind"]), entry["detail"]
    if made is None or not issubclass(made, VsiEvent) or entry["port"] is None or "repeated" in detail:
        return None
    values = {member.name: member.codec.decode(detail[member.name]) for member in made.row.fields}
    return made(port=port_from_text(entry["port"]), vsi=entry.get("vsi") or "", **values)


def documented_rows() -> Iterator[DocumentedEvent]:
    """Yield the rows of the table of the manual, by kind."""
    for kind, made in sorted(CATALOGUE.items()):
        members = ", ".join(f"{member.name} ({member.codec.name})" for member in made.row.fields)
        yield DocumentedEvent(kind, made.row.level.value, members, made.row.description)
