"""What the REST interface knows of a running bridge, and how it says no.

A view takes a :class:`Bridge` and a moment and returns values that JSON can carry.  It changes
nothing, does not wait, and so sees the engine whole: between two events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events import Event
from ryu_apps.metrics import Metrics

#: A JSON object.
JsonValue = dict[str, object]


class EventHistory(Protocol):
    """What happened, oldest first, with monotonic times in seconds."""

    @property
    def entries(self) -> Iterable[tuple[float, LogEvent]]: ...


class Bridge(Protocol):
    """A running bridge.

    Attributes:
        started: when it began, monotonic seconds.
        wall_offset: what to add to monotonic time to get Unix time, in seconds.
        rest_names: host names under which it may be asked besides its addresses.
    """

    @property
    def engine(self) -> Engine: ...
    @property
    def queries(self) -> BridgeQueries: ...
    @property
    def alarms(self) -> Alarms: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def journal(self) -> EventHistory: ...
    @property
    def started(self) -> float: ...
    @property
    def wall_offset(self) -> float: ...
    @property
    def rest_names(self) -> tuple[str, ...]: ...

    def deliver(self, event: Event) -> None:
        """Feed the engine and do what it wants."""

    def reload(self) -> list[str]:
        """Read the policies again; returns why they are not in force, one line a mistake."""


class Reply(NamedTuple):
    """An answer whose HTTP status is not simply 200."""

    status: int
    body: JsonValue


class PlainText(NamedTuple):
    """A body that is not JSON, whole or in parts; ``etag`` marks this version of it, for who has it already."""

    content_type: str
    body: bytes | Iterator[bytes]
    etag: str | None = None


class Later(NamedTuple):
    """An answer that is not there yet.  Whoever serves the request waits, a view does not.

    Attributes:
        ready: whether it is there.
        answer: what it is then, at the time it is given.
    """

    ready: Callable[[], bool]
    answer: Callable[[float], object]


class RestError(Exception):
    """The request cannot be served; the client, the operator or the moment is at fault.

    Attributes:
        status: HTTP status code.
        reason: one line for the client.
        headers: more of the response.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers
