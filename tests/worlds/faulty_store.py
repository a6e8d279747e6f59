"""A store with the faults of a replicated one: late and repeated notifications, and lost connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ryu_apps.evb.store import StoreChanges, StoreEnded, StoreError, StoreWatcher, Versioned
from ryu_apps.stores.memory import MemoryStore


class FaultyStore:
    """A memory store behind an unreliable connection.

    Attributes:
        connected: while False every call fails and nothing changes.
        late: commits that watchers have not been notified of yet; :meth:`deliver` notifies them, each twice.
    """

    def __init__(self) -> None:
        self.connected = True
        self.late: list[StoreChanges] = []
        self._store = MemoryStore()
        self._watchers: list[StoreWatcher] = []
        self._store.watch(self.late.append)

    def snapshot(self) -> dict[str, Versioned]:
        self._reach()
        return self._store.snapshot()

    def get(self, key: str) -> Versioned | None:
        self._reach()
        return self._store.get(key)

    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        self._reach()
        self._store.commit(changes, expected)

    def begin(self, changes: StoreChanges, ended: StoreEnded, expected: Mapping[str, int] | None = None) -> None:
        if self.connected:
            self._store.begin(changes, ended, expected)
        else:
            ended(StoreError("not connected"))

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def close(self) -> None:
        self._store.close()

    def deliver(self) -> None:
        """Notify the watchers of each late commit, twice."""
        late, self.late[:] = list(self.late), []
        for changes in late:
            for watcher in (*self._watchers, *self._watchers):
                watcher(changes)

    def _reach(self) -> None:
        if not self.connected:
            raise StoreError("not connected")
