"""What happens again and again, told when it begins and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from ryu.lib import hub

#: Seconds without another occurrence after which it is over.
QUIET = 60.0
#: Subjects of which is kept whether it happens to them.
_MOST = 64

#: Takes a dotted kind, a datapath id (None: of no switch) and details.
Tell = Callable[[str, int | None, dict[str, object]], None]


@dataclass
class _Episode:
    again: bool = False
    times: int = 1
    more: dict[str, object] = field(default_factory=dict)


class Episodes:
    """Occurrences of one kind, by whom they concern.

    A stranger may cause as many as it likes; the log gets two lines an episode.

    Args:
        begins, ends: kinds of the two events.
        tell: takes them.
        quiet: seconds without another occurrence after which it is over.
    """

    def __init__(self, begins: str, ends: str, tell: Tell, quiet: float = QUIET) -> None:
        self._begins, self._ends = begins, ends
        self._tell = tell
        self._quiet = quiet
        self._running: dict[Hashable, _Episode] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def happened(self, subject: Hashable, dpid: int | None = None, **detail: Any) -> None:
        """It has happened to a subject."""
        episode = self._running.get(subject)
        if episode is not None:
            episode.again = True
            episode.times += 1
        elif len(self._running) < _MOST:
            self._running[subject] = _Episode(more=detail)
            self._tell(self._begins, dpid, detail)
            hub.spawn(self._watch, subject, dpid)

    def _watch(self, subject: Hashable, dpid: int | None) -> None:
        episode = self._running[subject]
        hub.sleep(self._quiet)
        while episode.again:
            episode.again = False
            hub.sleep(self._quiet)
        del self._running[subject]
        self._tell(self._ends, dpid, {**episode.more, "times": episode.times})
