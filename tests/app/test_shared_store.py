"""The controller with a store on three real servers: what it says when a majority is lost, and that it goes on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from ryu_apps.stores.ovsdb.store import OvsdbStore
from ryu_apps.testbed.harness.ovsdb_cluster import OvsdbCluster
from tests.app.test_starting import LAUNCHERS, Start
from tests.interop.private_ovs import wait_for

CONFIG = """
version: 1
store: {{remotes: [{remotes}]}}
# On a busy machine a renewal of the lease may take long.
cluster: {{patience: 5.0}}
dps: {{s1: {{dp_id: 1, interfaces: {{1: {{name: hv1, role: station, native_vlan: 100}}}}}}}}
load_balancers:
  web:
    vlan: 100
    mac: "02:00:00:00:00:0a"
    addresses: [10.0.0.100]
    port: 80
    backends: {{b1: {{mac: "02:00:00:00:00:01", addresses: [10.0.0.1]}}}}
"""


@pytest.fixture
def cluster() -> Iterator[OvsdbCluster]:
    with tempfile.TemporaryDirectory(prefix="ovsdb-") as folder, OvsdbCluster(Path(folder)) as servers:
        yield servers


@pytest.fixture
def bridge(cluster: OvsdbCluster, tmp_path: Path) -> Iterator[Start]:
    remotes = ", ".join(f'"{remote}"' for remote in cluster.remotes)
    (tmp_path / "evbridge.yaml").write_text(CONFIG.format(remotes=remotes))
    started = Start(LAUNCHERS["evbridge"], tmp_path)
    try:
        wait_for(lambda: answers(started), "bridge")
        yield started
    finally:
        started.end()
        started.process.wait()


def answers(bridge: Start) -> bool:
    try:
        return bool(ask(bridge, "/evb/status"))
    except OSError:
        return False


def ask(bridge: Start, path: str, value: object = None) -> Any:
    """GET, or PUT of a value."""
    url, kind = f"http://127.0.0.1:{bridge.rest}{path}", {"Content-Type": "application/json"}
    request = Request(url) if value is None else Request(url, json.dumps(value).encode(), kind, method="PUT")
    with build_opener(ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)


def judge(bridge: Start, up: bool) -> None:
    ask(bridge, "/evb/load_balancers/web/backends/b1", {"up": up})


def leads(bridge: Start) -> bool:
    """True if the only member of its cluster leads; a standby refers requests to the leader."""
    return bool(ask(bridge, "/evb/status")["cluster"]["leads"])


def leaderless(bridge: Start) -> bool:
    return any(alarm["kind"] == "lead.missing" for alarm in ask(bridge, "/evb/status")["alarms"])


def test_the_state_is_in_the_cluster_and_the_loss_of_a_majority_is_an_alarm(
    cluster: OvsdbCluster, bridge: Start
) -> None:
    wait_for(lambda: leads(bridge), "leader")
    judge(bridge, False)
    store = OvsdbStore(cluster.remotes, patience=15)
    wait_for(lambda: store.get("balancer/web") is not None, "record")
    assert {"generation", "recovering"} <= store.snapshot().keys()
    store.close()
    lost = [number for number in range(3) if number != cluster.leader()]
    for number in lost:
        cluster.pause(number)
    # It answers while it waits for the store, and promises nothing.
    wait_for(lambda: leaderless(bridge), "alarm")
    with pytest.raises(HTTPError, match="503"):
        judge(bridge, True)
    for number in lost:
        cluster.go_on(number)
    wait_for(lambda: leads(bridge) and not leaderless(bridge), "end of the alarm")
    judge(bridge, True)


def test_a_bridge_without_a_leader_of_its_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "evbridge.yaml").write_text(CONFIG.format(remotes=f'"unix:{tmp_path}/none.sock"'))
    started = Start(LAUNCHERS["evbridge"], tmp_path)
    assert started.process.wait(120) != 0
    said = started.log.read_text()
    assert f"evbridge cannot start: no leader of the store's cluster at unix:{tmp_path}/none.sock" in said
    assert "Traceback" not in said
