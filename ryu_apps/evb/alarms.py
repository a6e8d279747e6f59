"""Alarms: conditions that need an operator, from the event that raises one to the event that clears it.

To add an alarm, emit an event that raises it and one that clears it, and add a row to :data:`TABLE`.  Raising and
clearing are events themselves, so that log, metrics and ``/evb/events`` have each once, however often the cause is
repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.events import LogEvent
from ryu_apps.evb.topology.fabric import PortId

#: The events at the beginning and the end of an alarm.
RAISED, CLEARED = "alarm.raised", "alarm.cleared"
#: Alarms of one kind that are listed; the causes of further alarms are in the journal.
MAX_OF_A_KIND = 100


class AlarmSeverity(Enum):
    """Severity of an alarm."""

    CRITICAL = "critical"
    """VMs have no network or a wrong one, or will have after the next restart."""
    WARNING = "warning"
    """No VM has lost its network."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of alarm.

    Attributes:
        kind: the event that raises it; also the name of the alarm.
        words: description for operators.
        severity: see :class:`AlarmSeverity`.
        about: identity of an alarm among those of its kind: ``dpid``, ``port``, ``vsi``, or names in an event's
            detail.
        cleared_by: the events that clear it; an event with only a part of ``about`` clears all that agree with it.
        after: seconds that its cause must last before it is raised.
        quiet: seconds without its cause after which it is cleared; None: only an event clears it.
    """

    kind: str
    words: str
    severity: AlarmSeverity = AlarmSeverity.WARNING
    about: tuple[str, ...] = ()
    cleared_by: tuple[str, ...] = ()
    after: float = 0.0
    quiet: float | None = None


_DPID, _PORT, _TYPE = ("dpid",), ("dpid", "port"), ("type", "url")

TABLE = (
    Row("store.failed", "state cannot be saved", AlarmSeverity.CRITICAL, cleared_by=("store.works",)),
    Row("switch.awaited", "the switch does not connect", AlarmSeverity.CRITICAL, _DPID, ("switch.up",), after=30.0),
    Row("switch.down", "the switch is not connected", AlarmSeverity.CRITICAL, _DPID, ("switch.up",)),
    Row("switch.refused", "the switch refuses its rules", AlarmSeverity.CRITICAL, _DPID, ("switch.ready",)),
    Row(
        "switch.altered",
        "another controller or tool has changed the switch, and it is compared",
        AlarmSeverity.CRITICAL,
        _DPID,
        ("switch.ready", "switch.down"),
    ),
    Row(
        "switch.unwatched",
        "the switch does not report changes of its rules; audits find them",
        about=_DPID,
        cleared_by=("switch.down",),
    ),
    Row("switch.drift", "rules of the switch are changed by others", about=_DPID, quiet=90.0),
    Row(
        "fragments.hidden",
        "the switch hides the ports of IP fragments: types that name ports pass none",
        about=_DPID,
        cleared_by=("fragments.shown",),
    ),
    Row(
        "switch.unclaimed",
        "the switch holds rules that no record explains, which stay for now",
        about=_DPID,
        cleared_by=("switch.claimed", "switch.down"),
    ),
    Row("switch.unknown", "a switch connects that is not configured", about=_DPID, quiet=120.0),
    Row("switch.impostor", "something else connects as this switch, and is refused", about=_DPID, quiet=120.0),
    Row("switch.untrusted", "TLS with a connecting switch fails", about=("address",), quiet=120.0),
    Row("descriptors.short", "more connections than the server admits", about=("server",), quiet=120.0),
    Row("link.down", "a link between switches is down", about=_PORT, cleared_by=("link.up",)),
    Row(
        "link.miswired",
        "a port leads to another switch than configured, and is not used",
        about=_PORT,
        cleared_by=("link.found", "link.silent"),
    ),
    Row("bridge.missed", "the controller was stopped or overloaded and received no frames for a while", quiet=60.0),
    Row("evb.impostor", "another sender than the station sends EVB frames at a port", about=_PORT, quiet=60.0),
    Row("port.over_budget", "a port exceeds its request rate, and excess frames are dropped", about=_PORT, quiet=60.0),
    Row(
        "vsi.contested",
        "a port requests a VSI that is associated at another port, and is refused",
        about=("vsi",),
        cleared_by=("vsi.settled",),
    ),
    Row("ecp.unacknowledged", "a station does not acknowledge ECPDUs", about=_PORT, quiet=60.0),
    Row(
        "policies.refused",
        "the policies on disk have mistakes, older ones are in force",
        cleared_by=("policies.loaded",),
    ),
    # Cleared by time as well: a manager is asked only when a VSI needs one of its types.
    Row(
        "vsitype.unreachable",
        "a VSI manager does not answer",
        about=_TYPE,
        cleared_by=("vsitype.fetched",),
        quiet=600.0,
    ),
    Row(
        "vsitype.faulty",
        "a VSI manager serves an invalid type",
        about=_TYPE,
        cleared_by=("vsitype.fetched",),
        quiet=600.0,
    ),
    Row("vsitype.refused", "a VSI manager has withdrawn a type that is in use", about=_TYPE, quiet=600.0),
)

#: Other events that are logged at WARNING: single events without an end.
NOTABLE = frozenset(
    {
        RAISED,
        CLEARED,
        "vdp.refused",
        "vsi.not_restored",
        "vsitype.not_restored",
        "statistics.not_restored",
    }
)

#: Parts of an identity that are fields of an event, not of its detail.
_PLACES = ("dpid", "port", "vsi")

_Identity = tuple[object, ...]


@dataclass(eq=False, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        identity: the values of ``row.about``.
        since: time at which its cause began, monotonic seconds.
        last: time of the last event of its cause.
        count: number of events of its cause.
        raised: True once it has lasted ``row.after``.
        detail: of its last event.
    """

    row: Row
    identity: _Identity
    since: float
    last: float
    dpid: int | None
    port: PortId | None
    vsi: str | None
    count: int = 0
    raised: bool = False
    detail: dict[str, object] = field(default_factory=dict)

    def event(self, kind: str, now: float) -> LogEvent:
        """The event of its beginning or end."""
        detail: dict[str, object] = {
            "alarm": self.row.kind,
            "severity": self.row.severity.value,
            "words": self.row.words,
        }
        if kind == CLEARED:
            detail |= {"lasted": round(now - self.since, 3), "count": self.count}
        return LogEvent(kind, self.port, self.dpid, self.vsi, {**detail, **self.detail})

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
        self._rows = {row.kind: row for row in table}
        assert len(self._rows) == len(table), "one row an event"
        self._clears: dict[str, list[Row]] = {}
        for row in table:
            for kind in row.cleared_by:
                self._clears.setdefault(kind, []).append(row)
        self._present: dict[str, dict[_Identity, Alarm]] = {row.kind: {} for row in table}

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
        for row in self._clears.get(happened.kind, ()):
            changes += self._cleared(row, happened, now)
        cause = self._rows.get(happened.kind)
        return changes if cause is None else changes + self._caused(cause, happened, now)

    def tick(self, now: float) -> list[LogEvent]:
        """Raise alarms that have lasted long enough, clear those whose cause has been absent long enough."""
        changes: list[LogEvent] = []
        for alarm in [alarm for alarm in self._all() if alarm.deadline is not None and alarm.deadline <= now]:
            changes += self._end(alarm, now) if alarm.raised else self._raise(alarm, now)
        return changes

    def _all(self) -> Iterator[Alarm]:
        return (alarm for of_a_kind in self._present.values() for alarm in of_a_kind.values())

    def _caused(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        of_a_kind, identity = self._present[row.kind], tuple(_part(name, happened) for name in row.about)
        alarm = of_a_kind.get(identity)
        if alarm is None:
            if len(of_a_kind) >= MAX_OF_A_KIND:
                return []
            alarm = of_a_kind[identity] = _new(row, identity, happened, now)
        alarm.count, alarm.last, alarm.detail = alarm.count + 1, now, happened.detail
        return [] if alarm.raised or row.after else self._raise(alarm, now)

    def _cleared(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        wanted = [_part(name, happened) for name in row.about]
        if row.about and not any(part is not None for part in wanted):
            return []
        over = [
            alarm
            for identity, alarm in self._present[row.kind].items()
            if all(part in (None, has) for part, has in zip(wanted, identity, strict=True))
        ]
        return [event for alarm in over for event in self._end(alarm, now)]

    def _raise(self, alarm: Alarm, now: float) -> list[LogEvent]:
        alarm.raised = True
        return [alarm.event(RAISED, now)]

    def _end(self, alarm: Alarm, now: float) -> list[LogEvent]:
        del self._present[alarm.row.kind][alarm.identity]
        return [alarm.event(CLEARED, now)] if alarm.raised else []


def _new(row: Row, identity: _Identity, happened: LogEvent, now: float) -> Alarm:
    port = happened.port if "port" in row.about else None
    dpid = port.dpid if port is not None else happened.dpid if "dpid" in row.about else None
    return Alarm(row, identity, now, now, dpid, port, happened.vsi if "vsi" in row.about else None)


def _part(name: str, happened: LogEvent) -> object:
    """The value of one part of an identity in an event, None if the event does not have it."""
    match name:
        case "dpid":
            return happened.port.dpid if happened.port is not None else happened.dpid
        case "port":
            return happened.port
        case "vsi":
            return happened.vsi
    return happened.detail.get(name)
