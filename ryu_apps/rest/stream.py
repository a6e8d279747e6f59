"""Events as they happen: server-sent events (HTML standard, 9.2), resumed behind the last one that a client has.

A client has a place in the journal and nothing else: there is no queue of its own to fill.  One that falls behind what
the journal keeps loses its connection.  Places are looked at some times a second, and the journal is read as it is, so
that nothing is told earlier than when the engine is idle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.rest.bridge import EventHistory, JsonValue, RestError
from ryu_apps.rest.event_ids import EventId

CONTENT_TYPE = "text/event-stream"
#: Clients at a time.
MOST = 16
#: Seconds between two looks at the journal, and after which a client gets a comment so that a dead one is noticed.
NAP, HEARTBEAT = 0.1, 10.0
#: Events in one piece; other green threads run between two.
_PIECE = 100
#: Milliseconds after which a browser connects again.
_RETRY = 1000


class Seats:
    """The clients that are served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def take(self) -> None:
        """Admit a client.

        Raises:
            RestError: 503, there are too many.
        """
        if self.taken >= self.most:
            raise RestError(503, f"{self.most} clients follow the events already", **{"Retry-After": "10"})
        self.taken += 1

    def leave(self) -> None:
        """A client has gone."""
        self.taken -= 1


SEATS = Seats(MOST)


@dataclass(frozen=True, slots=True)
class EventFeed:
    """The events that a client wants.

    Attributes:
        wanted: True for those that it wants.
        shown: the JSON form of an event of a number and a time.
        life: generation of the bridge, the first part of its event IDs.
        after: the last event that the client has; None: it wants those from now on.
    """

    journal: EventHistory
    wanted: Callable[[LogEvent], bool]
    shown: Callable[[int, float, LogEvent], JsonValue]
    life: int
    after: EventId | None


class EventStream:
    """The body of an answer that does not end by itself.

    Args:
        admitted: False: the client's token is not accepted any more.
        clock: monotonic seconds.
        pause: yields to other green threads for so many seconds.

    Raises:
        RestError: 503, there are too many clients.
    """

    def __init__(
        self,
        feed: EventFeed,
        admitted: Callable[[], bool],
        clock: Callable[[], float],
        pause: Callable[[float], None],
        seats: Seats = SEATS,
    ) -> None:
        seats.take()
        self._seats: Seats | None = seats
        self._feed = feed
        self._admitted = admitted
        self._clock = clock
        self._pause = pause
        self._place, self._missed = _begin(feed)

    def close(self) -> None:
        """Make room for another client; the server calls this when the connection has ended (PEP 3333)."""
        if self._seats is not None:
            self._seats.leave()
        self._seats = None

    def __iter__(self) -> Iterator[bytes]:
        yield f"retry: {_RETRY}\n\n".encode()
        if self._missed != 0:
            yield f"event: gap\ndata: {json.dumps({'missed': self._missed})}\n\n".encode()
        beat = self._clock() + HEARTBEAT
        # A client that is behind what is kept would not notice a gap, so it has to come back, and is told then.
        while self._place >= _oldest(self._feed.journal):
            if piece := self._next():
                yield piece
                self._pause(0)
            elif self._clock() < beat:
                self._pause(NAP)
            elif self._admitted():
                beat = self._clock() + HEARTBEAT
                yield b":\n\n"
            else:
                return

    def _next(self) -> bytes:
        """The next events that the client wants; empty: there are none yet."""
        journal, feed = self._feed.journal, self._feed
        new = journal.kept - self._place
        found = list(islice(reversed(journal.entries), new))[::-1][:_PIECE]
        numbered = enumerate(found, self._place + 1)
        self._place += len(found)
        return b"".join(
            _message(feed.life, number, feed.shown(number, when, happened))
            for number, (when, happened) in numbered
            if feed.wanted(happened)
        )


def _message(life: int, number: int, shown: JsonValue) -> bytes:
    return f"id: {EventId(life, number)}\ndata: {json.dumps(shown)}\n\n".encode()


def _begin(feed: EventFeed) -> tuple[int, int | None]:
    """Number of the last event that the client has, and of those that it cannot get any more; None: not known."""
    journal, after = feed.journal, feed.after
    oldest = _oldest(journal)
    if after is None:
        return journal.kept, 0
    if after.life != feed.life:
        return oldest, None
    return min(max(after.number, oldest), journal.kept), max(oldest - after.number, 0)


def _oldest(journal: EventHistory) -> int:
    """Number of the last event that is not kept any more."""
    return journal.kept - len(journal.entries)
