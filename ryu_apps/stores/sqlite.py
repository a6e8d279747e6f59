"""The embedded store: one SQLite file in the state directory.

Write-ahead logging without a sync at every commit: what is committed survives the death of the
process, which is what happens to controllers; a power failure may cost the last moments, which the
stations' keep-alives bring back.  A file that cannot be read is moved aside, never deleted.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from ryu_apps.evb.store import StoreChanges, StoreConflict, StoreError, Versioned
from ryu_apps.stores.embedded import EmbeddedStore

LOG = logging.getLogger(__name__)

#: Version of the tables; ``_MIGRATIONS[n]`` leads from n to n + 1.
SCHEMA = 1
_MIGRATIONS = ("CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) STRICT",)
#: Octets without which SQLite does not open a new file with its log and its index.
_ROOM = 128 * 1024
_RIGHTS = f"the user of the controller (uid {os.geteuid()}) has to write it and its directory"
_REMEDIES = {
    errno.ENOSPC: "make room on its file system",
    errno.EDQUOT: "make room, or raise the quota",
    errno.EROFS: "its file system has to be writable",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}
_ANEW = "without it the bridge starts anew and stations bring back what they use"


class SqliteStore(EmbeddedStore):
    """Keys to values in one file.

    Args:
        path: of the file, which is made if it is missing.
        initial: the records that a file begins with which says nothing: a new or an empty one, or one that takes the
            place of a damaged one.

    Raises:
        StoreError: the file can neither be opened nor moved aside, or a newer version wrote it.
    """

    def __init__(self, path: Path, initial: StoreChanges | None = None) -> None:
        super().__init__()
        self.path = path
        self._initial = initial or {}
        if path.is_dir():
            raise StoreError(f"{path} is a directory where a file should be: move it away; {_ANEW}")
        try:
            self._database = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{path} cannot be used: {_reason(path) or error}") from error
            self._move_aside(error)
            self._database = self._open()
        self._identity = _identity(path)

    def snapshot(self) -> dict[str, Versioned]:
        """Everything, at one moment."""
        try:
            rows = self._database.execute("SELECT key, value, version FROM record").fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return {key: Versioned(value, version) for key, value, version in rows}

    def get(self, key: str) -> Versioned | None:
        """One value, None if there is none."""
        try:
            row = self._database.execute("SELECT value, version FROM record WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        return Versioned(*row) if row else None

    def commit(self, changes: StoreChanges, expected: Mapping[str, int] | None = None) -> None:
        """Write all changes or none; see :class:`~ryu_apps.evb.store.Store`."""
        # SQLite would go on writing to an unlinked file; another controller may have begun a new one.
        if _identity(self.path) != self._identity:
            raise StoreError(f"{self.path} was removed or replaced while in use: start the controller anew")
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._expect(expected or {})
                _write_all(self._database, changes)
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        self._tell(changes)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _expect(self, expected: Mapping[str, int]) -> None:
        for key, version in expected.items():
            row = self._database.execute("SELECT version FROM record WHERE key = ?", (key,)).fetchone()
            found = row[0] if row else 0
            if found != version:
                raise StoreConflict(f"{key} is at version {found}, not {version}")

    def _open(self) -> sqlite3.Connection:
        # No waiting for locks: another process that has the file open must not stall the event loop.
        database = sqlite3.connect(self.path, isolation_level=None, timeout=0.0)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("integrity check failed")
            self._migrate(database)
        except BaseException:
            database.close()
            raise
        return database

    def _migrate(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            newer = f"{self.path} was written by a newer version of evbridge (schema {version}, this is {SCHEMA})"
            raise StoreError(f"{newer}: install that version, or move the file away; {_ANEW}")
        for number in range(version, SCHEMA):
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_MIGRATIONS[number])
                database.execute(f"PRAGMA user_version = {number + 1}")
                if number == 0:
                    # In one with the table: after a crash, the file is marked as holding no past.
                    _write_all(database, self._initial)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        number = 1
        while (aside := self.path.with_suffix(f".damaged-{number}")).exists():
            number += 1
        LOG.error("%s is damaged (%s): moved to %s, state is rebuilt from the stations", self.path, error, aside)
        try:
            self.path.rename(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as failure:
            raise StoreError(f"{self.path} is damaged and cannot be moved aside: {failure}") from failure


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at a path; None if there is none to see."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _reason(path: Path) -> str | None:
    """Return the system's reason that a database cannot be used: SQLite names only the failed operation."""
    try:
        for file in (path, *map(Path, (f"{path}-wal", f"{path}-shm"))):
            if file.exists():
                os.close(os.open(file, os.O_RDWR | os.O_CLOEXEC))
        with TemporaryFile(dir=path.parent) as probe:
            os.posix_fallocate(probe.fileno(), 0, _ROOM)
    except OSError as error:
        return f"{error.strerror}: {_REMEDIES.get(error.errno or 0, 'see to the file system')}"
    return None


def _write_all(database: sqlite3.Connection, changes: StoreChanges) -> None:
    for key, value in changes.items():
        if value is None:
            database.execute("DELETE FROM record WHERE key = ?", (key,))
        else:
            database.execute(
                "INSERT INTO record VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET value = ?, version = version + 1",
                (key, value, value),
            )
