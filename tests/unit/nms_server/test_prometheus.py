"""Totals of VSIs from a Prometheus: from a server that answers as one, and from what the database has of before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from webob import Request

from ryu_apps.nms.schema import BridgeSection, PrometheusSection, StatisticsSection
from ryu_apps.nms_server.application import NmsApplication
from ryu_apps.nms_server.bridge import BridgeClient
from ryu_apps.nms_server.collector import Collector
from ryu_apps.nms_server.database import Database
from ryu_apps.nms_server.prometheus import PrometheusClient
from ryu_apps.nms_server.rollouts import RollOuts
from tests.unit.nms.test_prometheus import PORT, answer, counts, series

HERE, THERE = "10.0.0.1:8080", "10.0.0.2:8080"


class Scraper:
    """A server that answers as a Prometheus.

    Attributes:
        history: what it has, by time: the series of each scrape.
        times: the ranges that it was asked for: number of times, and the last one.
        most: it answers 422 to more times.
        status: of each other answer.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.history: dict[float, list[dict[str, Any]]] = {}
        self.times: list[tuple[int, float]] = []
        self.most = 1000
        self.status = 200
        self.tokens: list[str | None] = []
        scraper = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, octets = scraper.answer(self.path, self.headers["Authorization"])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(octets)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def answer(self, path: str, token: str | None) -> tuple[int, bytes]:
        assert urlsplit(path).path == "/api/v1/query_range"
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        start, end, step = (float(query[name]) for name in ("start", "end", "step"))
        times = [start + number * step for number in range(round((end - start) / step) + 1)]
        self.times.append((len(times), times[-1]))
        self.tokens.append(token)
        if self.status != 200 or len(times) > self.most:
            return (422 if self.status == 200 else self.status), b""
        return 200, answer(*(found for t in times for found in self.history.get(t, ())))

    def shows(self, t: float, target: str, total: int, base: int = 0, active: bool = True) -> None:
        port = [series("evb_vsi_port", target, (t, "1"), vsi="v", **PORT)] if active else []
        alive = series("evb_build_info", target, (t, "1"))
        self.history.setdefault(t, []).extend([alive, *counts(target, t, total, base), *port])


class Nms:
    """An NMS that asks a Prometheus of two bridges every 10 s."""

    def __init__(self, scraper: Scraper, folder: Path, **section: Any) -> None:
        self.now = 1000.0
        self._folder = folder
        self._bridges = [
            BridgeClient(name, BridgeSection(urls=[f"http://{target}"]), folder)
            for name, target in (("a", HERE), ("b", THERE))
        ]
        self._client = PrometheusClient(
            PrometheusSection(url=scraper.url, **{"history": 0, **section}), self._bridges, folder
        )
        self.start()

    def start(self) -> None:
        """Begin anew with what the database has."""
        self.database = Database(self._folder / "nms.db")
        self._collector = Collector(
            self._bridges, StatisticsSection(retention=1000), self.database, lambda: self.now, self._client
        )
        self._application = NmsApplication(
            self._bridges, self._collector, (), {}, self.database, RollOuts(self._bridges, self.database)
        )

    def round(self, seconds: float = 10.0) -> None:
        self.now += seconds
        with ThreadPoolExecutor(1) as pool:
            self._collector.gather(pool)

    def get(self, path: str) -> Any:
        response = Request.blank(path).get_response(self._application)
        assert response.status_code == 200, response.text
        return response.json

    @property
    def series(self) -> list[tuple[float, str | None, int]]:
        return [(found["t"], found["bridge"], found["from_vm"]["packets"]) for found in self.get("/nms/vsis/v/series")]

    @property
    def alarms(self) -> dict[str, str]:
        return {alarm["alarm"] + " " + alarm["subject"]: alarm["words"] for alarm in self.get("/nms/alarms")}


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    with ExitStack() as stack:
        yield Scraper(stack)


