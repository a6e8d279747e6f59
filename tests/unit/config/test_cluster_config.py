"""The membership of a cluster in evbridge.yaml."""

from __future__ import annotations

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config, load_config
from ryu_apps.evb.config.bridge_config import ClusterMembership, SharedStore
from ryu_apps.evb.topology.fabric import Fabric

STORE = "store: {remotes: ['tcp:10.0.0.1:6641']}\n"


@pytest.mark.parametrize("cluster", [ClusterMembership(), ClusterMembership("c1", "https://c1.example.net:8080/", 1.5)])
def test_membership_is_written_and_read_back_unchanged(cluster: ClusterMembership) -> None:
    config = BridgeConfig(Fabric(), store=SharedStore(("tcp:10.0.0.1:6641",)), cluster=cluster)
    assert load_config("e.yaml", dump_config(config)) == (config, [])


def test_every_bridge_with_a_shared_store_is_a_member() -> None:
    config, _ = load_config("e.yaml", f"version: 1\ndps: {{}}\n{STORE}")
    assert config is not None and config.cluster == ClusterMembership()
    alone, _ = load_config("e.yaml", "version: 1\ndps: {}\nstate_dir: state\n")
    assert alone is not None and alone.cluster is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cluster: {name: c1}\n", "store is missing"),
        (f"{STORE}cluster: {{name: 'a b'}}\n", "should match"),
        (f"{STORE}cluster: {{patience: 0.1}}\n", "0.3"),
        (f"{STORE}cluster: {{address: c1}}\n", "is not a URL"),
    ],
)
def test_odd_memberships_are_mistakes(text: str, reason: str) -> None:
    config, found = load_config("e.yaml", f"version: 1\ndps: {{}}\n{text}")
    assert config is None
    assert any(reason in str(diagnostic) for diagnostic in found)
