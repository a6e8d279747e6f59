"""Samples of a Prometheus as objects of ``/evb/statistics``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ryu_apps.nms.prometheus import readings

NAMES = {"10.0.0.1:8080": "a", "10.0.0.2:8080": "a", "b": "b"}
PORT = {"dp_id": "0x1", "dp_name": "s1", "port": "3", "extraction": "controller"}


def series(name: str, target: str, *values: tuple[float, str], **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, "instance": target, **labels}, "values": [list(value) for value in values]}


def counts(target: str, t: float, total: int, base: int = 0, vsi: str = "v") -> list[dict[str, Any]]:
    return [
        series(f"evb_vsi_{name}", target, (t, str(value)), vsi=vsi, direction=way)
        for way in ("from_vm", "to_vm")
        for name, value in (
            ("packets_total", total),
            ("bytes_total", 60 * total),
            ("carried_packets", base),
            ("carried_bytes", 60 * base),
        )
    ]


def answer(*found: dict[str, Any]) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": found}}).encode()


def way(total: int, base: int = 0) -> dict[str, Any]:
    return {"packets": total, "octets": 60 * total, "base": {"packets": base, "octets": 60 * base}}


def test_series_become_accounts_in_the_order_of_time() -> None:
    here, there = "10.0.0.1:8080", "b"
    octets = answer(
        series("evb_build_info", there, (20.0, "1")),
        series("evb_build_info", here, (10.0, "1"), (20.0, "1")),
        *counts(there, 20.0, 9, 7),
        series("evb_vsi_port", there, (20.0, "1"), vsi="v", **PORT),
        *counts(here, 20.0, 7),
        *counts(here, 10.0, 5),
        series("evb_vsi_port", here, (10.0, "1"), vsi="v", **{**PORT, "extraction": "nms"}),
        *counts("10.9.9.9:8080", 10.0, 1),
    )
    first, second = readings(octets, "instance", NAMES)
    port = "0000000000000001:3"
    assert first == (
        10.0,
        {"a"},
        [("a", {"vsi": "v", "port": port, "extraction": "nms", "from_vm": way(5), "to_vm": way(5)})],
    )
    left, came = second.accounts
    assert (second.t, second.bridges) == (20.0, {"a", "b"})
    assert left == ("a", {"vsi": "v", "port": None, "extraction": "controller", "from_vm": way(7), "to_vm": way(7)})
    assert came[0] == "b" and came[1]["port"] == port and came[1]["to_vm"] == way(9, 7)


def test_only_the_leader_of_a_cluster_counts() -> None:
    octets = answer(
        *counts("10.0.0.2:8080", 10.0, 6),
        series("evb_vsi_port", "10.0.0.2:8080", (10.0, "1"), vsi="v", **PORT),
        series("evb_cluster_leads", "10.0.0.2:8080", (10.0, "1")),
        *counts("10.0.0.1:8080", 10.0, 4),
        series("evb_vsi_port", "10.0.0.1:8080", (10.0, "1"), vsi="v", **PORT),
        series("evb_cluster_leads", "10.0.0.1:8080", (10.0, "0")),
    )
    (reading,) = readings(octets, "instance", NAMES)
    assert [account["from_vm"] for _, account in reading.accounts] == [way(6)]


def test_totals_that_are_not_all_there_are_left_out() -> None:
    (reading,) = readings(answer(*counts("b", 10.0, 4)[:-1]), "instance", NAMES)
    assert reading.accounts == []


@pytest.mark.parametrize(
    "octets",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        json.dumps({"status": "error"}).encode(),
        json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode(),
        answer({"metric": {"instance": "b"}, "values": [[1, "1"]]}),
        answer(series("evb_vsi_packets_total", "b", (1.0, "NaN"), vsi="v", direction="to_vm")),
        answer(series("evb_vsi_packets_total", "b", (1.0, "1e30"), vsi="v", direction="to_vm")),
        answer(series("evb_vsi_packets_total", "b", (1.0, "1"), vsi="v" * 300, direction="to_vm")),
        answer(series("evb_vsi_port", "b", (1.0, "1"), vsi="v", dp_id="s1", port="1", extraction="nms")),
        answer({"metric": {"instance": "b", "__name__": "evb_build_info"}, "values": 5}),
    ],
)
def test_answers_that_are_none_are_refused(octets: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, RecursionError)):
        readings(octets, "instance", NAMES)
