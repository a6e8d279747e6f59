"""The groups and meters that a switch should hold, and what an Associate would change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from typing_extensions import TypedDict

from ryu_apps.evb.flow.actions import Action, OutputGroup
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Group, Meter, Rule
from ryu_apps.evb.pipeline.notation import group_text, rule_text
from ryu_apps.evb.pipeline.tables import parse_cookie
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.rest.bridge import Bridge, RestError
from ryu_apps.rest.text import dpid_text


class GroupJson(TypedDict):
    """A group, in the notation of ovs-ofctl."""

    group_id: int
    text: str


class MeterJson(TypedDict):
    """A meter."""

    meter_id: int
    rate: int
    burst: int
    unit: str


class ForeseenSwitchJson(TypedDict):
    """Changes at one switch; rules in the notation of ovs-ofctl."""

    dpid: str
    add: list[str]
    remove: list[str]
    meters: list[MeterJson]


class ForeseenJson(TypedDict):
    """Changes of an Associate at a port; null: they cannot be known beforehand."""

    port: str
    switches: list[ForeseenSwitchJson] | None


def groups(bridge: Bridge, now: float, dpid: int, vsi: str | None = None, after: int = -1) -> list[GroupJson]:
    """The groups of one switch, as texts, in the order of their numbers.

    Args:
        vsi: only those to which rules of this VSI refer, by way of other groups, too.

    Raises:
        RestError: 404, the switch is not configured.
    """
    _check(bridge, dpid)
    held = {group.group_id: group for group in bridge.queries.vsis.groups(dpid)}
    named = set(held) if vsi is None else _groups_named(held, _rules_of(bridge, dpid, vsi))
    shown = sorted(number for number in named & held.keys() if number > after)
    return [{"group_id": number, "text": group_text(held[number])} for number in shown]


def _groups_named(held: Mapping[int, Group], rules: Iterable[Rule]) -> set[int]:
    """Return the numbers of the groups that rules refer to, by way of other groups, too."""
    named: set[int] = set()
    found = {number for rule in rules for number in _outputs(rule.apply)}
    while found:
        named |= found
        buckets = [bucket for number in found & held.keys() for bucket in held[number].buckets]
        watched = {bucket.watch_group for bucket in buckets if bucket.watch_group is not None}
        found = (watched | {number for bucket in buckets for number in _outputs(bucket.actions)}) - named
    return named


def _outputs(actions: Iterable[Action]) -> Iterator[int]:
    """Yield the groups to which actions send a frame."""
    return (action.group_id for action in actions if isinstance(action, OutputGroup))


def meters(bridge: Bridge, now: float, dpid: int, vsi: str | None = None, after: int = -1) -> list[MeterJson]:
    """The meters of one switch that may drop a frame: rate limits, and gates that open by a meter.

    Args:
        vsi: only those to which rules of this VSI refer.

    Raises:
        RestError: 404, the switch is not configured.
    """
    _check(bridge, dpid)
    found = sorted(bridge.queries.vsis.meters(dpid), key=lambda meter: meter.meter_id)
    named = {rule.meter for rule in _rules_of(bridge, dpid, vsi)} if vsi else {meter.meter_id for meter in found}
    return [_meter_json(meter) for meter in found if meter.meter_id > after and meter.meter_id in named]


def _rules_of(bridge: Bridge, dpid: int, vsi: str) -> list[Rule]:
    """Return the rules of a switch that a VSI needs, those that it shares included."""
    queries = bridge.queries.vsis
    uses = queries.rule_uses(dpid)
    owners = {owner for owner, found in uses.items() if any(use.vsi == vsi for use in found)}
    return [
        rule
        for rule in queries.rules(dpid)
        if (parsed := parse_cookie(rule.cookie)) is not None and (parsed.kind, parsed.owner) in owners
    ]


def _check(bridge: Bridge, dpid: int) -> None:
    if dpid not in bridge.queries.fabric.switches:
        raise RestError(404, f"no switch {dpid_text(dpid)} in the fabric")


def _meter_json(meter: Meter) -> MeterJson:
    return {"meter_id": meter.meter_id, "rate": meter.rate, "burst": meter.burst, "unit": meter.unit.value}


def foreseen(
    bridge: Bridge,
    now: float,
    vsi: str,
    port: PortId | None = None,
    switch: int | None = None,
    after: PortId | None = None,
) -> list[ForeseenJson]:
    """The changes that an Associate of a VSI would make now, at each port at which its gate is not open.

    Args:
        port: only those of an Associate at this port.
        switch: only those of an Associate at a port of this switch; they have the changes of all switches.

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
        for flip in sorted(queries.foreseen(vsi), key=lambda flip: flip.port)
        if (after is None or flip.port > after) and port in (None, flip.port) and switch in (None, flip.port.dpid)
    ]


def _change_json(dpid: int, change: RuleChange) -> ForeseenSwitchJson:
    return {
        "dpid": dpid_text(dpid),
        "add": [rule_text(rule) for rule in change.add],
        "remove": [rule_text(rule) for rule in change.remove],
        "meters": [_meter_json(meter) for meter in (*change.meters, *change.opened)],
    }
