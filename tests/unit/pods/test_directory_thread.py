"""The thread of the directory, with a connection that the test decides about."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from ovs.poller import Poller

from ryu_apps.evb.pods.directory import DirectoryError
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.stores.ovsdb import directory as module
from ryu_apps.stores.ovsdb.directory import OvsdbDirectory
from ryu_apps.stores.ovsdb.owners import Call
from tests.interop.private_ovs import wait_for

#: Seconds until a call fails: longer than a test takes, and shorter.
LONG, SHORT = 600.0, 0.05


class Connection:
    """Rows and calls in the place of those of servers; nothing is received, so only the directory ends a wait."""

    def __init__(self) -> None:
        self.ready = False
        self.rows: dict[str, Owner] = {}
        self.own: dict[str, Owner] = {}
        self.sent: list[Call] = []
        self.reconnects = 0
        self.closed = False
        self.errors = 0

    def run(self) -> None:
        if self.errors:
            self.errors -= 1
            raise RuntimeError("a bug")

    def wait(self, poller: Poller) -> None:
        """Wait for nothing."""

    def take(self) -> frozenset[str]:
        gone = frozenset(self.own.keys() - self.rows.keys())
        self.own.clear()
        self.own.update(self.rows)
        return gone

    def send(self, call: Call) -> None:
        self.sent.append(call)

    def force_reconnect(self) -> None:
        self.reconnects += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    found = Connection()
    monkeypatch.setattr(module, "OwnRows", lambda remotes, pod: found)
    return found


def opened(patience: float) -> OvsdbDirectory:
    """A directory that the test closes."""
    return OvsdbDirectory(["unix:nowhere"], "a", patience=patience)


@pytest.fixture
def new(connection: Connection) -> Iterator[Callable[[float], OvsdbDirectory]]:
    made: list[OvsdbDirectory] = []

    def directory(patience: float) -> OvsdbDirectory:
        made.append(opened(patience))
        return made[-1]

    yield directory
    for each in made:
        each.close()


class Answers(list[Owner | DirectoryError | None]):
    """Ends of calls, and the threads in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []

    def __call__(self, answer: Owner | DirectoryError | None) -> None:
        self.threads.append(threading.current_thread().name)
        self.append(answer)

    @property
    def failed(self) -> bool:
        return bool(self) and all(type(answer) is DirectoryError for answer in self)


def test_call_that_finds_the_queue_full_fails_at_once(
    new: Callable[[float], OvsdbDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE", 2)
    directory, waiting, late = new(LONG), Answers(), Answers()
    for number in range(2):
        directory.find(f"{number}", waiting)
    directory.find("2", late)
    assert late.failed and waiting == []


@pytest.mark.usefixtures("connection")
def test_call_behind_the_end_fails_at_once() -> None:
    directory, late = opened(LONG), Answers()
    directory.close()
    directory.find("x", late)
    assert late.failed


def test_calls_that_wait_and_calls_that_were_sent_fail_at_the_end(connection: Connection) -> None:
    directory, sent, waiting = opened(LONG), Answers(), Answers()
    connection.ready = True
    directory.find("sent", sent)
    wait_for(lambda: len(connection.sent) == 1, "the call")
    connection.ready = False
    directory.find("waits", waiting)
    assert sent == [] == waiting
    directory.close()
    assert sent.failed and waiting.failed and len(connection.sent) == 1
    assert connection.closed


def test_call_ends_when_its_time_is_over_though_nothing_is_received(
    new: Callable[[float], OvsdbDirectory], connection: Connection
) -> None:
    directory, waiting, sent = new(SHORT), Answers(), Answers()
    directory.find("waits", waiting)
    wait_for(lambda: waiting.failed, "the end of a call that waits")
    connection.ready = True
    directory.find("sent", sent)
    wait_for(lambda: sent.failed, "the end of a call that was sent")
    assert waiting.threads == sent.threads == ["directory"]


def test_server_that_owes_an_answer_is_left_for_another_one(
    new: Callable[[float], OvsdbDirectory], connection: Connection
) -> None:
    connection.ready = True
    directory, answers = new(SHORT), Answers()
    directory.find("x", answers)
    wait_for(lambda: answers.failed, "the end of the call")
    assert connection.reconnects == 1


def test_server_is_not_left_for_a_call_that_was_in_a_hurry(
    new: Callable[[float], OvsdbDirectory], connection: Connection
) -> None:
    connection.ready = True
    directory, answers = new(LONG), Answers()
    directory.find("x", answers, SHORT)
    wait_for(lambda: answers.failed, "the end of the call")
    assert connection.reconnects == 0


def test_watcher_is_called_with_none_when_rows_are_shown_anew_and_with_what_has_gone_then(
    new: Callable[[float], OvsdbDirectory], connection: Connection
) -> None:
    directory, seen, answers = new(LONG), list[frozenset[str] | None](), Answers()
    at_hand: list[set[str]] = []
    directory.watch(seen.append)
    directory.watch(lambda gone: at_hand.append(set(directory.own)))
    connection.rows = {vsi: Owner("a", 1, 1) for vsi in ("stays", "goes")}
    connection.ready = True
    directory.find("x", answers)
    wait_for(lambda: bool(at_hand), "the first rows")
    assert seen == [None]
    del connection.rows["goes"]
    directory.find("x", answers)
    wait_for(lambda: len(at_hand) == 2, "the loss")
    assert seen[1] == frozenset({"goes"})
    connection.ready = False
    directory.find("x", answers)
    wait_for(lambda: not directory.usable, "the loss of the connection")
    connection.rows = {"comes": Owner("a", 1, 2)}
    connection.ready = True
    directory.find("x", answers)
    wait_for(lambda: len(at_hand) == 3, "rows anew")
    assert seen[2] is None and directory.usable
    assert at_hand == [{"stays", "goes"}, {"stays"}, {"comes"}]


def test_thread_goes_on_behind_an_error(
    new: Callable[[float], OvsdbDirectory], connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection.ready = True
    connection.errors = 1
    directory, answers = new(SHORT), Answers()
    directory.find("x", answers)
    wait_for(lambda: answers.failed, "the end of the call")
    assert "while talking to the directory of pods" in caplog.text
