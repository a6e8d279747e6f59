"""What happened, as log lines and as a bounded list for whoever asks."""

from __future__ import annotations

import logging
from collections import deque

from ryu_apps.evb.alarms import NOTABLE
from ryu_apps.evb.io import Happened

#: Entries that are kept.
LENGTH = 10_000

#: Events that only a log at DEBUG has: a neighbour may cause any number of them.
_UNDERSTATED = frozenset({"frame.dropped"})


class Journal:
    """One line an event, with switch, port and VSI as fields.

    Attributes:
        entries: ``(monotonic seconds, what happened)``, newest last.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.entries: deque[tuple[float, Happened]] = deque(maxlen=LENGTH)
        self._logger = logger

    def write(self, happened: Happened, now: float) -> None:
        """Keep it and log it."""
        self.entries.append((now, happened))
        level = _level(happened.kind)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", _line(happened))


def _level(kind: str) -> int:
    return logging.WARNING if kind in NOTABLE else logging.DEBUG if kind in _UNDERSTATED else logging.INFO


def _line(happened: Happened) -> str:
    where = str(happened.port) if happened.port else "" if happened.dpid is None else f"{happened.dpid:016x}"
    fields = [where, f"vsi={happened.vsi}" if happened.vsi else ""]
    fields += [f"{name}={value}" for name, value in happened.detail.items()]
    return " ".join([happened.kind, *filter(None, fields)])
