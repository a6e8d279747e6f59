"""The shared store on three real servers: what a client sees of their faults, and of another client."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ryu_apps.evb.store import StoreChanges, StoreConflict, StoreError, Versioned
from ryu_apps.stores.ovsdb.store import Certificates, OvsdbStore
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from tests.interop.private_ovs import wait_for

#: Seconds for which a client of these tests waits for a leader: more than an election of three servers takes.
PATIENCE = 15.0
#: The same for tests in which there is none.
SHORT = 2.0


@pytest.fixture
def cluster() -> Iterator[OvsdbCluster]:
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder, OvsdbCluster(Path(folder)) as servers:
        yield servers


@pytest.fixture
def client(cluster: OvsdbCluster) -> Iterator[Callable[..., OvsdbStore]]:
    made: list[OvsdbStore] = []

    def make(patience: float = PATIENCE) -> OvsdbStore:
        made.append(OvsdbStore(cluster.remotes, patience=patience))
        return made[-1]

    yield make
    for store in made:
        store.close()


Client = Callable[..., OvsdbStore]


class Writer:
    """Commits that are begun one after the other, each of one counted write of its own key and of a common one.

    Attributes:
        ends: number of the commit -> None, or why it failed; in the order of the ends.
    """

    def __init__(self, store: OvsdbStore) -> None:
        self.ends: dict[int, StoreError | None] = {}
        self.told = Counter[int]()
        self._store = store

    def begin(self, number: int) -> None:
        def ended(error: StoreError | None) -> None:
            self.told[number] += 1
            self.ends[number] = error

        self._store.begin({f"own/{number}": b"%d" % number, "common": b"%d" % number}, ended)

    def check(self, begun: int, store: OvsdbStore) -> None:
        """Every commit ended once, in order; those that were acknowledged are there, once, and no other."""
        assert list(self.ends) == list(range(begun)) and set(self.told.values()) == {1}
        done = [number for number, error in self.ends.items() if error is None]
        records = store.snapshot()
        assert records["common"] == Versioned(b"%d" % done[-1], len(done))
        assert {key for key in records if key.startswith("own/")} == {f"own/{number}" for number in done}
        assert all(records[f"own/{number}"].version == 1 for number in done)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_leader_that_dies_or_stops_during_commits_loses_none_and_doubles_none(
    cluster: OvsdbCluster, client: Client, fault: str
) -> None:
    store = client()
    writer = Writer(store)
    for number in range(50):
        writer.begin(number)
    wait_for(lambda: writer.ends, "first end")
    before = cluster.leader()
    getattr(cluster, fault)(before)
    for number in range(50, 300):
        writer.begin(number)
    wait_for(lambda: len(writer.ends) == 300, "ends")
    assert all(error is None for error in writer.ends.values())
    others = tuple(number for number in range(3) if number != before)
    assert cluster.leader(others) in others
    cluster.start_server(before) if fault == "kill" else cluster.go_on(before)
    writer.check(300, client())


def test_one_server_of_three_is_not_missed(cluster: OvsdbCluster, client: Client) -> None:
    store = client()
    cluster.kill(next(number for number in range(3) if number != cluster.leader()))
    store.commit({"a": b"1"})
    assert store.get("a") == Versioned(b"1", 1)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_without_a_majority_nothing_is_accepted_and_what_failed_is_not_there_later(
    cluster: OvsdbCluster, client: Client, fault: str
) -> None:
    store = client(SHORT)
    store.commit({"kept": b"1"})
    leader = cluster.leader()
    lost = [number for number in range(3) if number != leader]
    for number in lost:
        getattr(cluster, fault)(number)
    writer = Writer(store)
    # The first gets into the log of the leader, the others wait behind it.
    for number in range(20):
        writer.begin(number)
    with pytest.raises(StoreError):
        store.commit({"kept": b"2"}, expected={"kept": 1})
    wait_for(lambda: len(writer.ends) == 20, "ends")
    assert all(error is not None for error in writer.ends.values())
    for number in lost:
        cluster.start_server(number) if fault == "kill" else cluster.go_on(number)
    cluster.leader()
    wait_for(lambda: committed(store, {"after": b"1"}), "majority")
    for reader in (store, client()):
        assert reader.snapshot() == {"kept": Versioned(b"1", 1), "after": Versioned(b"1", 1)}


def committed(store: OvsdbStore, changes: StoreChanges) -> bool:
    try:
        store.commit(changes)
    except StoreError:
        return False
    return True


@pytest.mark.parametrize("written_behind", [False, True], ids=["alone", "behind"])
def test_a_commit_that_was_given_up_but_carried_out_is_taken_back_unless_another_client_has_written_behind_it(
    cluster: OvsdbCluster, client: Client, written_behind: bool
) -> None:
    store, other = client(SHORT), client()
    store.commit({"a": b"1"})
    shown, seen = threading.Event(), threading.Event()

    def wait(changes: StoreChanges) -> None:
        """Keep the client from taking it back before the other one has seen it."""
        shown.set()
        assert seen.wait(PATIENCE)

    stop = store.watch(wait)
    lost = [number for number in range(3) if number != cluster.leader()]
    for number in lost:
        cluster.kill(number)
    with pytest.raises(StoreError):
        store.commit({"a": b"2", "new": b"1"}, expected={"a": 1})
    # One alone has less in its log than the leader, so this leader is elected again, with what it has.
    cluster.start_server(lost[0])
    assert shown.wait(PATIENCE)
    wait_for(lambda: other.get("a") == Versioned(b"2", 2), "commit in doubt")
    if written_behind:
        other.commit({"b": b"1"})
    stop()
    seen.set()
    store.commit({"c": b"1"})
    there = {"a": Versioned(b"2", 2), "new": Versioned(b"1", 1)} if written_behind else {"a": Versioned(b"1", 1)}
    wait_for(lambda: other.get("c") is not None, "commit")
    for key in ("a", "new"):
        assert store.get(key) == other.get(key) == there.get(key)


def test_of_two_clients_that_expect_the_same_version_one_wins(cluster: OvsdbCluster, client: Client) -> None:
    stores = [client(), client()]
    wins: Counter[str] = Counter()
    for turn in range(30):
        ready = threading.Barrier(2)

        def claim(store: OvsdbStore, name: str, turn: int = turn, ready: threading.Barrier = ready) -> None:
            ready.wait()
            try:
                store.commit({"lease": name.encode()}, expected={"lease": turn})
            except StoreConflict:
                return
            wins[name] += 1

        threads = [threading.Thread(target=claim, args=pair) for pair in zip(stores, "AB", strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wins.total() == turn + 1
        wait_for(lambda turn=turn: all(store.get("lease").version == turn + 1 for store in stores), "lease")


def test_a_watcher_is_told_of_commits_of_other_processes_and_across_lost_leaders(
    cluster: OvsdbCluster, client: Client
) -> None:
    store = client()
    seen: list[StoreChanges] = []
    store.commit({"a": b"old"})
    stop = store.watch(seen.append)
    commit_elsewhere(cluster, {"a": b"1", "b": b"\x00"})
    wait_for(lambda: seen, "news")
    assert seen == [{"a": b"1", "b": b"\x00"}]
    cluster.kill(cluster.leader())
    commit_elsewhere(cluster, {"a": None, "c": b"2"})
    wait_for(lambda: len(seen) > 1, "news")
    assert seen[1:] == [{"a": None, "c": b"2"}]
    stop()
    commit_elsewhere(cluster, {"d": b"3"})
    wait_for(lambda: store.get("d") is not None, "record")
    assert len(seen) == 2


def commit_elsewhere(cluster: OvsdbCluster, changes: StoreChanges) -> None:
    """Commit from another process."""
    program = (
        "from ryu_apps.stores.ovsdb.store import OvsdbStore\n"
        f"store = OvsdbStore({cluster.remotes!r}, patience={PATIENCE})\n"
        f"store.commit({changes!r})\nstore.close()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


def test_a_client_that_was_away_is_told_what_has_changed(cluster: OvsdbCluster, client: Client) -> None:
    """With servers that begin anew, which cannot say what has changed since."""
    store, other = client(), client()
    other.commit({"a": b"1", "b": b"1", "c": b"1"})
    wait_for(lambda: store.get("c") is not None, "record")
    seen: dict[str, bytes | None] = {}
    store.watch(seen.update)
    for number in range(3):
        cluster.kill(number)
    for number in range(3):
        cluster.start_server(number)
    other.commit({"a": None, "b": b"2"})
    wait_for(lambda: seen == {"a": None, "b": b"2"}, "news")
    assert store.snapshot() == other.snapshot() == {"b": Versioned(b"2", 2), "c": Versioned(b"1", 1)}


def test_the_store_is_on_the_disks_of_its_servers(cluster: OvsdbCluster, client: Client) -> None:
    client().commit({f"vsi/{number}": bytes([number]) * 200 for number in range(200)})
    before = client().snapshot()
    for number in range(3):
        cluster.kill(number)
    for number in range(3):
        cluster.start_server(number)
    assert client().snapshot() == before and len(before) == 200


def test_a_process_with_more_than_1023_descriptors_waits_for_its_store(
    client: Client, cluster: OvsdbCluster, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limit >= 2_100, "the test needs that many descriptors"
    former = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(former[0], 2_100), limit))
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, former))
    with ExitStack() as open_files:
        for _ in range(1_024):
            open_files.enter_context(open(os.devnull, "rb"))
        store = client()
        store.commit({"vsi/a": b"1"})
        assert store.snapshot()["vsi/a"].value == b"1"
        store.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_store_without_servers_is_refused_in_bounded_time(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no leader of the store's cluster at unix:.*none.sock"):
        OvsdbStore([f"unix:{tmp_path}/none.sock"], patience=0.5)


def test_clients_of_tls_need_a_certificate_of_the_authority(tmp_path: Path) -> None:
    make = ("ovs-pki", f"--dir={tmp_path}/pki", f"--log={tmp_path}/log")
    for arguments in (("init",), ("req+sign", "server"), ("req+sign", "client")):
        subprocess.run([*make, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    authority = tmp_path / "pki/switchca/cacert.pem"
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder:
        cluster = OvsdbCluster(Path(folder), 1, listen="pssl:0:127.0.0.1")
        cluster.options = (
            f"--private-key={tmp_path}/server-privkey.pem",
            f"--certificate={tmp_path}/server-cert.pem",
            f"--ca-cert={authority}",
        )
        with cluster:
            remotes = [f"ssl:127.0.0.1:{cluster.port(0)}"]
            key, certificate = tmp_path / "client-privkey.pem", tmp_path / "client-cert.pem"
            store = OvsdbStore(remotes, None, Certificates(key, certificate, authority), PATIENCE)
            store.commit({"a": b"1"})
            assert store.snapshot() == {"a": Versioned(b"1", 1)}
            store.close()
            stranger = Certificates(key, certificate, tmp_path / "pki/controllerca/cacert.pem")
            with pytest.raises(StoreError):
                OvsdbStore(remotes, None, stranger, SHORT)


class Line:
    """A way to a server that can be cut off in one direction, and broken.

    Attributes:
        deaf: what the server says is lost.
    """

    def __init__(self, server: Path, here: Path) -> None:
        self.deaf = False
        self._server = server
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(here))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._ends += [client, server]
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, True), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool = False) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                if not (answers and self.deaf):
                    sink.sendall(octets)

    def restore(self) -> None:
        """Break all connections; new ones carry everything."""
        self.deaf = False
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_commit_whose_answer_is_lost_is_not_carried_out_again() -> None:
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder, OvsdbCluster(Path(folder), 1) as cluster:
        line = Line(Path(folder, "0.sock"), Path(folder, "line"))
        store, other = (OvsdbStore([remote], patience=PATIENCE) for remote in (f"unix:{folder}/line", *cluster.remotes))
        store.commit({"a": b"1"})
        line.deaf = True
        ends: list[StoreError | None] = []
        store.begin({"a": b"2"}, ends.append, {"a": 1})
        wait_for(lambda: other.get("a") == Versioned(b"2", 2), "commit")
        other.commit({"b": b"behind it"})
        line.restore()
        wait_for(lambda: ends, "end")
        assert ends == [None] and store.get("a") == Versioned(b"2", 2)
        store.close()
        other.close()
