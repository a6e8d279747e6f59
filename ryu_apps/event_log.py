"""Events as log lines, and as a bounded list for REST."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial

from ryu_apps.evb.event_catalogue.base import LogEvent, LogLevel, Repetitions, line
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.rate_limit import RateLimit

#: Entries that are kept.
LENGTH = 10_000

LEVELS = {LogLevel.DEBUG: logging.DEBUG, LogLevel.INFO: logging.INFO, LogLevel.WARNING: logging.WARNING}
#: Events of a class that are kept and logged per second and port: of those that are idle, and of others.
_IDLE_BURST, BURST = 10, 200


class EventLog:
    """One line an event, with switch, port and VSI as fields.

    Of what a port causes more often than is of use, the rest of a second is one event with its number (``repeated``).

    Attributes:
        entries: ``(monotonic seconds, what happened)``, newest last.
        kept: number of events that have been entries.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.entries: deque[tuple[float, LogEvent]] = deque(maxlen=LENGTH)
        self.kept = 0
        self._logger = logger
        self._bursts: RateLimit[tuple[type[LogEvent], PortId | int | None]] = RateLimit()

    @property
    def deadline(self) -> float | None:
        """Time of the next call of :meth:`tick`, monotonic seconds."""
        return self._bursts.deadline

    def write(self, happened: LogEvent, now: float) -> None:
        """Keep it and log it, unless there are too many of the kind."""
        self.tick(now)
        key = type(happened), happened.dpid if happened.port is None else happened.port
        if self._bursts.passes(key, now, _IDLE_BURST if happened.row.idle else BURST) is not None:
            self._keep(happened, now)

    def tick(self, now: float) -> None:
        """Keep and log the numbers of the events that were held back."""
        for (of, place), count in self._bursts.over(now):
            port, dpid = (place, place.dpid) if isinstance(place, PortId) else (None, place)
            self._keep(Repetitions(of, count, dpid, port), now)

    def _keep(self, happened: LogEvent, now: float) -> None:
        self.entries.append((now, happened))
        self.kept += 1
        log_event(self._logger, happened)


def log_event(logger: logging.Logger, happened: LogEvent) -> None:
    """Log an event as a line, with its fields for logs of JSON."""
    level = LEVELS[happened.level]
    if logger.isEnabledFor(level):
        logger.log(level, "%s", line(happened), extra={"event": partial(_fields, happened)})


def _fields(happened: LogEvent) -> dict[str, object]:
    """Return the fields of an event, for logs of fields."""
    return {
        "kind": happened.kind,
        "dpid": None if happened.dpid is None else f"{happened.dpid:016x}",
        "port": str(happened.port) if happened.port else None,
        "vsi": happened.vsi,
        "detail": happened.detail,
    }