def test_totals_go_on_over_bridges_and_over_a_time_without_the_nms(scraper: Scraper, tmp_path: Path) -> None:
    nms = Nms(scraper, tmp_path)
    scraper.shows(1000.0, HERE, 5)
    nms.now = 990.0
    nms.round()
    nms.database.close()
    scraper.shows(1010.0, HERE, 8)
    scraper.shows(1020.0, HERE, 9, active=False)
    scraper.shows(1020.0, THERE, 11, base=9)
    scraper.shows(1030.0, THERE, 12, base=9)
    nms.start()
    nms.round(30)
    assert nms.series == [(1000.0, "a", 5), (1010.0, "a", 8), (1020.0, "b", 11), (1030.0, "b", 12)]
    assert scraper.times == [(1, 1000.0), (3, 1030.0)]
    nms.round(5)
    assert len(scraper.times) == 2, "nothing new is due"
    assert [bridge["answered"] for bridge in nms.get("/nms/bridges")] == [1010.0 + 10.0, 1030.0]
    assert nms.alarms == {"silent.bridge a": "the Prometheus has nothing of it"}


def test_range_that_is_too_large_is_asked_for_in_parts(scraper: Scraper, tmp_path: Path) -> None:
    nms = Nms(scraper, tmp_path, history=600)
    for t in range(400, 1001, 10):
        scraper.shows(float(t), HERE, t)
    scraper.most = 20
    nms.now = 990.0
    nms.round()
    assert scraper.times == [(60, 990.0), (30, 690.0), (15, 540.0)]
    while nms._collector._behind:
        nms.round(0)
    assert [t for t, _, _ in nms.series] == [float(t) for t in range(400, 1001, 10)]


def test_one_time_that_is_too_large_is_an_error(scraper: Scraper, tmp_path: Path) -> None:
    scraper.most = 0
    nms = Nms(scraper, tmp_path)
    nms.round()
    assert nms.alarms == {"silent.prometheus ": "HTTP 422 Unprocessable Entity"}


def test_prometheus_that_fails_costs_nothing(scraper: Scraper, tmp_path: Path) -> None:
    nms = Nms(scraper, tmp_path)
    scraper.shows(1010.0, HERE, 5)
    scraper.shows(1020.0, HERE, 6)
    scraper.shows(1020.0, THERE, 1, active=False)
    scraper.status = 503
    nms.round()
    assert nms.alarms == {"silent.prometheus ": "HTTP 503 Service Unavailable"}
    scraper.status = 200
    scraper.history[1010.0].append({"metric": 5, "values": []})
    nms.round(5)
    assert "AttributeError" in nms.alarms["silent.prometheus "]
    scraper.history[1010.0].pop()
    nms.round(5)
    assert nms.alarms == {}
    assert [total for _, _, total in nms.series] == [5, 6]


def test_what_is_older_than_is_kept_is_not_asked_for(scraper: Scraper, tmp_path: Path) -> None:
    nms = Nms(scraper, tmp_path)
    nms.round()
    nms.round(50_000)
    assert scraper.times[-1] == (60, 51_010.0 - 1000.0 + 600.0)


def test_token_is_sent(scraper: Scraper, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    nms = Nms(scraper, tmp_path, token_file="token")
    nms.round()
    assert scraper.tokens == ["Bearer secret"]


def test_totals_and_the_place_up_to_which_they_were_read_are_written_together(
    scraper: Scraper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash, times that were written are not read a second time."""
    nms = Nms(scraper, tmp_path)
    for number in range(1, 4):
        scraper.shows(1000.0 + 10 * number, HERE, number)
    nms.round(0)
    written: list[object] = []

    def add(*arguments: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        Database.add(nms.database, *arguments)

    monkeypatch.setattr(nms.database, "add", add)
    with pytest.raises(KeyboardInterrupt):
        nms.round(30)
    monkeypatch.undo()
    nms.round(0)
    assert scraper.times == [(1, 1000.0), (3, 1030.0), (1, 1030.0)]
    assert [total for _, _, total in nms.series] == [1, 2, 3]
