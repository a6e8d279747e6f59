"""Commits on their way: from the queue into transactions, and their ends in order."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from uuid import uuid4

from ryu_apps.evb.store import StoreChanges, StoreError
from ryu_apps.stores.ovsdb.batch import Batch, Commit, compose
from ryu_apps.stores.ovsdb.doubt import Doubt
from ryu_apps.stores.ovsdb.replica import Replica

LOG = logging.getLogger(__name__)

#: Seconds without an answer to a transaction after which another server is tried.
_SILENCE = 2.0
#: Seconds between two attempts that the server refuses.
_PAUSE = 0.1
#: Commits of one transaction.
_MOST = 64


class Committer:
    """One transaction at a time; used by the thread of the store alone, but for :attr:`queue`.

    A connection that breaks leaves the end of a transaction open.  The name of the writer and the serial number in the
    database tell whether it was carried out; if not, it is sent again with the number that it had, so only one of both
    can succeed.

    Attributes:
        queue: commits that wait; any thread may append.
        deadline: monotonic seconds at which to call :meth:`step` at the latest; None: when something is received.
    """

    def __init__(self, replica: Replica, initial: StoreChanges, patience: float, reason: Callable[[], str]) -> None:
        """
        Args:
            initial: the records that a new database begins with.
            patience: seconds for which a commit waits for a leader, and again for the end of its transaction.
            reason: the words for having no leader.
        """
        self.queue: deque[Commit] = deque()
        self.deadline: float | None = None
        self._replica = replica
        self._initial = initial
        self._patience = patience
        self._reason = reason
        self._writer, self._doubt = uuid4(), Doubt()
        #: What is being committed, the transaction that was sent, and the last one whose end is open.
        self._commits: list[Commit] = []
        self._sent: Batch | None = None
        self._open: Batch | None = None
        self._first_sent_at = self._sent_at = self._not_before = 0.0
        self._refusal: str | None = None

    @property
    def idle(self) -> bool:
        """Nothing waits, and nothing is under way."""
        return not (self._commits or self.queue)

    def step(self, now: float) -> None:
        """End what has ended or takes too long, and send what waits."""
        if self._sent is not None:
            self._follow(self._sent, now)
        self._give_up(now)
        if self._sent is None and self._replica.ready and now >= self._not_before:
            self._send(now)
        self.deadline = self._next()

    def fail(self, reason: str) -> None:
        """End all commits as failed."""
        commits = [*self._commits, *self.queue]
        self._commits = []
        self.queue.clear()
        for commit in commits:
            call(commit.ended, StoreError(reason))

    def _follow(self, batch: Batch, now: float) -> None:
        transaction = batch.transaction
        status = transaction.commit()
        if status == transaction.INCOMPLETE:
            if now >= self._sent_at + _SILENCE:
                self._sent_at = now
                self._replica.force_reconnect()
            return
        self._sent = None
        if status == transaction.SUCCESS:
            self._succeed(batch)
            return
        self._open = batch
        if status == transaction.ERROR:
            self._refusal = f"the store's server refuses: {transaction.get_error()}"
            self._not_before = now + _PAUSE

    def _send(self, now: float) -> None:
        if self._open is not None and self._replica.last_of(self._writer) == self._open.serial:
            self._succeed(self._open)
        self._open = None
        is_new = self._replica.store_row is None
        if not self._commits:
            if not (self.queue or self._doubt or is_new):
                return
            self._commits = [self.queue.popleft() for _ in range(min(len(self.queue), _MOST))]
            self._first_sent_at = now
        first = [Commit(self._initial, {}, lambda error: None, now)] if is_new else []
        restored = self._doubt.taken_back(self._replica.serial, self._replica.last_of)
        self._sent = compose(self._replica, self._writer, [*first, *self._commits], restored)
        self._sent_at = now
        self._sent.transaction.commit()

    def _succeed(self, batch: Batch) -> None:
        self._doubt.resolve()
        self._refusal = None
        commits, self._commits = self._commits, []
        for commit in commits:
            call(commit.ended, batch.refused.get(commit))

    def _give_up(self, now: float) -> None:
        if self._commits and now >= self._first_sent_at + self._patience:
            self._leave()
        while not self._commits and self.queue and now >= self.queue[0].begun + self._patience:
            call(self.queue.popleft().ended, StoreError(self._reason()))

    def _leave(self) -> None:
        """Leave the transaction to the next one, which makes it fail or takes it back."""
        if (batch := self._sent or self._open) is not None:
            self._doubt.add(self._writer, batch.serial, batch.before)
            self._writer = uuid4()
        self._sent = self._open = None
        commits, self._commits = self._commits, []
        for commit in commits:
            call(commit.ended, StoreError(self._refusal or self._reason()))

    def _next(self) -> float | None:
        times = [self.queue[0].begun + self._patience] if self.queue else []
        if self._commits:
            times.append(self._first_sent_at + self._patience)
        if self._sent is not None:
            times.append(self._sent_at + _SILENCE)
        elif self._commits and self._not_before > time.monotonic():
            times.append(self._not_before)
        return min(times, default=None)


def call(function: Callable[..., object], *arguments: object) -> None:
    """Call a function of a user of the store; what it raises must not stop the others."""
    try:
        function(*arguments)
    except Exception:
        LOG.exception("in a user of the store")
