"""A read whose answer is decoded in portions, so that thousands of rules hold up nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import ClassVar

from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import RulesRead
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound import flow_stats
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import ALL_TABLES, Query, flow_stats_request

#: Rules of a portion.  Decoding one takes some 20 us, and the engine needs as long for it: with both, a request of a
#: station waits for a millisecond at most.
PORTION = 24


class PortionedReadJob(Job):
    """Rules under a cookie mask; the request is sent, and the answer decoded, when nothing else is to be done.

    Attributes:
        URGENT: a VSI waits for it.
        PORTION: rules that are decoded at once.
    """

    URGENT: ClassVar[bool] = True
    PORTION: ClassVar[int] = PORTION

    def __init__(self, wire: Transport, asked: ReadRules, shown: Callable[[Rule], Rule]) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._shown = shown
        self._asked = asked
        self._steps: deque[Callable[[], None]] = deque([self._begin])
        self._unanswered = 0
        self._parts: deque[bytes] = deque()
        self._entries = self._decoded()

    def send(self) -> None:
        self._steps.popleft()()
        self.all_sent = not self._steps

    def _begin(self) -> None:
        """Send the first request."""
        asked = self._asked
        self._ask_for(Query(asked.mask, ALL_TABLES if asked.table is None else asked.table, asked.match))

    def _ask_for(self, query: Query) -> None:
        self._question(partial(flow_stats_request, query))

    def _question(self, question: Callable[[int], bytes]) -> int:
        self._unanswered += 1
        return self.ask(question)

    @property
    def may_send(self) -> bool:
        """True if :meth:`send` has something to do: one request after the other, so that answers do not pile up."""
        return self.outcome is None and bool(self._steps) and not self._unanswered

    @property
    def sends_next(self) -> bool:
        """True if :meth:`send` goes before :meth:`decode`."""
        return not self.undecoded

    @property
    def _is_answered(self) -> bool:
        return not self._steps and not self._unanswered

    @property
    def undecoded(self) -> bool:
        """True if :meth:`decode` has something to do."""
        return self.outcome is None and bool(self._parts or self._is_answered)

    def interim(self, xid: int, octets: bytes) -> None:
        if self.outcome is None:
            self._parts.append(octets)

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        self.interim(flight.xids[-1], octets)
        self._unanswered -= 1

    def decode(self) -> RulesRead | None:
        """Return the next portion; the last one is the outcome, and not returned."""
        rules = tuple(islice(self._entries, self.PORTION))
        ends = len(rules) < self.PORTION and self._is_answered
        portion = RulesRead(self.dpid, self.token, rules, more=not ends)
        if ends:
            self.outcome = portion
            return None
        if len(rules) < self.PORTION:
            # Further parts are under way, and an iterator that has ended begins no more.
            self._entries = self._decoded()
        return portion

    def _decoded(self) -> Iterator[Rule]:
        while self._parts:
            yield from (self._shown(flow_stats.rule(entry)) for entry in flow_stats.entries(self._parts[0]))
            self._parts.popleft()


class PortionedReads:
    """The reads in portions of one switch, oldest first."""

    def __init__(self) -> None:
        self._jobs: list[PortionedReadJob] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: PortionedReadJob) -> PortionedReadJob:
        """Append a read; returns it."""
        self._jobs.append(job)
        return job

    def take(self, token: int) -> PortionedReadJob | None:
        """Remove and end the read of a token; None: there is none."""
        job = next((job for job in self._jobs if job.token == token), None)
        if job is not None:
            self._jobs.remove(job)
            job.reject("not needed any more")
        return job

    def next(self, may_send: Callable[[PortionedReadJob], bool]) -> PortionedReadJob | None:
        """Return the oldest read that has octets to decode, or a request that may be sent; None: there is none.

        Urgent ones go first.
        """
        ready = [job for job in self._jobs if job.undecoded or (job.may_send and may_send(job))]
        return next((job for job in ready if job.URGENT), next(iter(ready), None))
