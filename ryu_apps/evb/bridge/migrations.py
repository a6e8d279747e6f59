"""Migrations as seen by the bridge: a VSI that is active at one port is requested at another.

Derived from log events alone; used only by operators, replays and their diagrams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    GateOpening,
    StateCarried,
    StateEvent,
    StateFixedUp,
    VdpRefused,
    VdpRequested,
    VsiActive,
    VsiGone,
)
from ryu_apps.evb.topology.port_id import PortId

#: Finished migrations that are kept, and steps of one.
HISTORY = 1000
MAX_STEPS = 1000


class MigrationState(Enum):
    """State of a migration."""

    STAGING = "staging"
    STAGED = "staged"
    ACTIVATING = "activating"
    COMPLETED = "completed"
    REFUSED = "refused"
    ABORTED = "aborted"


_PROGRESS: dict[type[LogEvent], MigrationState] = {
    BodyStaged: MigrationState.STAGED,
    GateOpening: MigrationState.ACTIVATING,
    VsiActive: MigrationState.COMPLETED,
    VdpRefused: MigrationState.REFUSED,
}
#: Events that are more than a step.
_TURNS = frozenset((*_PROGRESS, StateCarried, StateFixedUp, VsiGone))
_FINAL = (MigrationState.COMPLETED, MigrationState.REFUSED, MigrationState.ABORTED)


@dataclass(slots=True)
class MigrationPart:
    """State that one service carried in a migration.

    Attributes:
        carried: rules of state at the destination in the end.
        fixed_up: those of them that were carried after the staging.
        fix_up_secs: from the request that caused the last of those (the source's, or the Associate) until
            they were in force; None: there were none.
    """

    carried: int = 0
    fixed_up: int = 0
    fix_up_secs: float | None = None


@dataclass(slots=True)
class Migration:
    """One move of one VSI.

    Attributes:
        number: counts from 1.
        vsi: canonical text.
        source: the port at which it was active, None if at none.
        destination: the port at which it is requested.
        steps: events at either port, with the monotonic time in seconds.
        services: services that the destination has staged for the VSI.
        asked: time of the last request about it, monotonic seconds.
    """

    number: int
    vsi: str
    source: PortId | None
    destination: PortId
    state: MigrationState = MigrationState.STAGING
    steps: list[tuple[float, LogEvent]] = field(default_factory=list)
    source_gone: bool = False
    services: dict[str, MigrationPart] = field(default_factory=dict)
    asked: float = 0.0

    @property
    def finished(self) -> bool:
        """True if no further step is expected."""
        return self.state in _FINAL and (self.state is not MigrationState.COMPLETED or self.source_gone)


class Migrations:
    """Migrations of one bridge, newest last."""

    def __init__(self) -> None:
        self._all: dict[int, Migration] = {}
        self._open: dict[str, Migration] = {}
        self._newest: dict[str, Migration] = {}
        self._order: deque[int] = deque()
        self._last = 0

    def __iter__(self) -> Iterator[Migration]:
        return iter(self._all.values())

    def go_on(self, before: Migrations) -> None:
        """Take over those of another engine, in whose place this one is."""
        self._all, self._open, self._newest = before._all, before._open, before._newest
        self._order, self._last = before._order, before._last

    def get(self, number: int) -> Migration | None:
        """Return a migration by its number, None if it is not kept."""
        return self._all.get(number)

    def begin(self, vsi: str, source: PortId | None, destination: PortId) -> None:
        """Begin a migration: a station requests a VSI that is active at another port, or at none yet."""
        current = self._open.get(vsi)
        if current is not None and current.destination == destination:
            return
        self._last += 1
        migration = Migration(self._last, vsi, source, destination, source_gone=source is None)
        self._all[migration.number] = self._open[vsi] = self._newest[vsi] = migration
        self._order.append(migration.number)
        if len(self._order) > HISTORY:
            self._drop(self._all.pop(self._order.popleft()))

    def _drop(self, forgotten: Migration) -> None:
        for known in (self._newest, self._open):
            if known.get(forgotten.vsi) is forgotten:
                del known[forgotten.vsi]

    def observe(self, happened: LogEvent, now: float) -> None:
        """Add a step to the open migration of the VSI it is about."""
        if happened.vsi is None:
            return
        # State may arrive when everything else is over.
        late = self._newest if isinstance(happened, StateEvent) else self._open
        migration = late.get(happened.vsi)
        if migration is None or happened.port not in (migration.source, migration.destination):
            return
        if len(migration.steps) < MAX_STEPS:
            migration.steps.append((now, happened))
        if isinstance(happened, VdpRequested):
            migration.asked = now
        if type(happened) not in _TURNS:
            return
        if happened.port == migration.destination:
            _account(migration, happened, now)
            self._advance(migration, happened)
        elif isinstance(happened, VsiGone):
            migration.source_gone = True
        if migration.finished:
            self._open.pop(migration.vsi, None)

    def _advance(self, migration: Migration, happened: LogEvent) -> None:
        if (state := _PROGRESS.get(type(happened))) is not None:
            migration.state = state
        elif isinstance(happened, VsiGone) and migration.state not in _FINAL:
            migration.state = MigrationState.ABORTED


def _account(migration: Migration, happened: LogEvent, now: float) -> None:
    """Update the figures of each service from an event."""
    match happened:
        case BodyStaged(services=names):
            # State is there before the rules around it are confirmed.
            migration.services = {name: migration.services.get(name, MigrationPart()) for name in names}
        case StateCarried(services=by_service):
            migration.services |= {name: MigrationPart(carried=count) for name, count in by_service.items()}
        case StateFixedUp(services=by_service):
            for name, count in by_service.items():
                share = migration.services.setdefault(name, MigrationPart())
                share.carried += count
                share.fixed_up += count
                share.fix_up_secs = now - migration.asked
