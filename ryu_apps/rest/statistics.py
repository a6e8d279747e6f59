"""Total traffic of VSIs, and the resource by which an NMS populates earlier totals.

An answer is the newest reading with its age.  With ``fresh=1`` the switches are queried first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ryu_apps.evb.bridge.statistics_queries import AccountStatus, Count
from ryu_apps.evb.events.other import StatisticsPopulated, StatisticsWanted
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.services.statistics.entries import StatisticsEntry
from ryu_apps.evb.services.statistics.schema import ExtractionText
from ryu_apps.rest.bridge import Bridge, Later, RestError
from ryu_apps.rest.numbers import INTEGRAL
from ryu_apps.rest.parameters import TypeFilter
from ryu_apps.rest.text import dpid_text


class CountJson(TypedDict):
    """Frames and octets."""

    packets: int
    octets: int


class RuleCountJson(CountJson):
    """Frames that one rule of the policy has met."""

    number: int
    what: str
    action: Literal["allow", "deny"]
    description: str
    line: int | None


class TotalsJson(CountJson):
    """Totals of one direction."""

    refused: CountJson
    guarded: CountJson
    base: CountJson
    earlier: CountJson
    rules: list[RuleCountJson] | None


class AccountJson(TypedDict):
    """Totals of a VSI; null: not read yet."""

    vsi: str
    type: str
    port: str | None
    extraction: str
    read: float | None
    age: float | None
    from_vm: TotalsJson | None
    to_vm: TotalsJson | None


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
) -> Iterator[AccountJson] | Later[Iterator[AccountJson]]:
    """All totals, by VSI: one of each, or of each of its ports if the NMS carries them."""
    if fresh:
        return _asked(bridge, None, lambda later: all_statistics(bridge, later, type=type, after=after))
    return (
        _account_json(bridge, account, now)
        for account in bridge.queries.statistics.all(after)
        if type is None or type.selects(account.type)
    )


def statistics(bridge: Bridge, now: float, vsi: str, fresh: bool = False) -> AccountJson | Later[AccountJson]:
    """The totals of one VSI: of the port where its gate is open, or else the newest ones.

    Raises:
        RestError: 404, it has none; 503, its switch is not connected and cannot be queried.
    """
    account = _account(bridge, vsi)
    if fresh or not account.complete:
        return _asked(bridge, vsi, lambda later: _read(bridge, vsi, later))
    return _account_json(bridge, account, now)


def populate(bridge: Bridge, now: float, vsi: str, body: Base) -> AccountJson:
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


def _read(bridge: Bridge, vsi: str, now: float) -> AccountJson:
    account = _account(bridge, vsi)
    if account.away:
        raise RestError(503, f"switch {dpid_text(account.away[0])} is not connected")
    return _account_json(bridge, account, now)


def _account(bridge: Bridge, vsi: str) -> AccountStatus:
    found = bridge.queries.statistics.of(vsi)
    if found is None:
        raise RestError(404, f"no statistics of VSI {vsi}")
    return found


def _account_json(bridge: Bridge, account: AccountStatus, now: float) -> AccountJson:
    return {
        "vsi": account.vsi,
        "type": str(account.type),
        "port": None if account.port is None else str(account.port),
        "extraction": (ExtractionText.NMS if account.carried_by_nms else ExtractionText.CONTROLLER).value,
        "read": None if account.read is None else account.read + bridge.wall_offset,
        "age": None if account.read is None else now - account.read,
        "from_vm": _totals_json(account, Direction.FROM_VM),
        "to_vm": _totals_json(account, Direction.TO_VM),
    }


def _totals_json(account: AccountStatus, direction: Direction) -> TotalsJson | None:
    if account.totals is None:
        return None
    totals = account.totals[direction]
    return {
        **count_json(totals.frames.passed),
        "refused": count_json(totals.frames.refused),
        "guarded": count_json(totals.frames.guarded),
        "base": count_json(totals.base),
        "earlier": count_json(totals.earlier),
        "rules": None if totals.rules is None else [_rule_json(entry, count) for entry, count in totals.rules],
    }


def _rule_json(entry: StatisticsEntry, count: Count) -> RuleCountJson:
    return {
        "number": entry.number,
        "what": entry.what.value,
        "action": "allow" if entry.passed else "deny",
        "description": entry.description,
        "line": entry.line or None,
        **count_json(count),
    }


def count_json(count: Count) -> CountJson:
    """Return a pair of frames and octets as JSON."""
    packets, octets = count
    return {"packets": packets, "octets": octets}
