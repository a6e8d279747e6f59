"""The groups and meters that a switch should hold, and what an Associate would change."""

from __future__ import annotations

from ryu_apps.evb.flow.rule import Meter, RuleChange
from ryu_apps.evb.pipeline.notation import group_text, rule_text
from ryu_apps.rest.bridge import Bridge, JsonValue, RestError
from ryu_apps.rest.text import dpid_text


def groups(bridge: Bridge, now: float, dpid: int) -> list[JsonValue]:
    """The groups of one switch, as texts.

    Raises:
        RestError: 404, the switch is not configured.
    """
    _check(bridge, dpid)
    found = sorted(bridge.queries.vsis.groups(dpid), key=lambda group: group.group_id)
    return [{"group_id": group.group_id, "text": group_text(group)} for group in found]


def meters(bridge: Bridge, now: float, dpid: int) -> list[JsonValue]:
    """The meters of one switch that may drop a frame: rate limits, and gates that open by a meter.

    Raises:
        RestError: 404, the switch is not configured.
    """
    _check(bridge, dpid)
    return [_meter_json(meter) for meter in sorted(bridge.queries.vsis.meters(dpid), key=lambda meter: meter.meter_id)]


def _check(bridge: Bridge, dpid: int) -> None:
    if dpid not in bridge.queries.fabric.switches:
        raise RestError(404, f"no switch {dpid_text(dpid)} in the fabric")


def _meter_json(meter: Meter) -> JsonValue:
    return {"meter_id": meter.meter_id, "rate": meter.rate, "burst": meter.burst, "unit": meter.unit.value}


def foreseen(bridge: Bridge, now: float, vsi: str) -> list[JsonValue]:
    """The changes that an Associate of a VSI would make now, at each port at which its gate is not open.

    Raises:
        RestError: 404, the VSI is attached to no port.
    """
    queries = bridge.queries.vsis
    if queries.named(vsi) is None:
        raise RestError(404, f"no VSI {vsi}")
    return [
        {
            "port": str(flip.port),
            "switches": None
            if flip.changes is None
            else [_change_json(dpid, change) for dpid, change in flip.changes.items()],
        }
        for flip in queries.foreseen(vsi)
    ]


def _change_json(dpid: int, change: RuleChange) -> JsonValue:
    return {
        "dpid": dpid_text(dpid),
        "add": [rule_text(rule) for rule in change.add],
        "remove": [rule_text(rule) for rule in change.remove],
        "meters": [_meter_json(meter) for meter in (*change.meters, *change.opened)],
    }
