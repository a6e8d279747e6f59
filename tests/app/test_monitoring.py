"""Files for Prometheus and Grafana, against a running bridge in a cluster and a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ryu_apps.metrics.exposition import OLD_NAMES
from ryu_apps.testbed.harness.ovsdb_cluster import DIRECTORY, OvsdbCluster
from tests.app.test_evb_rest import free_port
from tests.app.test_shared_store import CONFIG, leads
from tests.app.test_starting import LAUNCHERS, Start, started
from tests.interop.private_ovs import wait_for

ROOT = Path(__file__).parents[2]
FILES = ROOT / "contrib/prometheus"
RULES = yaml.safe_load((FILES / "evbridge.rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "contrib/grafana/evbridge.json").read_text())
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
#: What Grafana writes for its variables.
QUERIES = [query.replace("$switch", ".*").replace("$__rate_interval", "1m") for query in TARGETS]
POD = 'pod: {{name: a, directory: ["{remote}"], peers: {{b: {{urls: ["http://127.0.0.1:1/"]}}}}}}\n'
NAME = re.compile(r"\b(?:evb|process)_\w+")


def tool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FILES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fetch(port: int, path: str) -> str:
    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    folder = tmp_path_factory.mktemp("monitored")
    with (
        tempfile.TemporaryDirectory(prefix="ovsdb-") as short,
        tempfile.TemporaryDirectory(prefix="ovsdb-") as another,
        OvsdbCluster(Path(short), size=1) as servers,
        OvsdbCluster(Path(another), size=1, database=DIRECTORY) as directory,
        ExitStack() as stack,
    ):
        pod = POD.format(remote=directory.remotes[0])
        (folder / "evbridge.yaml").write_text(CONFIG.format(remotes=f'"{servers.remotes[0]}"') + pod)
        bridge = started(stack, LAUNCHERS["ryu-manager"], folder)
        bridge.await_serving()
        wait_for(lambda: leads(bridge), "leader")
        yield bridge


@pytest.fixture(scope="module")
def families(bridge: Start) -> dict[str, str]:
    """Name of each series of a scrape, or of a family without series -> name of its family."""
    found = {}
    for family in text_string_to_metric_families(fetch(bridge.rest, "/metrics")):
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {family.name + ending: family.name for ending in endings}
    return found


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    tool("check", "config", "--syntax-only", "prometheus.yml")
    tool("check", "rules", "evbridge.rules.yml")


def test_each_rule_is_quiet_before_its_cause_has_lasted_and_fires_then() -> None:
    tool("test", "rules", "evbridge.test.yml")
    tests = yaml.safe_load((FILES / "evbridge.test.yml").read_text())["tests"]
    expected = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
    assert set(expected) == {(rule["alert"], fires) for rule in RULES for fires in (False, True)}


def test_a_rule_that_waits_is_tested_while_it_waits(tmp_path: Path) -> None:
    """Without its ``for`` each of them fires at the time at which its test has it quiet."""
    rules = (FILES / "evbridge.rules.yml").read_text()
    (tmp_path / "evbridge.rules.yml").write_text(re.sub(r"^ +for: .*\n", "", rules, flags=re.MULTILINE))
    shutil.copy(FILES / "evbridge.test.yml", tmp_path)
    command = ["promtool", "test", "rules", "evbridge.test.yml"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    fired = set(re.findall(r"alertname: (\w+), .*\n +exp:\[\]", told.stdout + told.stderr))
    assert fired == {rule["alert"] for rule in RULES if "for" in rule}


def test_the_thread_of_deadlines_is_measured(bridge: Start) -> None:
    def counted(name: str) -> float:
        scraped = fetch(bridge.rest, "/metrics")
        samples = (sample for family in text_string_to_metric_families(scraped) for sample in family.samples)
        return sum(sample.value for sample in samples if sample.name == name)

    wait_for(lambda: counted("evb_event_loop_lag_seconds_count") > 1, "a wake-up")


def test_every_metric_of_rules_and_dashboard_is_in_a_scrape(families: dict[str, str]) -> None:
    named = {name for query in [*TARGETS, *(rule["expr"] for rule in RULES)] for name in NAME.findall(query)}
    assert len(named) > 30
    assert named - set(families) == set()
    assert {families[name] for name in named}.isdisjoint(OLD_NAMES.values())


def test_the_manual_has_every_metric(families: dict[str, str]) -> None:
    section = (ROOT / "docs/rest.rst").read_text().partition("\nMetrics\n-------\n")[2]
    listed = set(re.findall(r"``(evb_\w+)``", section))
    current = {name: family for name, family in families.items() if family not in OLD_NAMES.values()}
    shown = {name if name.endswith("_total") else family for name, family in current.items()}
    assert {name for name in shown if name.startswith("evb_")} == listed


@pytest.fixture(scope="module")
def prometheus(bridge: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a Prometheus with the files as they are but for the port of the bridge and the interval."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    written = (FILES / "prometheus.yml").read_text().replace("127.0.0.1:8080", f"127.0.0.1:{bridge.rest}")
    (folder / "prometheus.yml").write_text(written.replace("interval: 15s", "interval: 1s"))
    shutil.copy(FILES / "evbridge.rules.yml", folder)
    arguments = ("--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *arguments], cwd=folder, stdout=log, stderr=log)
    try:
        wait_for(lambda: _ready(port), "Prometheus", 60.0)
        yield port
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> bool:
    try:
        return bool(ask(port, 'up{job="evbridge"} == 1 and on(job) evb_build_info'))
    except OSError:
        return False


def ask(port: int, query: str) -> list[Any]:
    return json.loads(fetch(port, f"/api/v1/query?{urlencode({'query': query})}"))["data"]["result"]


def test_a_prometheus_scrapes_and_evaluates_rules_and_queries(prometheus: int) -> None:
    def evaluated() -> list[dict[str, Any]]:
        groups = json.loads(fetch(prometheus, "/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_for(lambda: all(rule["health"] != "unknown" for rule in evaluated()), "evaluation", 30.0)
    assert {rule["name"]: rule["health"] for rule in evaluated()} == {rule["alert"]: "ok" for rule in RULES}
    for query in QUERIES:
        ask(prometheus, query)
    (leader,) = ask(prometheus, "evb_cluster_leads")
    assert leader["value"][1] == "1"
