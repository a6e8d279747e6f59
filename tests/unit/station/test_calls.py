"""Calls of a hypervisor as JSON objects."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.station.calls import Call, Verb, read_call

VM = "09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f"
WEB = {"verb": "reserve", "vsi": VM, "type": 10, "filters": ["0-52:54:00:aa:00:01"]}


def test_a_call_has_what_was_written() -> None:
    more = {"version": 2, "manager": "vcm1", "addresses": ["10.0.0.1", "fd00::1"], "uplink": "eth1", "migrating": True}

    call = read_call({**WEB, **more, "deadline": 2.5})

    assert (call.verb, str(call.vsi_id), call.uplink, call.migrating, call.patience) == (
        Verb.RESERVE, VM, "eth1", True, 2.5,
    )  # fmt: skip
    described = call.description
    assert described is not None
    assert (described.type_id, described.version, described.manager_id) == (10, 2, manager_from_text("vcm1"))
    assert described.filter_info == FilterInfo.of(MacVid(0, 0x525400AA0001))
    assert described.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))


def test_a_later_call_needs_no_description() -> None:
    assert read_call({"verb": "release", "vsi": VM}) == Call(Verb.RELEASE, read_call(WEB).vsi_id)


def test_a_description_is_read_from_what_it_writes() -> None:
    described = read_call({**WEB, "manager": "vcm1", "addresses": ["10.0.0.1"], "port": "tap100i0"}).description
    assert described is not None

    assert read_call({"verb": "reserve", **described.to_json()}).description == described


def test_the_port_of_a_vm_is_in_every_request() -> None:
    described = read_call({**WEB, "addresses": ["10.0.0.1"], "port": "tap100i0"}).description
    assert described is not None
    for mode in VdpMode:
        assert described.request(mode).organizational[-1] == PortName("tap100i0").encode()


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"verb": "stop"}, "verb"),
        ({"verb": 1}, "verb"),
        ({"vsi": None}, "vsi"),
        ({"vsi": "x"}, "vsi"),
        ({"type": 1 << 24}, "type"),
        ({"type": "10"}, "type"),
        ({"type": True}, "type"),
        ({"version": 256}, "version"),
        ({"manager": []}, "manager"),
        ({"manager": 256}, "manager"),
        ({"filters": []}, "filters"),
        ({"port": "tap 1"}, "port"),
        ({"port": 7}, "port"),
        ({"filters": "0-52:54:00:aa:00:01"}, "filters"),
        ({"filters": ["x"]}, "filters"),
        ({"filters": None}, "call"),
        ({"addresses": ["x"]}, "addresses"),
        ({"addresses": ["10.0.0.1"] * 17}, "addresses"),
        ({"uplink": 1}, "uplink"),
        ({"migrating": 1}, "migrating"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": 1e9}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_mistake_is_named_with_its_key(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=rf"^{place}"):
        read_call({**WEB, **changed})


@pytest.mark.parametrize("written", [None, 1, "reserve", [], [WEB]])
def test_what_is_no_object_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"^call"):
        read_call(written)


def test_every_mistake_is_named() -> None:
    with pytest.raises(ValueError, match=r"type: .*; version: .*"):
        read_call({**WEB, "type": -1, "version": -1})
