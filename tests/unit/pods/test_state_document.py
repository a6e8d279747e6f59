"""State of a VSI as JSON: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import FinTimeout, RegLoad, whole
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Direction, Table, vsi_metadata
from ryu_apps.evb.pods.state_document import VERSION, StateError, VsiState, read, to_json
from ryu_apps.evb.services.firewall.connections import ESTABLISHED

SCOPE = vsi_metadata(7, Direction.FROM_VM)
RULE = Rule(
    Table.PROXY_PINS,
    300,
    match(metadata=SCOPE, eth_type=0x86DD, ipv6_src=(1 << 127) | 5, ip_proto=6, tcp_src=80),
    0,
    (RegLoad(ESTABLISHED, 1), RegLoad(whole("eth_dst"), 0x020000000001), FinTimeout(20)),
    idle_timeout=300,
)
STATE = VsiState("v", "100/1", "digest", True, (RULE,), b"\x01\xff", ((1, 2), (3, 4)))


def written(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(to_json(STATE)))
    for path, value in changes.items():
        *folders, last = path.split("__")
        place: Any = document
        for name in folders:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value
    return document


def test_what_is_written_is_read() -> None:
    assert read(json.dumps(to_json(STATE)).encode(), "v") == STATE
    plain = VsiState("v", "100/1", "digest", False)
    assert read(json.dumps(to_json(plain)).encode(), "v") == plain


@pytest.mark.parametrize(
    "changes",
    [
        {"version": VERSION + 1},
        {"vsi": "w"},
        {"rules": 5},
        {"rules__0__table": "NOWHERE"},
        {"rules__0__priority": -1},
        {"rules__0__idle_timeout": True},
        {"rules__0__match": {"tcp_src": "0x50"}},
        {"rules__0__match__metadata": "0x7"},
        {"rules__0__match__tcp_src": "0x10000"},
        {"rules__0__actions": [["output", 1]]},
        {"rules__0__actions": [["load", "metadata", 0, 16, "0x1"]]},
        {"rules__0__actions": [["load", "vlan_vid", 0, 12, "0x1"]]},
        {"rules__0__actions": [["load", "reg0", 0, 1, "0x2"]]},
        {"rules__0__actions": [["load", "reg0", 31, 2, "0x1"]]},
        {"memberships": "?"},
        {"totals": {"from_vm": [1, -2], "to_vm": [3, 4]}},
        {"totals": {"from_vm": [1], "to_vm": [3, 4]}},
        {"rules__0__actions": [["fin_timeout"]]},
        {"rules__0__actions": [[]]},
    ],
)
def test_what_is_no_state_of_the_vsi_alone_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        read(json.dumps(written(**changes)).encode(), "v")


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_refused(octets: bytes) -> None:
    with pytest.raises(StateError):
        read(octets, "v")
