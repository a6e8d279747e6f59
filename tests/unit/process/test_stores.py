"""One conformance suite for every store, and what only a file can suffer."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ryu_apps.evb.store import Store, StoreChanges, StoreConflict, StoreError, Versioned
from ryu_apps.stores.memory import MemoryStore
from ryu_apps.stores.ovsdb.store import OvsdbStore
from ryu_apps.stores.sqlite import SCHEMA, SqliteStore
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from tests.interop.private_ovs import wait_for
from tests.worlds.faulty_store import FaultyStore


@contextmanager
def of_one_server(initial: StoreChanges | None = None) -> Iterator[Store]:
    """A store on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder, OvsdbCluster(Path(folder), 1) as cluster:
        store = OvsdbStore(cluster.remotes, initial)
        yield store
        store.close()


@pytest.fixture(params=["memory", "sqlite", "ovsdb", "faulty"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "ovsdb":
        with of_one_server() as shared:
            yield shared
        return
    makers: dict[str, Callable[[], Store]] = {
        "memory": MemoryStore,
        "sqlite": lambda: SqliteStore(tmp_path / "state.sqlite"),
        "faulty": FaultyStore,
    }
    made = makers[request.param]()
    yield made
    made.close()


def settle(store: Store) -> None:
    """Let watchers hear what they have not heard yet."""
    if isinstance(store, FaultyStore):
        store.deliver()


def test_what_is_committed_is_there(store: Store) -> None:
    store.commit({"a": b"1", "b": b"2"})
    store.commit({"a": b"3", "b": None})
    assert store.snapshot() == {"a": Versioned(b"3", 2)}
    assert store.get("a") == Versioned(b"3", 2) and store.get("b") is None


def test_a_failed_expectation_changes_nothing(store: Store) -> None:
    store.commit({"a": b"1"})
    with pytest.raises(StoreConflict):
        store.commit({"a": b"2", "b": b"2"}, expected={"a": 1, "b": 7})
    assert store.snapshot() == {"a": Versioned(b"1", 1)}


def test_expectations_that_hold_do_not_hinder(store: Store) -> None:
    store.commit({"a": b"1"}, expected={"a": 0})
    store.commit({"a": b"2"}, expected={"a": 1})
    assert store.get("a") == Versioned(b"2", 2)


def test_commits_that_are_begun_end_in_their_order_each_once(store: Store) -> None:
    ends: list[tuple[str, type[StoreError] | None, Versioned | None]] = []

    def begin(name: str, changes: StoreChanges, expected: dict[str, int] | None = None) -> None:
        store.begin(changes, lambda error: ends.append((name, error and type(error), store.get("a"))), expected)

    begin("first", {"a": b"1"}, {"a": 0})
    begin("stale", {"a": b"9"}, {"a": 0})
    begin("second", {"a": b"2"}, {"a": 1})
    wait_for(lambda: len(ends) >= 3, "ends")
    first, second = Versioned(b"1", 1), Versioned(b"2", 2)
    assert [(name, error) for name, error, _ in ends] == [("first", None), ("stale", StoreConflict), ("second", None)]
    # What has ended can be read; a later commit may be durable by then.
    assert [found for _, _, found in ends if found in (first, second)] == [found for _, _, found in ends]
    assert ends[-1][2] == store.get("a") == second


def test_an_expectation_may_be_of_keys_that_are_not_written(store: Store) -> None:
    store.commit({"lease": b"A"})
    store.commit({"a": b"1"}, expected={"lease": 1, "free": 0})
    for expected in ({"lease": 2}, {"lease": 0}, {"free": 1}):
        with pytest.raises(StoreConflict):
            store.commit({"a": b"2"}, expected)
    assert store.get("a") == Versioned(b"1", 1)


def test_a_key_that_was_deleted_begins_anew(store: Store) -> None:
    store.commit({"a": b"1"})
    store.commit({"a": b"2"})
    store.commit({"a": None, "never there": None})
    store.commit({"a": b"3"}, expected={"a": 0})
    assert store.snapshot() == {"a": Versioned(b"3", 1)}


@pytest.mark.parametrize("value", [b"", bytes(range(256)), bytes(70_000)], ids=["empty", "all octets", "long"])
def test_values_are_octets(store: Store, value: bytes) -> None:
    store.commit({"vsi/ä@1:2": value})
    assert store.snapshot() == {"vsi/ä@1:2": Versioned(value, 1)}


def test_watchers_are_told_behind_the_commit_until_they_stop(store: Store) -> None:
    seen: list[tuple[StoreChanges, Versioned | None]] = []
    stop = store.watch(lambda changes: seen.append((changes, store.get("a"))))
    store.commit({"a": b"1"})
    settle(store)
    stop()
    store.commit({"a": b"2"})
    settle(store)
    # At least once: a line may deliver a commit again, but never one that did not happen.
    assert set(map(repr, seen)) == {repr(({"a": b"1"}, Versioned(b"1", 1)))}


def test_watchers_hear_nothing_of_a_conflict(store: Store) -> None:
    seen: list[StoreChanges] = []
    store.watch(seen.append)
    with pytest.raises(StoreConflict):
        store.commit({"a": b"1"}, expected={"a": 5})
    settle(store)
    assert seen == []


def test_store_that_is_away_says_so_and_has_lost_nothing_when_it_is_back() -> None:
    store = FaultyStore()
    store.commit({"a": b"1"})
    store.connected = False
    for call in (store.snapshot, lambda: store.get("a"), lambda: store.commit({"a": b"2"})):
        with pytest.raises(StoreError):
            call()
    store.connected = True
    assert store.snapshot() == {"a": Versioned(b"1", 1)}


def test_file_holds_what_was_committed_when_the_process_dies(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "state.sqlite")
    first.commit({"a": b"1"})
    second = SqliteStore(tmp_path / "state.sqlite")
    assert second.get("a") == Versioned(b"1", 1)


@pytest.fixture(params=["memory", "sqlite", "ovsdb"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "ovsdb":
        with of_one_server(INITIAL) as shared:
            yield shared
    else:
        yield MemoryStore(INITIAL) if request.param == "memory" else SqliteStore(tmp_path / "state.sqlite", INITIAL)


#: What a store says that knows of no past.
INITIAL: StoreChanges = {"lost": b"!"}
LOST = {"lost": Versioned(b"!", 1)}


def test_a_new_store_says_that_it_knows_of_no_past(new: Store) -> None:
    assert new.snapshot() == LOST


def test_what_a_new_store_said_is_not_said_again(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    SqliteStore(path, INITIAL).commit({"lost": None})
    assert SqliteStore(path, INITIAL).snapshot() == {}


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda data: b"garbage" * 500,
    "pages overwritten": lambda data: data[:100] + b"\xff" * (len(data) - 100),
    "cut off": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_file_is_moved_aside_and_the_store_begins_anew(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "state.sqlite"
    store = SqliteStore(path)
    store.commit({"a": b"1"})
    store.close()
    path.write_bytes(damage(path.read_bytes()))
    assert SqliteStore(path, INITIAL).snapshot() == LOST
    assert (tmp_path / "state.damaged-1").exists()


@pytest.mark.parametrize("lose", [lambda path: path.write_bytes(b""), Path.unlink], ids=["emptied", "removed"])
def test_a_file_that_is_lost_knows_of_no_past_however_often_the_controller_dies(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    path = tmp_path / "state.sqlite"
    store = SqliteStore(path)
    store.commit({"a": b"1"})
    store.close()
    lose(path)
    for _ in range(2):
        assert SqliteStore(path, INITIAL).snapshot() == LOST


def test_directory_in_place_of_the_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.mkdir()
    with pytest.raises(StoreError, match="is a directory where a file should be: move it away"):
        SqliteStore(path)


def test_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    SqliteStore(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    database.close()
    with pytest.raises(StoreError, match=r"newer version .*: install that version, or move the file away"):
        SqliteStore(path)


def test_write_that_fails_is_told_and_changes_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.sqlite")
    store.commit({"a": b"1"})
    store._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError):
        store.commit({"a": b"2"})
    store._database.execute("PRAGMA query_only = OFF")
    assert store.get("a") == Versioned(b"1", 1)


@pytest.mark.parametrize("again", [False, True], ids=["removed", "made anew"])
def test_file_that_is_not_there_any_more_takes_nothing(tmp_path: Path, again: bool) -> None:
    state = tmp_path / "state"
    state.mkdir()
    store = SqliteStore(state / "state.sqlite")
    store.commit({"kept": b"1"})
    shutil.rmtree(state)
    if again:
        state.mkdir()
        SqliteStore(state / "state.sqlite").close()
    with pytest.raises(StoreError, match="was removed or replaced while in use: start the controller anew"):
        store.commit({"lost": b"1"})
    assert "lost" not in store.snapshot()
    store.close()
