"""What an operator should do something about, from the event that raises it to the one that clears it.

:data:`TABLE` is all there is to know: to add an alarm, emit an event that raises it and one that clears it, and add a
row.  Raised and cleared are events themselves, so that log, metrics and ``/evb/events`` see them once each, however
often the cause repeats itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.events import LogEvent
from ryu_apps.evb.topology.fabric import PortId

#: The events that say that an alarm begins and is over.
RAISED, CLEARED = "alarm.raised", "alarm.cleared"
#: Alarms of one kind that are listed; the causes of further ones are in the journal.
MAX_OF_A_KIND = 100


class AlarmSeverity(Enum):
    """How much is at stake."""

    CRITICAL = "critical"
    """VMs have no network, have the wrong one, or will not have it after the next restart."""
    WARNING = "warning"
    """Nothing is lost yet."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of alarm.

    Attributes:
        kind: the event that raises it; also the name of the alarm.
        words: what is wrong, for operators.
        severity: how bad it is.
        about: what tells two alarms of this kind apart: ``dpid``, ``port``, ``vsi``, or names in an event's detail.
        cleared_by: the events that clear it; one that says only a part of ``about`` clears all that agree with that.
        after: seconds that it has to last before it is raised.
        quiet: seconds after which it is cleared if its cause has not repeated itself; None: only an event clears it.
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
    Row("switch.refused", "the switch refuses what it should hold", AlarmSeverity.CRITICAL, _DPID, ("switch.ready",)),
    Row(
        "switch.altered",
        "somebody else has changed the switch, and it is compared",
        AlarmSeverity.CRITICAL,
        _DPID,
        ("switch.ready", "switch.down"),
    ),
    Row(
        "switch.unwatched",
        "the switch does not tell when its rules are changed; audits find out",
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
    Row("switch.untrusted", "TLS with what connects as a switch fails", about=("address",), quiet=120.0),
    Row("descriptors.short", "more connections than there is room for", about=("server",), quiet=120.0),
    Row("link.down", "a link between switches is down", about=_PORT, cleared_by=("link.up",)),
    Row(
        "link.miswired",
        "a port leads to another switch than configured, and is not used",
        about=_PORT,
        cleared_by=("link.found", "link.silent"),
    ),
    Row("bridge.missed", "the controller was stopped or too busy to listen", quiet=60.0),
    Row("evb.impostor", "something else than the station speaks EVB at a port", about=_PORT, quiet=60.0),
    Row("port.over_budget", "a port sends more than it may, and is not heard beyond that", about=_PORT, quiet=60.0),
    Row(
        "vsi.contested",
        "a port claims a VSI that lives at another one, and is refused",
        about=("vsi",),
        cleared_by=("vsi.settled",),
    ),
    Row("ecp.unacknowledged", "a station does not acknowledge what it is sent", about=_PORT, quiet=60.0),
    Row(
        "policies.refused",
        "the policies on disk have mistakes, older ones are in force",
        cleared_by=("policies.loaded",),
    ),
    # A manager is asked only when somebody needs a type.
    Row(
        "vsitype.unreachable",
        "a VSI manager does not answer",
        about=_TYPE,
        cleared_by=("vsitype.fetched",),
        quiet=600.0,
    ),
    Row(
        "vsitype.faulty", "a VSI manager tells a faulty type", about=_TYPE, cleared_by=("vsitype.fetched",), quiet=600.0
    ),
    Row("vsitype.refused", "a VSI manager has withdrawn a type that is in use", about=_TYPE, quiet=600.0),
)

#: Other events that a log at WARNING has: each is over when it is told.
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

#: Parts of an identity that an event has besides its detail.
_PLACES = ("dpid", "port", "vsi")

_Identity = tuple[object, ...]


