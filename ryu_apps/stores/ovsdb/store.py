"""The store: calls of any thread, and the thread that talks to the cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from socket import socketpair
from typing import NamedTuple

from ovs.poller import POLLIN
from ovs.stream import Stream

from ryu_apps.evb.store import StoreChanges, StoreEnded, StoreError, StoreWatcher, Versioned
from ryu_apps.stores.ovsdb.batch import Commit
from ryu_apps.stores.ovsdb.committer import Committer, call
from ryu_apps.stores.ovsdb.polling import new_poller
from ryu_apps.stores.ovsdb.replica import Replica

LOG = logging.getLogger(__name__)

#: Seconds for which calls wait for a leader.
PATIENCE = 5.0
#: Seconds for which commits that are under way when the store is closed are awaited.
_CLOSING = 1.0
#: Commits that wait; further ones fail at once.
_QUEUE = 10_000
#: Seconds after a bug.
_PAUSE = 0.1


class Certificates(NamedTuple):
    """Files of this client for TLS, and the authorities of the servers; the library has one set for a process."""

    private_key: Path
    certificate: Path
    ca_file: Path


def use_certificates(certificates: Certificates | None) -> None:
    """Have all connections of this process with ``ssl:`` use these files; None: as they are."""
    if certificates is not None:
        Stream.ssl_set_private_key_file(str(certificates.private_key))
        Stream.ssl_set_certificate_file(str(certificates.certificate))
        Stream.ssl_set_ca_cert_file(str(certificates.ca_file))


class OvsdbStore:
    """Keys to values in a database that several processes share.

    One thread (under Ryu, a green one) talks to the leader of the servers, and calls watchers and the ends of commits.

    A commit fails when there is no leader for ``patience`` seconds.  It may be in the log of a server then: it is not
    carried out, or is taken back, unless another process writes behind it before this one can (``doubt``).
    """

    def __init__(
        self,
        remotes: Sequence[str],
        initial: StoreChanges | None = None,
        certificates: Certificates | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """
        Args:
            remotes: servers of the cluster, as ``tcp:HOST:PORT``, ``ssl:HOST:PORT`` or ``unix:PATH``.
            initial: the records that a new database begins with.
            certificates: for remotes with ``ssl:``.
            patience: seconds that calls wait for a leader.

        Raises:
            StoreError: there is no leader.
        """
        use_certificates(certificates)
        self._remotes = tuple(remotes)
        self._patience = patience
        self._replica = Replica(remotes)
        self._committer = Committer(self._replica, initial or {}, patience, self._reason)
        self._watchers: list[StoreWatcher] = []
        self._changed = threading.Condition()
        self._usable = False
        self._closing: float | None = None
        self._bell, self._clapper = socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="ovsdb", daemon=True)
        self._thread.start()
        try:
            with self._changed:
                self._await()
        except StoreError:
            self.close()
            raise

    def snapshot(self) -> dict[str, Versioned]:
        """Everything, at one moment; waits for a leader."""
        with self._changed:
            self._await()
            return dict(self._replica.records)

    def get(self, key: str) -> Versioned | None:
        """One value, None if there is none; waits for a leader."""
        with self._changed:
            self._await()
            return self._replica.records.get(key)

    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        """Write all changes or none; see :class:`~ryu_apps.evb.store.Store`."""
        assert threading.current_thread() is not self._thread, "a commit within a watcher would wait for itself"
        ends: list[StoreError | None] = []
        ended = threading.Event()

        def end(error: StoreError | None) -> None:
            ends.append(error)
            ended.set()

        self.begin(changes, end, expected)
        ended.wait()
        if (error := ends[0]) is not None:
            raise error

    def begin(self, changes: StoreChanges, ended: StoreEnded, expected: Mapping[str, int] | None = None) -> None:
        """Begin a commit; the thread of the store tells its end."""
        commit = Commit(dict(changes), dict(expected or {}), ended, time.monotonic())
        with self._changed:
            if self._closing is None and len(self._committer.queue) < _QUEUE:
                self._committer.queue.append(commit)
                self._ring()
                return
        ended(StoreError("the store is closed" if self._closing is not None else f"{_QUEUE} commits wait already"))

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Call a function after commits of any process, with the last values where several came at once."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def close(self) -> None:
        """Wait a moment for commits that are under way, and end the connection."""
        with self._changed:
            if self._closing is None:
                self._closing = time.monotonic() + _CLOSING
                self._ring()
        self._thread.join()

    def _await(self) -> None:
        """Wait for a leader; the caller has the lock."""
        self._changed.wait_for(lambda: self._usable or self._closing is not None, self._patience)
        if self._closing is not None:
            raise StoreError("the store is closed")
        if not self._usable:
            raise StoreError(self._reason())

    def _reason(self) -> str:
        return f"no leader of the store's cluster at {', '.join(self._remotes)}"

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it was rung often enough
            self._clapper.send(b"!")

    def _run(self) -> None:
        while not self._over():
            try:
                self._step()
                self._block()
            except Exception:
                LOG.exception("while talking to the store's cluster")
                time.sleep(_PAUSE)
        self._committer.fail("the store is closed")
        for end in (self._replica, self._bell, self._clapper):
            end.close()

    def _over(self) -> bool:
        return self._closing is not None and (self._committer.idle or time.monotonic() >= self._closing)

    def _step(self) -> None:
        self._replica.run()
        with self._changed:
            changes = self._replica.take()
            self._note(self._replica.ready and self._replica.store_row is not None)
        for watcher in list(self._watchers) if changes else ():
            call(watcher, changes)
        self._committer.step(time.monotonic())

    def _note(self, usable: bool) -> None:
        """Note whether there is a leader whose database can be read."""
        if usable == self._usable:
            return
        self._usable = usable
        self._changed.notify_all()
        if usable:
            LOG.info("the store's leader is %s", self._replica.session_name())
        else:
            LOG.warning("the store's leader is lost")

    def _block(self) -> None:
        """Wait until there is something to do."""
        poller = new_poller()
        self._replica.wait(poller)
        poller.fd_wait(self._bell, POLLIN)
        deadlines = [self._committer.deadline, self._closing]
        if due := [deadline for deadline in deadlines if deadline is not None]:
            poller.timer_wait(max(0, int((min(due) - time.monotonic()) * 1000) + 1))
        poller.block()
        with suppress(BlockingIOError):
            self._bell.recv(4096)
