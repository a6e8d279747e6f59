"""Totals of VSIs in what a Prometheus that scrapes the bridges answers to ``/api/v1/query_range``.

The series are those of ``docs/rest.rst``, under metrics.  Those of one time become what ``/evb/statistics`` would have
shown then, so that totals over bridges are made in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

#: The series that are asked for, all at once, so that what one scrape has found stays together.
QUERY = (
    '{__name__=~"evb_build_info|evb_cluster_leads|evb_vsi_port'
    '|evb_vsi_packets_total|evb_vsi_bytes_total|evb_vsi_carried_packets|evb_vsi_carried_bytes"}'
)
#: Name of a series with counts -> place in the object of a direction: key, and that it is in its ``base``.
_COUNTS = {
    "evb_vsi_packets_total": ("packets", False),
    "evb_vsi_bytes_total": ("octets", False),
    "evb_vsi_carried_packets": ("packets", True),
    "evb_vsi_carried_bytes": ("octets", True),
}
_WAYS = ("from_vm", "to_vm")
#: Characters of a label.
_LONGEST = 200


class Reading(NamedTuple):
    """Samples of one time, by bridge.

    Attributes:
        t: Unix time in seconds.
        bridges: those that it has scraped, by name.
        accounts: bridge and an object as ``/evb/statistics`` has them; the ones without a port first.
    """

    t: float
    bridges: frozenset[str]
    accounts: list[tuple[str, dict[str, Any]]]


class _Scraped:
    """The series of one target at one time."""

    def __init__(self) -> None:
        self.alive = False
        self.leads = True
        self.counts: dict[str, dict[str, dict[str, Any]]] = {}
        self.ports: dict[str, tuple[str, str]] = {}


def readings(octets: bytes, label: str, names: Mapping[str, str]) -> list[Reading]:
    """Read an answer, in the order of time.

    Args:
        label: label of a series whose value names a bridge.
        names: value of the label -> name of the bridge; series of others are left out.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: it is none.
    """
    answer = json.loads(octets)
    if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
        raise ValueError("no matrix")
    found: dict[float, dict[tuple[str, str], _Scraped]] = {}
    for series in answer["data"]["result"]:
        labels = series["metric"]
        bridge = names.get(labels.get(label, ""))
        if bridge is None:
            continue
        target = bridge, str(labels.get("instance", ""))
        for t, value in series["values"]:
            at = found.setdefault(float(t), {})
            _take(at.setdefault(target, _Scraped()), labels, value)
    return [_reading(t, found[t]) for t in sorted(found)]


def _take(scraped: _Scraped, labels: Mapping[str, Any], value: str) -> None:
    name = labels["__name__"]
    if name == "evb_build_info":
        scraped.alive = True
    elif name == "evb_cluster_leads":
        scraped.leads = float(value) == 1
    elif name == "evb_vsi_port":
        port = f"{int(labels['dp_id'], 16):016x}:{int(labels['port'])}"
        scraped.ports[_vsi(labels)] = port, str(labels["extraction"])
    elif name in _COUNTS and labels["direction"] in _WAYS:
        key, carried = _COUNTS[name]
        ways = scraped.counts.setdefault(_vsi(labels), {way: {"base": {}} for way in _WAYS})
        way = ways[labels["direction"]]
        (way["base"] if carried else way)[key] = _count(value)


def _vsi(labels: Mapping[str, Any]) -> str:
    vsi = labels["vsi"]
    if not isinstance(vsi, str) or not 0 < len(vsi) <= _LONGEST:
        raise ValueError("a label vsi that is none")
    return vsi


def _count(text: str) -> int:
    number = float(text)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{text} is no count")
    return int(number)


def _reading(t: float, targets: Mapping[tuple[str, str], _Scraped]) -> Reading:
    alive = frozenset(bridge for (bridge, _), scraped in targets.items() if scraped.alive)
    accounts: dict[tuple[str, str], dict[str, Any]] = {}
    for (bridge, _), scraped in targets.items():
        # Of the members of a cluster only the leader knows where VSIs are.
        for vsi, ways in scraped.counts.items() if scraped.leads else ():
            if any(len(way) < 3 or len(way["base"]) < 2 for way in ways.values()):
                continue
            port, extraction = scraped.ports.get(vsi, (None, "controller"))
            if port is not None or (bridge, vsi) not in accounts:
                accounts[bridge, vsi] = {"vsi": vsi, "port": port, "extraction": extraction, **ways}
    found = [(bridge, account) for (bridge, _), account in accounts.items()]
    return Reading(t, alive, sorted(found, key=lambda each: each[1]["port"] is not None))
