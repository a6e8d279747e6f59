"""Commits that are sent as one transaction.

A transaction costs a round trip to a majority of the servers and a sync of their disks: what waits goes together.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ovs.db.idl import Transaction

from ryu_apps.evb.store import StoreChanges, StoreConflict, StoreEnded, Versioned
from ryu_apps.stores.ovsdb.doubt import Before
from ryu_apps.stores.ovsdb.replica import Replica

_Found = Callable[[str], Versioned | None]

#: Writers that the database remembers.  Each life of a bridge is one, and each transaction in doubt makes a new one.
_WRITERS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """A commit on its way.

    Attributes:
        begun: monotonic seconds.
    """

    changes: StoreChanges
    expected: Mapping[str, int]
    ended: StoreEnded
    begun: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A transaction and its commits.

    Attributes:
        refused: the commits whose expectations do not hold.
        before: the records as callers know them, of all keys that it writes.
        serial: the number of the transaction.
    """

    transaction: Transaction
    refused: Mapping[Commit, StoreConflict]
    before: Before
    serial: int


def compose(replica: Replica, writer: UUID, commits: Sequence[Commit], restored: Before) -> Batch:
    """Compose a transaction.

    It expects that the replica shows the last transaction of all, so what holds there holds in the database.

    Args:
        writer: the name of this client.
        restored: records to restore first.
    """
    known = dict(restored)
    before: dict[str, Versioned | None] = dict(restored)
    refused: dict[Commit, StoreConflict] = {}

    def found(key: str) -> Versioned | None:
        return known[key] if key in known else replica.records.get(key)

    for commit in commits:
        if (conflict := _conflict(commit.expected, found)) is not None:
            refused[commit] = conflict
            continue
        for key, value in commit.changes.items():
            last = found(key)
            before.setdefault(key, last)
            known[key] = None if value is None else Versioned(value, last.version + 1 if last else 1)
    transaction = Transaction(replica)
    serial = _count(transaction, replica, writer)
    for key, record in known.items():
        _write(transaction, replica, key, record)
    return Batch(transaction, refused, before, serial)


def _conflict(expected: Mapping[str, int], found: _Found) -> StoreConflict | None:
    for key, version in expected.items():
        record = found(key)
        if (number := record.version if record else 0) != version:
            return StoreConflict(f"{key} is at version {number}, not {version}")
    return None


def _count(transaction: Transaction, replica: Replica, writer: UUID) -> int:
    """Number the transaction, behind the last one of the replica."""
    store, writers, serial = replica.store_row, replica.writers(), replica.serial + 1
    if store is None:
        store = transaction.insert(replica.tables["Store"])
    else:
        store.verify("serial")
    store.serial = serial
    own = writers.pop(writer, None)
    if own is None:
        own = transaction.insert(replica.tables["Writer"])
        own.name = writer
    own.serial = serial
    for row in sorted(writers.values(), key=lambda row: row.serial)[: max(0, len(writers) + 1 - _WRITERS)]:
        row.delete()
    return serial


def _write(transaction: Transaction, replica: Replica, key: str, record: Versioned | None) -> None:
    row = replica.row(key)
    if record is None:
        if row is not None:
            row.delete()
        return
    if row is None:
        row = transaction.insert(replica.tables["Record"])
        row.key = key
    row.value = b64encode(record.value).decode("ascii")
    row.version = record.version
