"""Migrations as they are seen from the bridge: a VSI that is somewhere and becomes wanted elsewhere.

Only watches what happened; nothing depends on it but operators, replays and their diagrams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ryu_apps.evb.events import LogEvent
from ryu_apps.evb.topology.fabric import PortId

#: Finished migrations that are remembered, and steps of one.
HISTORY = 1000
MAX_STEPS = 1000


class MigrationState(Enum):
    """Where a migration stands."""

    STAGING = "staging"
    STAGED = "staged"
    ACTIVATING = "activating"
    COMPLETED = "completed"
    REFUSED = "refused"
    ABORTED = "aborted"


_PROGRESS = {
    "flow.staged": MigrationState.STAGED,
    "flow.activating": MigrationState.ACTIVATING,
    "vsi.active": MigrationState.COMPLETED,
    "vdp.refused": MigrationState.REFUSED,
}
#: What the kinds of events about carried state begin with.
_STATE = "state."
_FINAL = (MigrationState.COMPLETED, MigrationState.REFUSED, MigrationState.ABORTED)


@dataclass(slots=True)
class MigrationPart:
    """What one service had to do in a migration.

    Attributes:
        carried: rules of state that went along, in the end.
        fixed_up: those of them that came after it was staged.
        fix_up_secs: from the request that called for the last of those (the source's, or the Associate) until
            they were in force; None: there was nothing to fix up.
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
        source: where it was active, None if it was nowhere.
        destination: where it is wanted.
        steps: what happened at either port, with the monotonic time in seconds.
        services: those that the destination has staged for the VSI.
        asked: when a station last wanted something of it, monotonic seconds.
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
        """Whether nothing more is expected."""
        return self.state in _FINAL and (self.state is not MigrationState.COMPLETED or self.source_gone)


class Migrations:
    """The migrations of one bridge, newest last."""

    def __init__(self) -> None:
        self._all: dict[int, Migration] = {}
        self._open: dict[str, Migration] = {}
        self._newest: dict[str, Migration] = {}
        self._order: deque[int] = deque()
        self._last = 0

    def __iter__(self) -> Iterator[Migration]:
        return iter(self._all.values())

    def get(self, number: int) -> Migration | None:
        """One migration."""
        return self._all.get(number)

    def begin(self, vsi: str, source: PortId | None, destination: PortId) -> None:
        """A station asks for a VSI that is active at another port, or nowhere yet."""
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
        late = self._newest if happened.kind.startswith(_STATE) else self._open
        migration = late.get(happened.vsi)
        if migration is None or happened.port not in (migration.source, migration.destination):
            return
        if len(migration.steps) < MAX_STEPS:
            migration.steps.append((now, happened))
        if happened.kind == "vdp.request":
            migration.asked = now
        if happened.port == migration.destination:
            _account(migration, happened, now)
            self._advance(migration, happened.kind)
        elif happened.kind == "vsi.gone":
            migration.source_gone = True
        if migration.finished:
            self._open.pop(migration.vsi, None)

    def _advance(self, migration: Migration, kind: str) -> None:
        if kind in _PROGRESS:
            migration.state = _PROGRESS[kind]
        elif kind == "vsi.gone" and migration.state not in _FINAL:
            migration.state = MigrationState.ABORTED


def _account(migration: Migration, happened: LogEvent, now: float) -> None:
    """What each service has done by this step."""
    told: Any = happened.detail.get("services", ())
    match happened.kind:
        case "flow.staged":
            # State is there before the rules around it are confirmed.
            migration.services = {name: migration.services.get(name, MigrationPart()) for name in told}
        case "state.carried":
            migration.services |= {name: MigrationPart(carried=count) for name, count in told.items()}
        case "state.fixed_up":
            for name, count in told.items():
                share = migration.services.setdefault(name, MigrationPart())
                share.carried += count
                share.fixed_up += count
                share.fix_up_secs = now - migration.asked
