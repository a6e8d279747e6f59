"""A store that is gone with its process: for tests, and for a bridge that is to keep nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.store import StoreChanges, StoreConflict, Versioned
from ryu_apps.stores.embedded import EmbeddedStore


class MemoryStore(EmbeddedStore):
    """Keys to values in a dictionary.

    Args:
        initial: the records it begins with.
    """

    def __init__(self, initial: StoreChanges | None = None) -> None:
        super().__init__()
        self._records: dict[str, Versioned] = {}
        self.commit(initial or {})

    def snapshot(self) -> dict[str, Versioned]:
        """Everything, at one moment."""
        return dict(self._records)

    def get(self, key: str) -> Versioned | None:
        """One value, None if there is none."""
        return self._records.get(key)

    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        """Write all changes or none; see :class:`~ryu_apps.evb.store.Store`."""
        for key, version in (expected or {}).items():
            found = self._records[key].version if key in self._records else 0
            if found != version:
                raise StoreConflict(f"{key} is at version {found}, not {version}")
        for key, value in changes.items():
            before = self._records.pop(key, None)
            if value is not None:
                self._records[key] = Versioned(value, before.version + 1 if before else 1)
        self._tell(changes)

    def close(self) -> None:
        """Do nothing: there is no file to close."""
