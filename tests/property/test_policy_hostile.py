"""Any text is answered by the loaders with diagnostics: no exception, no endless work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ryu_apps.evb.config import load_config
from ryu_apps.evb.policy.diagnostic import Diagnostic, has_errors
from ryu_apps.evb.policy.fields import KINDS
from ryu_apps.evb.policy.loader import load_policies

Load = Callable[[str], tuple[object, list[Diagnostic]]]

POLICY = """\
version: 1
vsi_type: {type_id: 7, version: 2, name: web}
addresses: [10.0.0.0/8]
from_vm:
  default: deny
  rules:
    - rule: {eth_type: ipv4, ip_proto: tcp, tcp_dst: [80, 8000-8010], ipv4_src: 10.0.0.0/8, actions: {allow: 1}}
    - rule: &a {icmpv6_type: 136, ipv6_nd_target: 'fe80::/10', actions: {allow: 0}}
    - rule: *a
"""
CONFIG = """\
version: 1
policies: [./policies]
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100, tagged_vlans: [200], timers: {rka: 18}}
      9: {name: nms, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01']}
"""
WORDS = [
    *KINDS,
    *("version", "vsi_type", "type_id", "name", "from_vm", "to_vm", "rules", "rule", "actions", "allow", "default"),
    *("addresses", "anti_spoofing", "stage_on", "dps", "dp_id", "interfaces", "role", "link", "dp", "port", "macs"),
    *("station", "host", "trunk", "ipv4", "tcp", "1-65535", "10.0.0.0/8", "fe80::/10", "02:00:00:00:0f:01", "0x1"),
]


def policies(text: str) -> tuple[object, list[Diagnostic]]:
    return load_policies([("x", text)])


def config(text: str) -> tuple[object, list[Diagnostic]]:
    return load_config("x", text)


def answered(load: Load, text: str) -> None:
    result, diagnostics = load(text)
    assert (result is None) == has_errors(diagnostics)
    lines = len(text.splitlines()) + 1
    for diagnostic in diagnostics:
        assert 1 <= diagnostic.line <= lines + 1
        assert diagnostic.column >= 1
        assert diagnostic.reason
        assert "\n" not in str(diagnostic)


either = pytest.mark.parametrize("load", [policies, config])


@either
@settings(max_examples=300)
@given(text=st.text(max_size=200))
@example(text="%YAML 1.1\n---\nversion: 1\n").via("YAML directive")
@example(text="%TAG ! tag:x,2000:\n--- !y 1\n").via("tag directive and a tag")
@example(text="\x00").via("NUL character")
@example(text='"\\UFFFFFFFF"').via("escape beyond Unicode")
@example(text='"\\x').via("truncated escape")
@example(text="! 1").via("non-specific tag")
@example(text="!!int x").via("integer tag on a word")
@example(text="!!map [a]").via("map tag on a list")
@example(text="<<: {version: 1}").via("merge key")
@example(text="a: &x 1\nb: &x 2\n").via("anchor defined twice")
def test_any_text_is_answered(load: Load, text: str) -> None:
    answered(load, text)


@either
@settings(max_examples=300)
@given(text=st.text(alphabet="[]{}:,-?&*!|>'\"%@#\\\n\t ab01~.", max_size=80))
def test_any_heap_of_punctuation_is_answered(load: Load, text: str) -> None:
    answered(load, text)


@either
@settings(max_examples=300)
@given(data=st.data())
def test_a_good_file_with_a_piece_replaced_is_answered(load: Load, data: st.DataObject) -> None:
    text = POLICY if load is policies else CONFIG
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 12)))
    piece = data.draw(st.sampled_from(["", *WORDS]) | st.text(alphabet="[]{}:,-&*!|'\"#\n\t 0a", max_size=4))
    answered(load, text[:start] + piece + text[end:])


def trees() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(WORDS),
        st.text(max_size=5),
        st.just(10**40),
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=20,
    )


@either
@settings(max_examples=300)
@given(tree=trees())
def test_any_tree_of_known_words_is_answered(load: Load, tree: object) -> None:
    answered(load, json.dumps(tree))


@settings(max_examples=300)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([*KINDS, "actions"]), trees() | st.just({"allow": 1}), max_size=4), max_size=4
    )
)
def test_any_rule_is_answered(rules: list[dict[str, Any]]) -> None:
    head = {"version": 1, "vsi_type": {"type_id": 1, "version": 1, "name": "x"}}
    answered(policies, json.dumps({**head, "from_vm": {"rules": [{"rule": rule} for rule in rules]}}))
