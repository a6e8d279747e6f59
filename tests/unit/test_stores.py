"""One conformance suite for every store, and what only a file can suffer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ryu_apps.evb.store import Changes, Conflict, Store, StoreError, Versioned
from ryu_apps.stores.memory import MemoryStore
from ryu_apps.stores.sqlite import SCHEMA, SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state.sqlite")
    yield made
    made.close()


def test_what_is_committed_is_there(store: Store) -> None:
    store.commit({"a": b"1", "b": b"2"})
    store.commit({"a": b"3", "b": None})
    assert store.snapshot() == {"a": Versioned(b"3", 2)}
    assert store.get("a") == Versioned(b"3", 2) and store.get("b") is None


def test_a_failed_expectation_changes_nothing(store: Store) -> None:
    store.commit({"a": b"1"})
    with pytest.raises(Conflict):
        store.commit({"a": b"2", "b": b"2"}, expected={"a": 1, "b": 7})
    assert store.snapshot() == {"a": Versioned(b"1", 1)}


def test_expectations_that_hold_do_not_hinder(store: Store) -> None:
    store.commit({"a": b"1"}, expected={"a": 0})
    store.commit({"a": b"2"}, expected={"a": 1})
    assert store.get("a") == Versioned(b"2", 2)


def test_watchers_are_told_behind_the_commit_until_they_stop(store: Store) -> None:
    seen: list[tuple[Changes, Versioned | None]] = []
    stop = store.watch(lambda changes: seen.append((changes, store.get("a"))))
    store.commit({"a": b"1"})
    stop()
    store.commit({"a": b"2"})
    assert seen == [({"a": b"1"}, Versioned(b"1", 1))]


def test_watchers_hear_nothing_of_a_conflict(store: Store) -> None:
    seen: list[Changes] = []
    store.watch(seen.append)
    with pytest.raises(Conflict):
        store.commit({"a": b"1"}, expected={"a": 5})
    assert seen == []


def test_file_holds_what_was_committed_when_the_process_dies(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "state.sqlite")
    assert first.fresh
    first.commit({"a": b"1"})
    second = SqliteStore(tmp_path / "state.sqlite")
    assert not second.fresh and second.get("a") == Versioned(b"1", 1)


@pytest.mark.parametrize(
    "damage", [lambda data: b"garbage" * 500, lambda data: data[:100] + b"\xff" * (len(data) - 100)]
)
def test_damaged_file_is_moved_aside_and_the_store_begins_anew(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "state.sqlite"
    store = SqliteStore(path)
    store.commit({"a": b"1"})
    store.close()
    path.write_bytes(damage(path.read_bytes()))
    again = SqliteStore(path)
    assert again.fresh and again.snapshot() == {}
    assert (tmp_path / "state.damaged-1").exists()


def test_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    SqliteStore(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    with pytest.raises(StoreError, match="newer version"):
        SqliteStore(path)


def test_write_that_fails_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.sqlite")
    store.commit({"a": b"1"})
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        store.commit({"a": b"2"})
    store._database.execute("PRAGMA query_only = OFF")
    assert store.get("a") == Versioned(b"1", 1)
