"""Pods in evbridge.yaml: read, written again, and the mistakes with their lines."""

from __future__ import annotations

import pytest

from ryu_apps.evb.config import dump_config, load_config
from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.topology.port_id import PortId

POD = """
version: 1
pod:
  name: a
  directory: ["tcp:192.0.2.1:6643"]
  on_unreachable: take
  peers:
    b: {urls: ["https://b.example.net:8080"], ca_file: ca.pem, token_file: token, timeout: 1.5}
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100}
      70: {name: to-b, role: pod, native_vlan: 100, tagged_vlans: [200]}
"""


def mistakes(text: str) -> list[tuple[int, str]]:
    config, found = load_config("evbridge.yaml", text)
    assert config is None
    return [(diagnostic.line, diagnostic.reason) for diagnostic in found]


def test_pod_is_read_and_written_again() -> None:
    config, found = load_config("evbridge.yaml", POD)
    assert config is not None and found == []
    peer = Peer(("https://b.example.net:8080/",), 1.5, "ca.pem", "token")
    assert config.pod == PodMembership("a", ("tcp:192.0.2.1:6643",), {"b": peer}, "take")
    port = config.fabric.interface(PortId(1, 70))
    assert port is not None and port.uplink and port.vids == (100, 200)
    again, found = load_config("evbridge.yaml", dump_config(config))
    assert again == config and found == []


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    b: {", "    a: {", 8, "a is this pod"),
        ("https://b", "http://b", 8, "ca_file needs URLs of https"),
        ('"tcp:192', '"ssl:192', 5, "ssl needs private_key, certificate and ca_file"),
        ("  on_unreachable", "  ca_file: x\n  on_unreachable", 6, "no server of the directory is ssl"),
        ("on_unreachable: take", "on_unreachable: ask", 6, "refuse"),
        ("tcp:192.0.2.1:6643", "192.0.2.1", 5, "a server was expected"),
        ("native_vlan: 100, tagged_vlans: [200]", "", 14, "needs a native_vlan or tagged_vlans"),
        (
            "role: station, native_vlan: 100",
            "role: pod, native_vlan: 200",
            14,
            "VLAN 200 has a port towards other pods already: port 1 of s1",
        ),
    ],
)
def test_mistakes_have_their_lines(old: str, new: str, line: int, words: str) -> None:
    assert old in POD
    found = mistakes(POD.replace(old, new, 1))
    assert any(at == line and words in message for at, message in found), found


def test_port_towards_other_fabrics_needs_no_pod() -> None:
    lines = POD.splitlines()
    text = "\n".join(lines[:2] + lines[8:])
    config, found = load_config("evbridge.yaml", text)
    assert config is not None and found == []
