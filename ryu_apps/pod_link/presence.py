"""The directory, as far as it answers: an alarm if it is away for a while."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.pods import DirectoryFound, DirectoryLost

#: Seconds without the directory after which an alarm is raised.
_SILENT = 2.0


class Presence:
    """Events about a directory that is lost, or found again."""

    def __init__(self, report: Callable[[LogEvent], None]) -> None:
        """
        Args:
            report: takes events.
        """
        self._report = report
        self._silent_since: float | None = None
        self._missing = False

    def note(self, usable: bool, now: float) -> None:
        """Note that the directory is connected, or not."""
        if usable:
            self._silent_since = None
            if self._missing:
                self._missing = False
                self._report(DirectoryFound())
        elif self._silent_since is None:
            self._silent_since = now
        elif now >= self._silent_since + _SILENT and not self._missing:
            self._missing = True
            self._report(DirectoryLost())
