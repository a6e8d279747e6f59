"""Events as log lines, and as a bounded list for REST."""

from __future__ import annotations

import logging
from collections import deque

from ryu_apps.evb.alarms import NOTABLE
from ryu_apps.evb.events import LogEvent
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.rate_limit import RateLimit

#: Entries that are kept.
LENGTH = 10_000

#: Events that only a log at DEBUG has: a neighbour may cause any number of them.
_UNDERSTATED = frozenset({"frame.dropped"})
#: Events that change nothing, of which one port may cause any number, and how many a second of a kind are kept and
#: logged for each port; of other events, and of those that are about no port.
_IDLE = frozenset(
    {
        "frame.dropped",
        "vdp.refused",
        "ecp.failed",
        "ecp.unacknowledged",
        "evb.agreed",
        "evb.lost",
        "port.up",
        "port.down",
    }
)
_IDLE_BURST, BURST = 10, 200


class EventLog:
    """One line an event, with switch, port and VSI as fields.

    Of what a port causes more often than is of use, the rest of a second is one event with its number (``repeated``).

    Attributes:
        entries: ``(monotonic seconds, what happened)``, newest last.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.entries: deque[tuple[float, LogEvent]] = deque(maxlen=LENGTH)
        self._logger = logger
        self._bursts: RateLimit[tuple[str, PortId | int | None]] = RateLimit()

    @property
    def deadline(self) -> float | None:
        """Time of the next call of :meth:`tick`, monotonic seconds."""
        return self._bursts.deadline

    def write(self, happened: LogEvent, now: float) -> None:
        """Keep it and log it, unless there are too many of the kind."""
        self.tick(now)
        key = happened.kind, happened.dpid if happened.port is None else happened.port
        if self._bursts.passes(key, now, _IDLE_BURST if happened.kind in _IDLE else BURST) is not None:
            self._keep(happened, now)

    def tick(self, now: float) -> None:
        """Tell of what was held back."""
        for (kind, place), count in self._bursts.over(now):
            port, dpid = (place, place.dpid) if isinstance(place, PortId) else (None, place)
            self._keep(LogEvent(kind, port, dpid, detail={"repeated": count}), now)

    def _keep(self, happened: LogEvent, now: float) -> None:
        self.entries.append((now, happened))
        level = _level(happened.kind)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", _line(happened))


def _level(kind: str) -> int:
    return logging.WARNING if kind in NOTABLE else logging.DEBUG if kind in _UNDERSTATED else logging.INFO


def _line(happened: LogEvent) -> str:
    where = str(happened.port) if happened.port else "" if happened.dpid is None else f"{happened.dpid:016x}"
    fields = [where, f"vsi={happened.vsi}" if happened.vsi else ""]
    fields += [f"{name}={value}" for name, value in happened.detail.items()]
    return " ".join([happened.kind, *filter(None, fields)])
