"""Interface of a running bridge, as views see it, and the answers and errors that views return.

A view takes a :class:`Bridge` and the time, and returns values that JSON can express.  It changes nothing and does not
wait.  It runs between two events of the engine, so its answer is consistent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.bridge.vsi_queries import VsiStatus
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.config.bridge_config import RestAccess
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.pods.request_to_shut import RequestToShut
from ryu_apps.evb.pods.status import PodStatus
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.metrics.exposition import Exposition

#: A JSON object.
JsonValue = Mapping[str, object]

Answer = TypeVar("Answer", bound=JsonValue)
#: What the switches are awaited for.
Awaited = TypeVar("Awaited", bound="JsonValue | Iterator[JsonValue]")


class EventHistory(Protocol):
    """Log events, oldest first, with monotonic times in seconds, and the number of all that there have been."""

    @property
    def entries(self) -> deque[tuple[float, LogEvent]]: ...
    @property
    def kept(self) -> int: ...


class FileReloader(Protocol):
    """Reads the operator's files again; each returns a line for each mistake that keeps them from being in force."""

    def policies(self) -> list[str]:
        """Read the policies."""

    def configuration(self) -> list[str]:
        """Read evbridge.yaml and the policies."""


class Vsis(Protocol):
    """The VSIs, as the engine or the records of a leader have them."""

    def all(self, after: str = "") -> Iterator[VsiStatus]:
        """Return the VSIs behind a text, in the order of their texts."""

    def named(self, text: str) -> VsiStatus | None:
        """Return the VSI of a canonical text; None: it is at no port."""


class Pods(Protocol):
    """The link to other pods."""

    def status(self) -> PodStatus:
        """This pod, and what it knows of others."""

    def hand_over(self, vsi: str, pod: str, generation: int) -> RequestToShut:
        """Take a VSI off for another pod that has claimed it."""


class Bridge(Protocol):
    """A running bridge.

    Attributes:
        started: time of the start, monotonic seconds.
        wall_offset: difference of Unix time and monotonic time, in seconds.
        rest: who may send requests.
        pods: the link to other pods; None: there are none.
        starting: policies are being read, and no VSI is known yet.
    """

    @property
    def starting(self) -> bool: ...
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
    def rest(self) -> RestAccess: ...
    @property
    def pods(self) -> Pods | None: ...

    def deliver(self, event: Event) -> None:
        """Feed the engine and carry out its effects."""

    def cluster(self, now: float) -> ClusterStatus | None:
        """The cluster as this bridge knows it; None: it is alone."""

    def vsis(self) -> Vsis:
        """The VSIs; at a standby as the leader of the cluster has saved them.

        Raises:
            StoreError: the store does not answer.
        """

    def transfer(self, successor: str) -> None:
        """Give the lead of the cluster up, to one member or (empty) to any."""

    @property
    def reloader(self) -> FileReloader: ...


class Reply(NamedTuple, Generic[Answer]):
    """An answer whose HTTP status is not simply 200."""

    status: int
    body: Answer


class PlainText(NamedTuple):
    """A body that is not JSON; ``etag`` marks this version of it (RFC 9110 8.8.3)."""

    content_type: str
    body: bytes
    etag: str


class Negotiated(NamedTuple):
    """An answer in one of several formats; ``answer`` returns it for the Accept header (empty: there is none)."""

    answer: Callable[[str], Exposition]


class Document(NamedTuple):
    """A file of the live page, or a picture; ``headers`` are further ones of the response."""

    content_type: str
    body: bytes
    headers: Mapping[str, str]


class Aside(NamedTuple, Generic[Awaited]):
    """An answer that takes too long between two frames of stations: ``work`` returns it in another thread.

    ``then``, if there is one, makes the answer of that in the thread of the bridge.
    """

    work: Callable[[], Any]
    then: Callable[[Any], Awaited] | None = None


class Later(NamedTuple, Generic[Awaited]):
    """An answer that needs replies of switches.  The server of the request waits; a view does not.

    Attributes:
        ready: returns True when the answer can be given.
        answer: returns it, for the time that is its argument.
    """

    ready: Callable[[], bool]
    answer: Callable[[float], Awaited]


class RestError(Exception):
    """A request that cannot be served: a mistake of the client, or a state of the bridge that forbids it.

    Attributes:
        status: HTTP status code.
        reason: one line for the client.
        headers: further headers of the response.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers
