"""Messages and table updates of an OVSDB server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ryu_apps.station_daemon.ovsdb import InterfaceRows, MessageReader, OvsdbError

#: With a brace in a text, and characters of several octets.
MESSAGES: list[Any] = [{"id": 1, "result": {"a": "}{"}}, {"method": "échö", "params": []}, {"x": {}}]
STREAM = b" ".join(json.dumps(message, ensure_ascii=False).encode() for message in MESSAGES) + b"\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_found_however_the_stream_is_cut(size: int) -> None:
    reader = MessageReader()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [message for piece in pieces for message in reader.feed(piece)] == MESSAGES


def test_what_is_no_text_or_has_no_end_is_an_error() -> None:
    with pytest.raises(OvsdbError):
        MessageReader().feed(b"\xff}")
    reader = MessageReader()
    with pytest.raises(OvsdbError, match="more than"):
        reader.feed(b'"' + bytes(20_000_000))


def row(name: str, *ids: tuple[str, str]) -> dict[str, Any]:
    return {"new": {"name": name, "external_ids": ["map", [list(pair) for pair in ids]]}}


def test_ports_come_change_and_go() -> None:
    rows = InterfaceRows()
    rows.update({"Interface": {"u1": row("eth0"), "u2": row("vnet7", ("attached-mac", "x"), ("iface-id", "one"))}})
    assert rows.ports == {"one": ("vnet7",)}
    rows.update({"Interface": {"u3": row("vnet6", ("iface-id", "one")), "u4": row("vnet5", ("iface-id", "two"))}})
    assert rows.ports == {"one": ("vnet6", "vnet7"), "two": ("vnet5",)}
    rows.update({"Interface": {"u2": {"old": {}}, "u3": row("vnet6", ("iface-id", "three"))}})
    assert rows.ports == {"two": ("vnet5",), "three": ("vnet6",)}


@pytest.mark.parametrize(
    "update",
    [[], {"Interface": []}, {"Interface": {"u": {"new": {"name": "x"}}}}, {"Interface": {"u": {"new": {"name": "x",
     "external_ids": ["set", []]}}}}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_update_is_an_error(update: Any) -> None:
    with pytest.raises(OvsdbError):
        InterfaceRows().update(update)
