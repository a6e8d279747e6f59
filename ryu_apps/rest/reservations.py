"""Resources of the switches: the budget of each, and what is reserved of it for types and VSIs."""

from __future__ import annotations

from ryu_apps.evb.bridge.queries import Reservation, ReservationHolder, SwitchResources
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.text import dpid_text


def reservations(bridge: Bridge, now: float, switch: int | None = None, after: int = -1) -> list[JsonValue]:
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


def _resources_json(resources: SwitchResources) -> JsonValue:
    return {
        "meters": resources.meters._asdict(),
        "groups": resources.groups._asdict(),
        "tables": {name: amount._asdict() for name, amount in resources.tables.items()},
        "bandwidth": [
            {"port": port.port_no, "speed": port.speed, "sent": port.sent, "received": port.received}
            for port in resources.bandwidth
        ],
    }


def _promise_json(reserved: Reservation, now: float) -> JsonValue:
    kind, number = reserved.owner
    numbered = {"type": "epoch", "flood": "vid"}.get(kind, "index")
    return {
        "for": kind,
        numbered: number,
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


def _holder_json(holder: ReservationHolder, now: float) -> JsonValue:
    return {
        "vsi": holder.vsi,
        "port": str(holder.port),
        "phase": holder.phase.value,
        "age": now - holder.since,
        "expires_in": None if holder.expires is None else holder.expires - now,
        "staged": None if holder.staged is None else dict(holder.staged),
        "refreshed": None if holder.refreshed is None else now - holder.refreshed,
    }
