"""The key ``store`` of evbridge.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.evb.config import BridgeConfig, load_config
from ryu_apps.evb.config.bridge_config import ClusterMembership, SharedStore
from ryu_apps.evb.config.writing import dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.settings import SettingsError, load_settings

TLS = "private_key: k.pem, certificate: c.pem, ca_file: ca.pem"


def mistakes(store: str, more: str = "") -> list[str]:
    config, found = load_config("e.yaml", f"version: 1\ndps: {{}}\nstore: {{{store}}}\n{more}")
    assert (config is None) == bool(found)
    return [str(diagnostic) for diagnostic in found]


@pytest.mark.parametrize(
    "store",
    [
        SharedStore(("unix:/run/evbridge/store.sock",)),
        SharedStore(("tcp:10.0.0.1:6641", "tcp:[2001:db8::1]:6641", "tcp:store.example.net:6641")),
        SharedStore(("ssl:10.0.0.1:6641", "unix:/run/a.sock"), "k.pem", "c.pem", "ca.pem"),
    ],
)
def test_a_store_is_written_and_read_back_unchanged(store: SharedStore) -> None:
    config = BridgeConfig(Fabric(), store=store, cluster=ClusterMembership())
    assert load_config("e.yaml", dump_config(config)) == (config, [])


@pytest.mark.parametrize(
    ("store", "place", "reason"),
    [
        ("remotes: []", "3:18", "at least 1 item"),
        ("remotes: [10.0.0.1:6641]", "3:19", "a server was expected, such as 'tcp:10.0.0.1:6641'"),
        ("remotes: ['tcp:10.0.0.1']", "3:19", "a server was expected"),
        ("remotes: ['tcp:10.0.0.1:0']", "3:19", "ports are 1 to 65535"),
        ("remotes: ['tcp:a:65536']", "3:19", "ports are 1 to 65535"),
        ("remotes: ['unix:store.sock']", "3:19", "a server was expected"),
        ("remotes: ['unix:/a,tcp:b:1']", "3:19", "a server was expected"),
        ("remotes: ['ptcp:6641:10.0.0.1']", "3:19", "a server was expected"),
        ("remotes: ['tcp:a:1', 'tcp:b:1', 'tcp:a:1']", "3:41", "tcp:a:1 is there twice"),
        ("remotes: ['tcp:a:1', 'ssl:b:1'], ca_file: c", "3:30", "ssl needs private_key, certificate and ca_file"),
        (f"remotes: ['tcp:a:1'], {TLS}", "3:44", "no remote is ssl"),
        ("", "3:1", "missing key 'remotes'"),
        ("remotes: ['tcp:a:1'], ca: x", "3:31", "ca"),
    ],
)
def test_a_mistake_is_told_with_its_place(store: str, place: str, reason: str) -> None:
    (mistake,) = mistakes(store)
    assert mistake.startswith(f"e.yaml:{place}: ") and reason in mistake


def test_state_is_at_one_place() -> None:
    (mistake,) = mistakes("remotes: ['tcp:a:1']", "state_dir: state\n")
    assert mistake == "e.yaml:3:8: the state is in the store or in state_dir, not in both"


def test_files_for_tls_have_to_be_readable(tmp_path: Path) -> None:
    file = tmp_path / "evbridge.yaml"
    file.write_text(f"version: 1\ndps: {{}}\nstore: {{remotes: ['ssl:a:1'], {TLS}}}\n")
    for name in ("k.pem", "ca.pem"):
        (tmp_path / name).write_text("")
    with pytest.raises(SettingsError, match=r"c\.pem.*No such file"):
        load_settings(file)
    (tmp_path / "c.pem").write_text("")
    assert load_settings(file).certificates == tuple(tmp_path / name for name in ("k.pem", "c.pem", "ca.pem"))
