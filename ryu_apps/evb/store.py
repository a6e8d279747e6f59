"""Interface of the stores that keep the engine's records.

Small, so that a replicated store can replace the embedded one: a key has a value and a version, a commit
is atomic, and a writer may name the versions that it expects (compare and set).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """The store cannot be read or written now (disk full, read-only, removed); nothing was changed."""


class StoreConflict(StoreError):
    """A key is not at the expected version: another writer has changed it."""


class Versioned(NamedTuple):
    """A value and the number of writes of its key, from 1."""

    value: bytes
    version: int


StoreChanges = Mapping[str, bytes | None]
StoreWatcher = Callable[[StoreChanges], None]
#: The end of a commit that was begun: None when it is durable, else the reason that nothing was changed.
StoreEnded = Callable[[StoreError | None], None]


class Store(Protocol):
    """Keys to values, durable as soon as ``commit`` returns.

    A new store begins with the records given by its creator, which mark that earlier state is unknown.
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
            StoreConflict: a key is not at its expected version.
            StoreError: it cannot be written.
        """

    def begin(self, changes: StoreChanges, ended: StoreEnded, expected: Mapping[str, int] | None = None) -> None:
        """Begin a commit, without waiting for a network; arguments as of :meth:`commit`.

        Args:
            ended: called once, after those of all commits that were begun before; an embedded store calls it before
                this returns, a networked one later.
        """

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Call ``watcher`` after every commit, also of other processes; returns a function that ends this."""

    def close(self) -> None:
        """Close files and connections."""
