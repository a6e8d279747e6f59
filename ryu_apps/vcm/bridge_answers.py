"""Answers of a bridge's REST interface to the room that it has left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ryu_apps.vcm.bridge_room import BridgeRoom, PortWay, Rates, SwitchRoom, TypeNumber

#: Paths of the answers, in the order of :class:`BridgeAnswers`.
PATHS = ("/evb/reservations", "/evb/vsitypes", "/evb/stations", "/evb/status")
#: States of a station port in which no request comes.
_SILENT = frozenset({"no neighbour", "link down", "switch disconnected", "switch not ready"})


class BridgeAnswers(NamedTuple):
    """JSON values of :data:`PATHS`."""

    reservations: Any
    vsitypes: Any
    stations: Any
    status: Any


def room_of(answers: BridgeAnswers) -> BridgeRoom:
    """Return the room that a bridge has left.

    Raises:
        ValueError: these are not the answers of a bridge.
    """
    try:
        return _room_of(answers)
    except (AttributeError, IndexError, KeyError, TypeError) as problem:
        raise ValueError(f"not the answers of a bridge: {type(problem).__name__}: {problem}") from None


def _room_of(answers: BridgeAnswers) -> BridgeRoom:
    names = {switch["dpid"]: switch["name"] for switch in answers.reservations}
    epochs = {(body["dpid"], body["epoch"]): _key(listed) for listed in answers.vsitypes for body in listed["bodies"]}
    unready = {
        switch["name"]: "" if switch["readiness"] == "ready" else switch["readiness"]
        for switch in answers.status["switches"]
    }
    left, own = _bandwidth(answers.reservations)
    return BridgeRoom(
        {
            switch["name"]: _switch_room(switch, epochs, unready.get(switch["name"], ""))
            for switch in answers.reservations
        },
        {_key(listed): Rates(**listed["minimum"]) for listed in answers.vsitypes},
        {_key(listed): frozenset(listed["used_by"]) for listed in answers.vsitypes},
        left,
        own,
        {station["name"]: (names[station["dpid"]], station["port_no"]) for station in answers.stations},
        _trunks(names, answers.status["links"]),
        {station["name"]: station["evb"] for station in answers.stations if station["evb"] in _SILENT},
    )


def _key(listed: Mapping[str, Any]) -> TypeNumber:
    return listed["type_id"], listed["version"]


def _switch_room(switch: Mapping[str, Any], epochs: Mapping[tuple[str, int], TypeNumber], unready: str) -> SwitchRoom:
    held: dict[str, dict[str, int]] = {}
    bodies: dict[TypeNumber, dict[str, int]] = {}
    for promise in switch["promises"]:
        amounts = _amounts(promise)
        if promise["for"] == "vsi":
            held |= {holder["vsi"]: amounts for holder in promise["holders"]}
        elif promise["for"] == "type" and (switch["dpid"], promise["epoch"]) in epochs:
            bodies[epochs[switch["dpid"], promise["epoch"]]] = amounts
    budgets = {
        "rules": {"budget": switch["budget"], "base": 0, "used": switch["used"]},
        "meters": switch["meters"],
        "groups": switch["groups"],
        **{_table(name): amount for name, amount in switch["tables"].items()},
    }
    left = {
        name: max(0, amount["budget"] - amount["base"] - amount["used"])
        for name, amount in budgets.items()
        if amount["budget"] is not None
    }
    return SwitchRoom(left, held, bodies, unready)


def _amounts(promise: Mapping[str, Any]) -> dict[str, int]:
    tables = {_table(name): rules for name, rules in promise["tables"].items()}
    return {"rules": promise["rules"], "meters": promise["meters"], "groups": promise["groups"], **tables}


def _table(name: str) -> str:
    return f"rules in table {name}"


def _bandwidth(
    reservations: Iterable[Mapping[str, Any]],
) -> tuple[dict[PortWay, int], dict[PortWay, dict[str, int]]]:
    """Kbit/s that are left of each direction of a port, and those that each VSI has of it."""
    left: dict[PortWay, int] = {}
    own: dict[PortWay, dict[str, int]] = defaultdict(dict)
    for switch in reservations:
        for port in switch["bandwidth"]:
            for direction in ("sent", "received"):
                way = PortWay(switch["name"], port["port"], direction == "sent")
                if port["speed"] is not None:
                    left[way] = max(0, port["speed"] - port[direction])
        for promise in switch["promises"]:
            for port in promise["bandwidth"]:
                for direction in ("sent", "received"):
                    way = PortWay(switch["name"], port["port"], direction == "sent")
                    own[way] |= {holder["vsi"]: port[direction] for holder in promise["holders"]}
    return left, dict(own)


def _trunks(
    names: Mapping[str, str], links: Iterable[Mapping[str, Any]]
) -> dict[str, tuple[tuple[tuple[str, int], tuple[str, int]], ...]]:
    """The links of each switch; of parallel ones the first, which is the one in use."""
    found: dict[str, dict[str, tuple[tuple[str, int], tuple[str, int]]]] = defaultdict(dict)
    for link in links:
        here, there = (_port(names, text) for text in link["ports"])
        found[here[0]].setdefault(there[0], (here, there))
        found[there[0]].setdefault(here[0], (there, here))
    return {switch: tuple(ends.values()) for switch, ends in found.items()}


def _port(names: Mapping[str, str], text: str) -> tuple[str, int]:
    dpid, _, number = text.partition(":")
    return names[dpid], int(number)
