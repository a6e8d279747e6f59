"""Total traffic of VSIs, and the resource by which an NMS populates earlier totals.

An answer is the newest reading with its age.  With ``fresh=1`` the switches are queried first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field

from ryu_apps.evb.bridge.statistics_queries import AccountStatus, Count, DirectionTotals
from ryu_apps.evb.events import StatisticsPopulated, StatisticsWanted
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.services.statistics.entries import DIRECTIONS, StatisticsEntry
from ryu_apps.evb.services.statistics.schema import ExtractionText
from ryu_apps.rest.bridge import Bridge, JsonValue, Later, RestError
from ryu_apps.rest.numbers import INTEGRAL
from ryu_apps.rest.parameters import TypeFilter
from ryu_apps.rest.text import dpid_text

_Number = Annotated[int, Field(ge=0, lt=1 << 63), INTEGRAL]


class Counted(Strict):
    """Frames and octets of one direction."""

    packets: _Number
    octets: _Number


class Base(Strict):
    """Totals of the earlier ports of a VSI."""

    from_vm: Counted
    to_vm: Counted


def all_statistics(
    bridge: Bridge, now: float, fresh: bool = False, type: TypeFilter | None = None, after: str = ""
) -> Iterator[JsonValue] | Later:
    """All totals, by VSI: one of each, or of each of its ports if the NMS carries them."""
    if fresh:
        return _asked(bridge, None, lambda later: all_statistics(bridge, later, type=type, after=after))
    return (
        _account_json(bridge, account, now)
        for account in bridge.queries.statistics.all(after)
        if type is None or type.selects(account.type)
    )


def statistics(bridge: Bridge, now: float, vsi: str, fresh: bool = False) -> JsonValue | Later:
    """The totals of one VSI: of the port where its gate is open, or else the newest ones.

    Raises:
        RestError: 404, it has none; 503, its switch is not connected and cannot be queried.
    """
    account = _account(bridge, vsi)
    if fresh or not account.complete:
        return _asked(bridge, vsi, lambda later: _read(bridge, vsi, later))
    return _account_json(bridge, account, now)


def populate(bridge: Bridge, now: float, vsi: str, body: Base) -> JsonValue:
    """Populate the totals of a VSI with those of its earlier ports.

    Raises:
        RestError: 404, it has no statistics; 409, the controller carries them, or its gate is not open.
    """
    account = _account(bridge, vsi)
    if not account.carried_by_nms:
        raise RestError(409, f"the controller carries the totals of VSI type {account.type}: extraction: controller")
    if not account.in_force:
        raise RestError(409, f"VSI {vsi} is active nowhere")
    from_vm, to_vm = ((counted.packets, counted.octets) for counted in (body.from_vm, body.to_vm))
    bridge.deliver(StatisticsPopulated(vsi, from_vm, to_vm))
    return _account_json(bridge, _account(bridge, vsi), now)


def _asked(bridge: Bridge, vsi: str | None, answer: Callable[[float], object]) -> Later:
    """Query the switches; the answer is ready when they have answered all queries that are open by then."""
    bridge.deliver(StatisticsWanted(vsi))
    reads_under_way = bridge.queries.statistics.reads_under_way
    waiting = reads_under_way()
    return Later(lambda: waiting.isdisjoint(reads_under_way()), answer)


def _read(bridge: Bridge, vsi: str, now: float) -> JsonValue:
    account = _account(bridge, vsi)
    if account.away:
        raise RestError(503, f"switch {dpid_text(account.away[0])} is not connected")
    return _account_json(bridge, account, now)


def _account(bridge: Bridge, vsi: str) -> AccountStatus:
    found = bridge.queries.statistics.of(vsi)
    if found is None:
        raise RestError(404, f"no statistics of VSI {vsi}")
    return found


def _account_json(bridge: Bridge, account: AccountStatus, now: float) -> JsonValue:
    return {
        "vsi": account.vsi,
        "type": str(account.type),
        "port": None if account.port is None else str(account.port),
        "extraction": (ExtractionText.NMS if account.carried_by_nms else ExtractionText.CONTROLLER).value,
        "read": None if account.read is None else account.read + bridge.wall_offset,
        "age": None if account.read is None else now - account.read,
        **{
            direction.name.lower(): None if account.totals is None else _totals_json(account.totals[direction])
            for direction in DIRECTIONS
        },
    }


def _totals_json(totals: DirectionTotals) -> JsonValue:
    return {
        **_json(totals.frames.passed),
        "refused": _json(totals.frames.refused),
        "guarded": _json(totals.frames.guarded),
        "base": _json(totals.base),
        "earlier": _json(totals.earlier),
        "rules": None if totals.rules is None else [_rule_json(entry, count) for entry, count in totals.rules],
    }


def _rule_json(entry: StatisticsEntry, count: Count) -> JsonValue:
    return {
        "number": entry.number,
        "what": entry.what.value,
        "action": "allow" if entry.passed else "deny",
        "description": entry.description,
        "line": entry.line or None,
        **_json(count),
    }


def _json(count: Count) -> JsonValue:
    packets, octets = count
    return {"packets": packets, "octets": octets}
