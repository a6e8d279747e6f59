"""Metrics and log of ``evbridge station run``, at an uplink that leads to no bridge."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import ProxyHandler, build_opener

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.station_daemon.client import call
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import end, wait_until
from tests.app.test_evb_rest import free_port

pytestmark = pytest.mark.privileged

EVBRIDGE = str(Path(sys.executable).with_name("evbridge"))
PAGE = (Path(__file__).parents[2] / "docs/station.rst").read_text(encoding="utf-8")
LINKS = ("ip link add up0 type veth peer name sw0", "ip link set up0 up", "ip link set sw0 up")
VSI = {"vsi": "00000000-0000-4000-d001-000000000001", "type": 1, "filters": ["100-52:54:00:dd:01:01"]}
#: Name and labels of a series -> its value.
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Daemon(NamedTuple):
    """A daemon on up0 and on an uplink that is not there: its folder, and the port of its metrics."""

    folder: Path
    metrics: int

    def status(self) -> dict[str, list[dict[str, str]]]:
        return call(self.folder / "control", {"verb": "status"}, 10.0)

    def scrape(self) -> str:
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{self.metrics}/metrics", timeout=60) as answer:
            return answer.read().decode()

    def series(self) -> Series:
        samples = (sample for family in text_string_to_metric_families(self.scrape()) for sample in family.samples)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def labelled(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("station")
    with inside():
        for line in LINKS:
            subprocess.run(line.split(), check=True)
        found = Daemon(folder, free_port())
        options = ("--control", "control", "--state", "state.json", "--metrics", f"127.0.0.1:{found.metrics}")
        with (folder / "log").open("wb") as log:
            command = [EVBRIDGE, "station", "run", "up0", "absent0", *options]
            environment = os.environ | {"EVBRIDGE_LOG_FORMAT": "json"}
            process = subprocess.Popen(command, cwd=folder, stderr=log, env=environment)
        try:
            wait_until(lambda: (folder / "control").exists() or process.poll() is not None, "the daemon")
            wait_until(lambda: "uplink up0 is up" in (folder / "log").read_text(), "the uplink")
            answer = call(folder / "control", {"verb": "associate", **VSI, "deadline": 0.2}, 10.0)
            assert answer["error"] == "deadline", answer
            yield found
        finally:
            end(process)


def test_uplinks_vsis_and_answers_are_measured(daemon: Daemon) -> None:
    listed = Counter((vsi["uplink"], vsi["state"]) for vsi in daemon.status()["vsis"])
    assert listed.total() == 1
    assert daemon.series() == {
        labelled("evb_station_uplink_up", uplink="up0"): 1,
        labelled("evb_station_uplink_up", uplink="absent0"): 0,
        labelled("evb_station_calls_total", verb="associate", result="deadline"): 1,
        **{labelled("evb_station_vsis", uplink=at, state=state): number for (at, state), number in listed.items()},
    }


def test_the_manual_has_every_metric(daemon: Daemon) -> None:
    (named,) = re.findall(r"^Metrics: (.*)$", PAGE, re.MULTILINE)
    assert set(re.findall(r"``(evb_\w+)``", named)) == {name for name, _ in daemon.series()}


def test_its_log_is_of_json_where_that_is_wanted(daemon: Daemon) -> None:
    lines = [json.loads(line) for line in (daemon.folder / "log").read_text().splitlines()]
    assert next(line["message"] for line in lines if line["level"] == "info") == "uplink up0 is up"
    assert all(line["component"].startswith(("ryu_apps.station", "asyncio")) for line in lines)
