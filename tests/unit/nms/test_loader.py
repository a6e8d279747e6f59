"""The file of the NMS: read, and its mistakes with their lines."""

from __future__ import annotations

import pytest

from ryu_apps.nms.hooks import told
from ryu_apps.nms.loader import load_nms

TEXT = """version: 1
state_dir: state
bridges:
  a: {urls: ["http://127.0.0.1:8080/"]}
  b: {urls: ["https://b1.example.net:8080", "https://b2.example.net:8080"], ca_file: ca.pem, token_file: token}
statistics: {interval: 5}
hooks:
  switch: {steps: [stage, release], command: [./configure], deadline: 3}
  tickets: {steps: [activate], url: "https://tickets.example.net/evb", token_file: token, bridges: [a]}
"""


def test_file_is_read() -> None:
    config, found = load_nms("nms.yaml", TEXT)
    assert config is not None and found == []
    assert config.bridges["a"].urls == ["http://127.0.0.1:8080"]
    assert (config.statistics.interval, config.hooks["switch"].queue) == (5.0, 1000)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"http://127.0.0.1:8080/"', '"127.0.0.1"', 4, "a URL as"),
        ('"https://b1', '"http://b1', 5, "over https only"),
        ("interval: 5", "prometheus: {url: 'http://p.example.net', token_file: t}", 6, "over https only"),
        ("interval: 5", "prometheus: {url: 'http://127.0.0.1', label: a-b}", 6, "match pattern"),
        ("interval: 5", "interval: 0", 6, "greater than or equal to 0.1"),
        ("command: [./configure], ", "", 8, "either a command or a url"),
        ("[stage, release]", "[stage, start]", 8, "start"),
        ("[./configure]", "[./configure], token_file: token", 8, "are of a url"),
        ("interval: 5}", "interval: 5}\nacquisition: {x: {interval: 5}}", 7, "a source has urls, ovf, or both"),
        ("interval: 5}", "interval: 5}\nacquisition: {x: {ovf: ['http://a.b/c.ovf'], token_file: t}}", 7, "https only"),
        ("https://tickets", "http://tickets", 9, "over https only"),
        ("bridges: [a]", "bridges: [c]", 9, "there is no bridge 'c'"),
        ("state_dir: state\n", "", 1, "missing key 'state_dir'"),
    ],
)
def test_mistakes_have_their_lines(old: str, new: str, line: int, words: str) -> None:
    assert old in TEXT
    config, found = load_nms("nms.yaml", TEXT.replace(old, new, 1))
    assert config is None
    assert any(diagnostic.line == line and words in diagnostic.reason for diagnostic in found), found


def test_hooks_are_told_of_the_steps_that_they_want() -> None:
    config, _ = load_nms("nms.yaml", TEXT)
    assert config is not None

    def names(bridge: str, kind: str) -> set[str]:
        return set(told(config.hooks, bridge, {"id": "1.5", "kind": kind, "vsi": "v", "detail": {"rules": 3}}))

    assert names("b", "flow.staged") == names("b", "vsi.gone") == {"switch"}
    assert names("a", "vsi.active") == {"tickets"} and names("b", "vsi.active") == set()
    assert names("a", "state.fixed_up") == names("a", "vdp.request") == set()
    call = told(
        config.hooks, "a", {"id": "1.5", "kind": "flow.staged", "vsi": "v", "port": "p", "detail": {"rules": 3}}
    )
    assert call["switch"] == {
        "id": "a/1.5",
        "hook": "switch",
        "step": "stage",
        "bridge": "a",
        "vsi": "v",
        "port": "p",
        "dpid": None,
        "wall": None,
        "detail": {"rules": 3},
    }
