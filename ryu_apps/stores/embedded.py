"""Base of the stores in the process of the bridge: a commit ends before the call returns, and no one else commits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from ryu_apps.evb.store import StoreChanges, StoreEnded, StoreError, StoreWatcher


class EmbeddedStore(ABC):
    """Watchers, and commits that are begun, of a store whose commits end at once."""

    def __init__(self) -> None:
        self._watchers: list[StoreWatcher] = []

    @abstractmethod
    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        """Write all changes or none; see :class:`~ryu_apps.evb.store.Store`."""

    def begin(self, changes: StoreChanges, ended: StoreEnded, expected: Mapping[str, int] | None = None) -> None:
        """Commit, and tell the end before this returns."""
        try:
            self.commit(changes, expected)
        except StoreError as error:
            ended(error)
        else:
            ended(None)

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Call a function after every commit; returns a function that ends this."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def _tell(self, changes: StoreChanges) -> None:
        for watcher in list(self._watchers):
            watcher(changes)