@dataclass(eq=False, slots=True)
class Alarm:
    """One alarm.

    Attributes:
        identity: what tells it apart from others of its kind: the values of ``row.about``.
        since: when its cause began, monotonic seconds.
        last: when it was there last.
        count: how often it has been told of.
        raised: it has lasted long enough.
        detail: what its newest event said.
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

    def told(self, kind: str, now: float) -> LogEvent:
        """The event that says that it begins or is over."""
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
        """What it is about besides switch, port and VSI."""
        named = zip(self.row.about, self.identity, strict=True)
        return " ".join(str(part) for name, part in named if name not in _PLACES)

    @property
    def deadline(self) -> float | None:
        """When it changes by itself."""
        if not self.raised:
            return self.since + self.row.after
        return None if self.row.quiet is None else self.last + self.row.quiet


class Alarms:
    """The alarms of one bridge: feed it all that happened, iterate to see what is not over."""

    def __init__(self, table: tuple[Row, ...] = TABLE) -> None:
        self._rows = {row.kind: row for row in table}
        assert len(self._rows) == len(table), "one row an event"
        self._clears: dict[str, list[Row]] = {}
        for row in table:
            for kind in row.cleared_by:
                self._clears.setdefault(kind, []).append(row)
        self._present: dict[str, dict[_Identity, Alarm]] = {row.kind: {} for row in table}

    def __iter__(self) -> Iterator[Alarm]:
        """Those that are raised, of one kind after the other."""
        return (one for one in self._all() if one.raised)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` has something to say, monotonic seconds; None: no time is awaited."""
        return min((one.deadline for one in self._all() if one.deadline is not None), default=None)

    def observe(self, happened: LogEvent, now: float) -> list[LogEvent]:
        """Take what happened; returns which alarms it raises and clears, as events."""
        told: list[LogEvent] = []
        for row in self._clears.get(happened.kind, ()):
            told += self._cleared(row, happened, now)
        cause = self._rows.get(happened.kind)
        return told if cause is None else told + self._caused(cause, happened, now)

    def tick(self, now: float) -> list[LogEvent]:
        """Raise what has lasted long enough, clear what has been quiet for long enough."""
        told: list[LogEvent] = []
        for one in [one for one in self._all() if one.deadline is not None and one.deadline <= now]:
            told += self._end(one, now) if one.raised else self._raise(one, now)
        return told

    def _all(self) -> Iterator[Alarm]:
        return (one for of_a_kind in self._present.values() for one in of_a_kind.values())

    def _caused(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        of_a_kind, identity = self._present[row.kind], tuple(_part(name, happened) for name in row.about)
        one = of_a_kind.get(identity)
        if one is None:
            if len(of_a_kind) >= MAX_OF_A_KIND:
                return []
            one = of_a_kind[identity] = _new(row, identity, happened, now)
        one.count, one.last, one.detail = one.count + 1, now, happened.detail
        return [] if one.raised or row.after else self._raise(one, now)

    def _cleared(self, row: Row, happened: LogEvent, now: float) -> list[LogEvent]:
        wanted = [_part(name, happened) for name in row.about]
        if row.about and not any(part is not None for part in wanted):
            return []
        over = [
            one
            for identity, one in self._present[row.kind].items()
            if all(part in (None, has) for part, has in zip(wanted, identity, strict=True))
        ]
        return [told for one in over for told in self._end(one, now)]

    def _raise(self, one: Alarm, now: float) -> list[LogEvent]:
        one.raised = True
        return [one.told(RAISED, now)]

    def _end(self, one: Alarm, now: float) -> list[LogEvent]:
        del self._present[one.row.kind][one.identity]
        return [one.told(CLEARED, now)] if one.raised else []


def _new(row: Row, identity: _Identity, happened: LogEvent, now: float) -> Alarm:
    port = happened.port if "port" in row.about else None
    dpid = port.dpid if port is not None else happened.dpid if "dpid" in row.about else None
    return Alarm(row, identity, now, now, dpid, port, happened.vsi if "vsi" in row.about else None)


def _part(name: str, happened: LogEvent) -> object:
    """What an event says of one part of an identity; None: nothing."""
    match name:
        case "dpid":
            return happened.port.dpid if happened.port is not None else happened.dpid
        case "port":
            return happened.port
        case "vsi":
            return happened.vsi
    return happened.detail.get(name)
