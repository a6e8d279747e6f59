"""The directory: calls of any thread, and the thread that talks to the servers."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import socketpair

from ovs.poller import POLLIN

from ryu_apps.evb.pods.directory import DirectoryError, Ended, Found, OvertakenError
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.stores.ovsdb.committer import call as call_safely
from ryu_apps.stores.ovsdb.owners import (
    Call,
    Operation,
    OwnRows,
    Results,
    delete_owner,
    insert_life,
    owner_in,
    raise_life,
    return_owner,
    select_owner,
    write_owner,
)
from ryu_apps.stores.ovsdb.polling import new_poller
from ryu_apps.stores.ovsdb.store import Certificates, use_certificates

LOG = logging.getLogger(__name__)

#: Calls that wait; further ones fail at once.
_QUEUE = 10_000
#: Seconds after a bug.
_PAUSE = 0.1
_NO_ANSWER = "the directory of pods does not answer"
#: Errors of a transaction whose expectation does not hold: of ``wait``, and of the index.
_OVERTAKEN = ("timed out", "constraint violation")

#: Called with the VSIs whose rows have ceased to name the pod; None: the rows are shown for the first time, or anew.
Watcher = Callable[[frozenset[str] | None], None]


class OvsdbDirectory:
    """Owners in a database that all pods share.

    Calls are answered by the thread of the directory (under Ryu, a green one), ``patience`` seconds later at most.

    Attributes:
        own: VSI -> owner, of the VSIs that this pod has according to the directory.
    """

    def __init__(
        self, remotes: Sequence[str], pod: str, certificates: Certificates | None = None, patience: float = 1.0
    ) -> None:
        """
        Args:
            remotes: servers, as ``tcp:HOST:PORT``, ``ssl:HOST:PORT`` or ``unix:PATH``.
            pod: name of this pod.
            certificates: for remotes with ``ssl:``.
            patience: seconds until a call fails that is not answered.
        """
        use_certificates(certificates)
        self._patience = patience
        self._rows = OwnRows(remotes, pod)
        self.own = self._rows.own
        self._queue: deque[Call] = deque()
        self._under_way: list[Call] = []
        self._watchers: list[Watcher] = []
        self._usable = self._closing = False
        self._bell, self._clapper = socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="directory", daemon=True)
        self._thread.start()

    @property
    def usable(self) -> bool:
        """A server that leads is connected."""
        return self._usable

    # --- the interface ---
    def begin_life(self, pod: str, life: int, ended: Ended) -> None:
        """Begin a life of a pod; see :class:`~ryu_apps.evb.pods.directory.Directory`."""

        def raised(results: Results) -> None:
            if (failure := _failure(results)) is not None or results is None:
                ended(failure)
                return
            rows = results[1]["rows"]
            if not rows:
                self._call(insert_life(pod, life), lambda inserted: ended(_failure(inserted)))
            else:
                newer = rows[0]["life"] != life
                ended(OvertakenError(f"a newer life of {pod} has begun") if newer else None)

        self._call(raise_life(pod, life), raised)

    def find(self, vsi: str, found: Found, patience: float | None = None) -> None:
        """Look the owner of a VSI up; see :class:`~ryu_apps.evb.pods.directory.Directory`."""

        def ended(results: Results) -> None:
            failure = _failure(results)
            found(owner_in(results) if failure is None and results is not None else failure)

        self._call(select_owner(vsi), ended, patience)

    def claim(self, vsi: str, owner: Owner, expected: int, ended: Ended) -> None:
        """Write the owner of a VSI; ``expected``: generation of the present one, 0: there is none."""
        self._call(write_owner(vsi, owner, expected), lambda results: ended(_failure(results)))

    def give_back(self, vsi: str, claimed: Owner, owner: Owner, ended: Ended) -> None:
        """Write the former owner in the place of a claim that may be there."""
        self._call(return_owner(vsi, claimed, owner), lambda results: ended(_failure(results)))

    def release(self, vsi: str, owner: Owner, ended: Ended) -> None:
        """Remove an owner, unless another pod has claimed the VSI since."""
        self._call(delete_owner(vsi, owner), lambda results: ended(_failure(results)))

    def watch(self, watcher: Watcher) -> None:
        """Call a function when rows cease to name this pod."""
        self._watchers.append(watcher)

    def close(self) -> None:
        """End the connection; what is under way fails."""
        self._closing = True
        self._ring()
        self._thread.join()

    # --- the thread ---
    def _call(
        self, operations: Sequence[Operation], ended: Callable[[Results], None], patience: float | None = None
    ) -> None:
        if self._closing or len(self._queue) >= _QUEUE:
            ended(None)
            return
        now = time.monotonic()
        self._queue.append(Call(operations, ended, now, now + (self._patience if patience is None else patience)))
        self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            self._clapper.send(b"!")

    def _run(self) -> None:
        while not self._closing:
            try:
                self._step(time.monotonic())
                self._block()
            except Exception:
                LOG.exception("while talking to the directory of pods")
                time.sleep(_PAUSE)
        for call in (*self._under_way, *self._queue):
            call_safely(call.ended, None)
        for end in (self._rows, self._bell, self._clapper):
            end.close()

    def _step(self, now: float) -> None:
        self._rows.run()
        self._follow(self._rows.ready)
        while self._queue and self._usable:
            call = self._queue.popleft()
            self._under_way.append(call)
            self._rows.send(call)
        self._end(now)

    def _end(self, now: float) -> None:
        """Tell the ends of calls that are answered, or have waited for too long."""
        late = now - self._patience
        silent = any(call.begun <= late for call in self._under_way if not call.over)
        ended = [call for call in self._under_way if call.over or call.due <= now]
        ended += [call for call in self._queue if call.due <= now]
        self._under_way = [call for call in self._under_way if call not in ended]
        self._queue = deque(call for call in self._queue if call.due > now)
        if silent:
            # The server may be cut off from the others, and keep the connection.
            self._rows.force_reconnect()
        for call in ended:
            call_safely(call.ended, call.results)

    def _follow(self, ready: bool) -> None:
        gone = self._rows.take() if ready else frozenset[str]()
        if ready != self._usable:
            # Behind the rows, which may take some turns of other work.
            self._usable = ready
            LOG.log(logging.INFO if ready else logging.WARNING, "the directory is %s", "there" if ready else "lost")
            if ready:
                self._tell(None)
        elif gone:
            self._tell(gone)

    def _tell(self, gone: frozenset[str] | None) -> None:
        for watcher in list(self._watchers):
            call_safely(watcher, gone)

    def _block(self) -> None:
        poller = new_poller()
        self._rows.wait(poller)
        poller.fd_wait(self._bell, POLLIN)
        waiting = [call.due for call in (*self._under_way, *self._queue)]
        if waiting:
            due = min(waiting)
            poller.timer_wait(max(0, int((due - time.monotonic()) * 1000) + 1))
        poller.block()
        with suppress(BlockingIOError):
            self._bell.recv(4096)


def _failure(results: Results) -> DirectoryError | None:
    """Return the reason for which a transaction was not carried out; None: it was."""
    if results is None:
        return DirectoryError(_NO_ANSWER)
    errors = [str(result["error"]) for result in results if result.get("error")]
    if not errors:
        return None
    kind = OvertakenError if any(error in _OVERTAKEN for error in errors) else DirectoryError
    return kind(f"the directory of pods: {errors[0]}")
