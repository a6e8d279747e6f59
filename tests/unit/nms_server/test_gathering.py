"""Statistics and events of bridges over HTTP, from servers that answer as bridges do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from webob import Request

from ryu_apps.nms.schema import BridgeSection, HookSection, StatisticsSection
from ryu_apps.nms_server.application import NmsApplication
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.following import Follower
from ryu_apps.nms_server.rollouts import RollOuts

PORT = "0000000000000001:1"


class Bridge:
    """A server with statistics and events.

    Attributes:
        asked: places from which the stream was asked for.
        held: not set: a stream goes on without an event.
    """

    def __init__(self) -> None:
        self.statistics: list[dict[str, Any]] = []
        self.events: list[tuple[str, str, Any]] = []
        self.asked: list[str | None] = []
        self.silent = False
        self.held = threading.Event()
        self.held.set()

    def shows(self, total: int, base: int = 0, port: str | None = PORT) -> None:
        way = {"packets": total, "octets": total, "base": {"packets": base, "octets": base}}
        account = {"vsi": "v", "port": port, "extraction": "controller", "from_vm": way, "to_vm": way}
        self.statistics = [account]


@contextmanager
def serving(bridge: Bridge) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if bridge.silent:
                self.send_error(503)
                return
            self.send_response(200)
            self.end_headers()
            if self.path.startswith("/evb/events/stream"):
                bridge.asked.append(self.headers["Last-Event-ID"])
                self.wfile.write(b"retry: 1000\n\n")
                for name, event, data in bridge.events:
                    self.wfile.write(f"event: {name}\n".encode() if name else b"")
                    self.wfile.write(f"id: {event}\ndata: {json.dumps(data)}\n\n".encode())
                self.wfile.flush()
                bridge.held.wait(10)
            else:
                shown = bridge.statistics if "statistics" in self.path else [{"id": "1.0"}]
                self.wfile.write(json.dumps(shown).encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "nms.db")
    yield database
    database.close()


def client(name: str, url: str, folder: Path) -> BridgeClient:
    return BridgeClient(name, BridgeSection(urls=[url]), folder)


class Gathering:
    """A collector for two bridges, its rounds, and the REST resources."""

    def __init__(self, database: Database, urls: tuple[str, str], folder: Path, **settings: Any) -> None:
        bridges = [client(name, url, folder) for name, url in zip("ab", urls, strict=True)]
        self.now = 1000.0
        self._collector = Collector(bridges, StatisticsSection(**settings), database, lambda: self.now)
        self._application = NmsApplication(bridges, self._collector, (), {}, database, RollOuts(bridges, database))

    def round(self) -> None:
        self.now += 10
        with ThreadPoolExecutor(2) as pool:
            self._collector.gather(pool)

    def get(self, path: str, status: int = 200) -> Any:
        response = Request.blank(path).get_response(self._application)
        assert response.status_code == status, response.text
        return response.json

    def series(self) -> list[tuple[float, str | None, int]]:
        return [(found["t"], found["bridge"], found["from_vm"]["packets"]) for found in self.get("/nms/vsis/v/series")]


@pytest.fixture
def pair() -> Iterator[tuple[Bridge, Bridge, tuple[str, str]]]:
    first, second = Bridge(), Bridge()
    with serving(first) as one, serving(second) as other:
        yield first, second, (one, other)


def test_series_goes_on_when_a_vsi_moves_and_over_a_restart(
    pair: tuple[Bridge, Bridge, tuple[str, str]], tmp_path: Path
) -> None:
    a, b, urls = pair
    before = Database(tmp_path / "nms.db")
    gathering = Gathering(before, urls, tmp_path)
    a.shows(5)
    gathering.round()
    before.close()
    after = Database(tmp_path / "nms.db")
    gathering = Gathering(after, urls, tmp_path)
    gathering.now = 1010.0
    a.shows(8)
    gathering.round()
    a.shows(9, port=None)
    b.shows(12, base=9)
    gathering.round()
    # Unchanged: no sample.
    gathering.round()
    assert gathering.series() == [(1010.0, "a", 5), (1020.0, "a", 8), (1030.0, "b", 12)]
    assert gathering.get("/nms/vsis/v") == gathering.get("/nms/vsis")[0]
    assert gathering.get("/nms/vsis/v/series?since=1010&until=1020&limit=1")[0]["t"] == 1020.0
    after.close()


def test_bridge_that_does_not_answer_is_shown_and_costs_nothing_else(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path
) -> None:
    a, b, urls = pair
    gathering = Gathering(database, urls, tmp_path)
    a.shows(5)
    b.silent = True
    gathering.round()
    shown = gathering.get("/nms/bridges")
    assert [bridge["error"] is None for bridge in shown] == [True, False] and "503" in shown[1]["error"]
    a.statistics = [{"vsi": "v"}]
    gathering.round()
    assert "/evb/statistics" in gathering.get("/nms/bridges")[0]["error"]
    assert gathering.series() == [(1010.0, "a", 5)]


def test_samples_are_bounded_in_age_and_number(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path
) -> None:
    a, _, urls = pair
    gathering = Gathering(database, urls, tmp_path)
    for number in range(1, 8):
        a.shows(number)
        gathering.round()
    database.prune(1020.0, 100, 100)
    assert len(gathering.series()) == 6
    database.prune(0.0, 2, 100)
    assert [found[2] for found in gathering.series()] == [6, 7]
    database.prune(0.0, 100, 0)
    gathering.get("/nms/vsis/v", 404)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nms/nothing", 404),
        ("/nms/vsis/w/series", 404),
        ("/nms/vsis?limit=0", 400),
        ("/nms/vsis?limit=1&limit=2", 400),
        ("/nms/vsis?since=1", 400),
        ("/nms/vsis/v/series?since=nan", 400),
        ("/nms/hooks?after=x", 400),
    ],
)
def test_bad_questions_get_a_clear_answer(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path, path: str, status: int
) -> None:
    gathering = Gathering(database, pair[2], tmp_path)
    pair[0].shows(1)
    gathering.round()
    assert set(gathering.get(path, status)) == {"error"}


# --- events -------------------------------------------------------------------------------------------
def staged(number: int) -> tuple[str, str, Any]:
    return "", f"1.{number}", {"id": f"1.{number}", "kind": "flow.staged", "vsi": "v"}


@contextmanager
def following(database: Database, url: str, folder: Path, **section: Any) -> Iterator[Follower]:
    hook = HookSection(steps=["stage"], command=["true"], **section)
    follower = Follower(client("a", url, folder), url, {"h": hook}, database)
    stopped = threading.Event()
    thread = threading.Thread(target=follower.run, args=(stopped,), daemon=True)
    thread.start()
    yield follower
    stopped.set()
    thread.join(10)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_event_leads_to_its_calls_once_and_the_stream_is_resumed(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path
) -> None:
    a, _, urls = pair
    a.events = [staged(1), ("", "1.2", {"id": "1.2", "kind": "vdp.request"}), staged(3)]
    with following(database, urls[0], tmp_path) as follower:
        wait(lambda: database.place(follower.place) == "1.3")
        a.events = [staged(4)]
        wait(lambda: database.place(follower.place) == "1.4")
    # The first time from the newest event that there was.
    assert a.asked[:2] == ["1.0", "1.3"]
    assert database.waiting("h") >= 3
    calls = []
    while (call := database.next_call("h")) is not None:
        calls.append(json.loads(call.body)["id"])
        database.ended(call, None)
    assert calls[:3] == ["a/1.1", "a/1.3", "a/1.4"]


def test_bridge_without_a_new_event_is_followed_all_the_same(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path
) -> None:
    a, _, urls = pair
    a.held.clear()
    with following(database, urls[0], tmp_path) as follower:
        wait(lambda: follower.error is None)
        a.held.set()


def test_gap_is_counted(pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path) -> None:
    a, _, urls = pair
    a.events = [("gap", "1.6", {"missed": 5}), staged(7)]
    with following(database, urls[0], tmp_path) as follower:
        wait(lambda: database.place(follower.place) == "1.7")
        assert database.missed(follower.place) >= 1


def test_full_queue_holds_the_stream_up_and_loses_nothing(
    pair: tuple[Bridge, Bridge, tuple[str, str]], database: Database, tmp_path: Path
) -> None:
    a, _, urls = pair
    a.events = [staged(number) for number in range(1, 6)]
    with following(database, urls[0], tmp_path, queue=2) as follower:
        wait(lambda: database.waiting("h") == 2)
        assert database.place(follower.place) == "1.2"
        made = []
        while "a/1.5" not in made:
            assert database.waiting("h") <= 2
            if (call := database.next_call("h")) is not None:
                made.append(json.loads(call.body)["id"])
                database.ended(call, None)
            else:
                time.sleep(0.01)
    assert made == [f"a/1.{number}" for number in range(1, 6)]
