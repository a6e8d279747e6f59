"""Alarms: conditions that need an operator, from the event that raises one to the event that clears it.

Raising and clearing are events themselves, so that log, metrics and ``/evb/events`` have each once, however often the
cause is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ryu_apps.evb.alarm_table import TABLE, Row
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import AlarmCleared, AlarmRaised
from ryu_apps.evb.topology.port_id import PortId

#: Alarms of one kind that are listed; the causes of further alarms are in the journal.
MAX_OF_A_KIND = 100
#: Parts of an identity that have a place of their own in the list of alarms.
_PLACES = ("dpid", "port", "vsi")

_Identity = tuple[object, ...]


@dataclass(eq=False, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        identity: the values of ``row.about``.
        since: time at which its cause began, monotonic seconds.
        last: time of the last event of its cause.
        cause: that event.
        count: number of events of its cause.
        raised: True once it has lasted ``row.after``.
    """

    row: Row
    identity: _Identity
    since: float
    last: float
    dpid: int | None
    port: PortId | None
    vsi: str | None
    cause: LogEvent
    count: int = 0
    raised: bool = False

    def beginning(self) -> AlarmRaised:
        """Return the event of its beginning."""
        row = self.row
        return AlarmRaised(self.dpid, self.port, self.vsi, self.cause, row.kind, row.severity, row.words)

    def end(self, now: float) -> AlarmCleared:
        """Return the event of its end."""
        row, lasted = self.row, round(now - self.since, 3)
        return AlarmCleared(
            self.dpid, self.port, self.vsi, self.cause, row.kind, row.severity, row.words, lasted, self.count
        )

    @property
    def subject(self) -> str:
        """The parts of its identity besides switch, port and VSI."""
        named = zip(self.row.about, self.identity, strict=True)
        return " ".join(str(part) for name, part in named if name not in _PLACES)

    @property
    def deadline(self) -> float | None:
        """Time at which it is raised or cleared without an event, None if never."""
        if not self.raised:
            return self.since + self.row.after
        return None if self.row.quiet is None else self.last + self.row.quiet


class Alarms:
    """The alarms of one bridge: feed it all events, iterate over the raised alarms."""

    def __init__(self, table: tuple[Row, ...] = TABLE) -> None:
        self._rows = {row.event: row for row in table}
        assert len(self._rows) == len(table), "one row an event"
        self._clears: dict[type[LogEvent], list[Row]] = {}
        for row in table:
            for event in row.cleared_by:
                self._clears.setdefault(event, []).append(row)
        self._present: dict[type[LogEvent], dict[_Identity, Alarm]] = {row.event: {} for row in table}

    def __iter__(self) -> Iterator[Alarm]:
        """The raised alarms, grouped by kind."""
        return (alarm for alarm in self._all() if alarm.raised)

    @property
    def deadline(self) -> float | None:
        """Time to call :meth:`tick`, monotonic seconds; None if no timer runs."""
        return min((alarm.deadline for alarm in self._all() if alarm.deadline is not None), default=None)

    def observe(self, happened: LogEvent, now: float) -> list[LogEvent]:
        """Process an event; returns the events of alarms that it raises and clears."""
        changes: list[LogEvent] = []
        for row in self._clears.get(type(happened), ()):
            changes += self._cleared(row, happened, now)
        cause = self._rows.get(type(happened))
        return changes if cause is None else changes + self._caused(cause, happened, now)

    def forget(self) -> None:
        """Drop all alarms, raised or not: a bridge that serves no switch any more does not learn when they are over."""
        for of_a_kind in self._present.values():
            of_a_kind.clear()

    def tick(self, now: float) -> list[LogEvent]:
        """Raise alarms that have lasted long enough, clear those whose cause has been absent long enough."""
        changes: list[LogEvent] = []
        for alarm in [alarm for alarm in self._all() if alarm.deadline is not None and alarm.deadline <= now]:
            changes += self._end(alarm, now) if alarm.raised else self._raise(alarm)
        return changes

    def _all(self) -> Iterator[Alarm]:
        return (alarm for of_a_kind in self._present.values() for alarm in of_a_kind.values())

    def _caused(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        of_a_kind, identity = self._present[row.event], tuple(_part(name, happened) for name in row.about)
        alarm = of_a_kind.get(identity)
        if alarm is None:
            if len(of_a_kind) >= MAX_OF_A_KIND:
                return []
            alarm = of_a_kind[identity] = _new(row, identity, happened, now)
        alarm.count, alarm.last, alarm.cause = alarm.count + 1, now, happened
        return [] if alarm.raised or row.after else self._raise(alarm)

    def _cleared(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        wanted = [_part(name, happened) for name in row.about]
        if row.about and not any(part is not None for part in wanted):
            return []
        over = [
            alarm
            for identity, alarm in self._present[row.event].items()
            if all(part in (None, has) for part, has in zip(wanted, identity, strict=True))
        ]
        return [event for alarm in over for event in self._end(alarm, now)]

    def _raise(self, alarm: Alarm) -> list[LogEvent]:
        alarm.raised = True
        return [alarm.beginning()]

    def _end(self, alarm: Alarm, now: float) -> list[LogEvent]:
        del self._present[alarm.row.event][alarm.identity]
        return [alarm.end(now)] if alarm.raised else []


def _new(row: Row, identity: _Identity, cause: LogEvent, now: float) -> Alarm:
    port = cause.port if "port" in row.about else None
    dpid = port.dpid if port is not None else cause.dpid if "dpid" in row.about else None
    return Alarm(row, identity, now, now, dpid, port, cause.vsi if "vsi" in row.about else None, cause)


def _part(name: str, happened: LogEvent) -> object:
    """Return the value of one part of an identity in an event, None if the event does not have it."""
    return getattr(happened, name, None)
