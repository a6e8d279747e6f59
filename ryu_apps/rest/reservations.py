"""Resources of the switches: the budget of each, and what is reserved of it for types and VSIs."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.queries import Reservation, ReservationHolder, ReservedAmount, SwitchResources
from ryu_apps.rest.bridge import Bridge
from ryu_apps.rest.text import dpid_text


class AmountJson(TypedDict):
    """A budget, and what is reserved of it; a budget of null is no limit."""

    budget: int | None
    base: int
    used: int


class PortBandwidthJson(TypedDict):
    """Minimum rates at a port, in kbit/s."""

    port: int
    speed: int | None
    sent: int
    received: int


class ReservedBandwidthJson(TypedDict):
    """Minimum rates of one reservation at a port, in kbit/s."""

    port: int
    sent: int
    received: int


class HolderJson(TypedDict):
    """A VSI at a port for which resources are reserved."""

    vsi: str
    port: str
    phase: str
    age: float
    expires_in: float | None
    staged: dict[str, int] | None
    refreshed: float | None


#: Resources that are reserved for one type (by its epoch), VSI or detour (by its index), or for flooding (by its VID).
PromiseJson = TypedDict(
    "PromiseJson",
    {
        "for": str,
        "epoch": NotRequired[int],
        "vid": NotRequired[int],
        "index": NotRequired[int],
        "rules": int,
        "meters": int,
        "groups": int,
        "tables": dict[str, int],
        "bandwidth": list[ReservedBandwidthJson],
        "holders": list[HolderJson],
    },
)


class ResourcesJson(TypedDict):
    """Budgets of a switch for other things than rules."""

    meters: AmountJson
    groups: AmountJson
    tables: dict[str, AmountJson]
    bandwidth: list[PortBandwidthJson]


class ReservationsJson(ResourcesJson):
    """A switch, its budgets, and what is reserved of them."""

    dpid: str
    name: str
    budget: int | None
    used: int
    promises: list[PromiseJson]


def reservations(bridge: Bridge, now: float, switch: int | None = None, after: int = -1) -> list[ReservationsJson]:
    """All configured switches with their reservations; a budget of null is no limit."""
    return [
        {
            "dpid": dpid_text(status.switch.dpid),
            "name": status.switch.name,
            "budget": status.budget,
            "used": status.used,
            **_resources_json(bridge.queries.resources(status.switch.dpid)),
            "promises": [_promise_json(reserved, now) for reserved in bridge.queries.reservations(status.switch.dpid)],
        }
        for status in sorted(bridge.queries.switches(), key=lambda status: status.switch.dpid)
        if status.switch.dpid > after and switch in (None, status.switch.dpid)
    ]


def _resources_json(resources: SwitchResources) -> ResourcesJson:
    return {
        "meters": _amount_json(resources.meters),
        "groups": _amount_json(resources.groups),
        "tables": {name: _amount_json(amount) for name, amount in resources.tables.items()},
        "bandwidth": [
            {"port": port.port_no, "speed": port.speed, "sent": port.sent, "received": port.received}
            for port in resources.bandwidth
        ],
    }


def _amount_json(amount: ReservedAmount) -> AmountJson:
    return {"budget": amount.budget, "base": amount.base, "used": amount.used}


def _promise_json(reserved: Reservation, now: float) -> PromiseJson:
    kind, number = reserved.owner
    promise: PromiseJson = {
        "for": kind,
        "rules": reserved.rules,
        "meters": reserved.meters,
        "groups": reserved.groups,
        "tables": dict(reserved.tables),
        "bandwidth": [
            {"port": port_no, "sent": sent, "received": received}
            for port_no, (sent, received) in sorted(reserved.bandwidth.items())
        ],
        "holders": [_holder_json(holder, now) for holder in reserved.holders],
    }
    match kind:
        case "type":
            promise["epoch"] = number
        case "flood":
            promise["vid"] = number
        case _:
            promise["index"] = number
    return promise


def _holder_json(holder: ReservationHolder, now: float) -> HolderJson:
    return {
        "vsi": holder.vsi,
        "port": str(holder.port),
        "phase": holder.phase.value,
        "age": now - holder.since,
        "expires_in": None if holder.expires is None else holder.expires - now,
        "staged": None if holder.staged is None else dict(holder.staged),
        "refreshed": None if holder.refreshed is None else now - holder.refreshed,
    }
