"""Alarms, metrics and the journal: they get events when nothing else is to be done.

Telling takes longer than a switch needs for a change, and no station waits for it.  So events are kept until the engine
has had nothing to do for some milliseconds, and told in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.event_log import EventLog
from ryu_apps.metrics.bridge import Metrics

#: Seconds for which the engine has had nothing to do when events are told, and for which they are kept at most.
QUIET, PATIENCE = 0.004, 0.05
#: Events that are kept at most.
MOST = 2000
#: Events that are told before other green threads run.
PORTION = 50


class Observers:
    """The observers of log events, and the events that they do not have yet.

    A read of an attribute gives all of them to the observers first.
    """

    def __init__(self, journal: EventLog, metrics: Metrics, alarms: Alarms) -> None:
        self._journal = journal
        self._metrics = metrics
        self._alarms = alarms
        self._untold: deque[tuple[float, LogEvent]] = deque()
        self._latest = 0.0

    @property
    def journal(self) -> EventLog:
        """The events, newest last."""
        self.tell_all()
        return self._journal

    @property
    def metrics(self) -> Metrics:
        """Counters for Prometheus."""
        self.tell_all()
        return self._metrics

    @property
    def alarms(self) -> Alarms:
        """Conditions that need an operator."""
        self.tell_all()
        return self._alarms

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds; None: there is nothing to tell."""
        return earliest(self._due, self._alarms.deadline, self._journal.deadline)

    @property
    def _due(self) -> float | None:
        return min(self._latest + QUIET, self._untold[0][0] + PATIENCE) if self._untold else None

    def note(self, occurred: Iterable[LogEvent], now: float) -> None:
        """Keep what the engine has reported at a time; nothing, too, shows that the engine is at work."""
        self._latest = now
        self._untold.extend((now, happened) for happened in occurred)
        if len(self._untold) > MOST:
            self._tell(len(self._untold) - MOST)

    def note_store(self, seconds: float, failed: bool) -> None:
        """Note the time that a record took, and whether it was not saved."""
        self._metrics.store_latency.observe(seconds)
        self._metrics.store_errors.inc(failed)

    def tick(self, now: float) -> None:
        """Tell a portion of the events that are due, and behind them what follows from the time."""
        if (deadline := self.deadline) is None or deadline > now:
            return
        self._tell(PORTION)
        # In the order of their times: alarms that are raised now come behind all that has happened before.
        if not self._untold:
            self._record(self._alarms.tick(now), now)
            self._journal.tick(now)

    def forget_alarms(self) -> None:
        """Tell all events that are kept, then drop all alarms, as of a bridge that serves no switch any more."""
        self.tell_all()
        self._alarms.forget()

    def tell_all(self) -> None:
        """Tell all events that are kept."""
        self._tell(len(self._untold))

    def _tell(self, most: int) -> None:
        for _ in range(min(most, len(self._untold))):
            now, happened = self._untold.popleft()
            self._record([happened, *self._alarms.observe(happened, now)], now)

    def _record(self, occurred: Iterable[LogEvent], now: float) -> None:
        for happened in occurred:
            self._journal.write(happened, now)
            self._metrics.observe(happened, now)
