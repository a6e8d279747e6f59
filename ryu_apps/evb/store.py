"""What the engine's records are kept in: the interface every store implements.

Small on purpose, so that a replicated store can stand in for the embedded one: a key has a value and
a version, a commit is all or nothing, and whoever changes something may say what it believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """The store cannot do it now (disk full, read-only, gone); nothing was changed."""


class StoreConflict(StoreError):
    """Somebody else was faster: a key is not at the version that was expected."""


class Versioned(NamedTuple):
    """A value and how often its key has been written, from 1."""

    value: bytes
    version: int


StoreChanges = Mapping[str, bytes | None]
StoreWatcher = Callable[[StoreChanges], None]


class Store(Protocol):
    """Keys to values, durable from the moment ``commit`` returns.

    One that is made anew begins with the records that its maker gives it, which say that it knows of no past.
    """

    def snapshot(self) -> dict[str, Versioned]:
        """Everything, at one moment.

        Raises:
            StoreError: it cannot be read.
        """

    def get(self, key: str) -> Versioned | None:
        """One value, None if there is none.

        Raises:
            StoreError: it cannot be read.
        """

    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        """Write all changes or none; a value of None deletes.

        Args:
            expected: key -> version it must have; 0: it must not exist.

        Raises:
            Conflict: an expectation does not hold.
            StoreError: it cannot be written.
        """

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Be told of every commit after it; returns what ends it."""

    def close(self) -> None:
        """Let go of files and connections."""
