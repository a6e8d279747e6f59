"""Total traffic of VSIs, and the resource by which an NMS populates earlier totals.

An answer is the newest reading with its age.  With ``fresh=1`` the switches are queried first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pydantic import Field

from ryu_apps.evb.events import StatisticsPopulated, StatisticsWanted
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.services.statistics.entries import DIRECTIONS, StatisticsEntry, entries, statistics_of
from ryu_apps.evb.services.statistics.schema import ExtractionText
from ryu_apps.evb.vsi.statistics.totals import Account, AccountKey, CounterValue
from ryu_apps.rest.bridge import Bridge, JsonValue, Later, RestError
from ryu_apps.rest.text import dpid_text

_Number = Annotated[int, Field(ge=0, lt=1 << 63)]


class Counted(Strict):
    """Frames and octets of one direction."""

    packets: _Number
    octets: _Number


class Base(Strict):
    """Totals of the earlier ports of a VSI."""

    from_vm: Counted
    to_vm: Counted


def all_statistics(bridge: Bridge, now: float, fresh: bool = False) -> Iterator[JsonValue] | Later:
    """All totals, oldest first: one of each VSI, or of each of its ports if the NMS carries them."""
    if fresh:
        return _asked(bridge, None, lambda later: all_statistics(bridge, later))
    accounts = list(bridge.engine.counters.accounts)
    return (_account_json(bridge, account, now) for account in accounts)


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
    if account.port is None:
        raise RestError(409, f"the controller carries the totals of VSI type {account.type}: extraction: controller")
    if _in_force(bridge, vsi) is None:
        raise RestError(409, f"VSI {vsi} is active nowhere")
    from_vm, to_vm = ((counted.packets, counted.octets) for counted in (body.from_vm, body.to_vm))
    bridge.deliver(StatisticsPopulated(vsi, from_vm, to_vm))
    return _account_json(bridge, _account(bridge, vsi), now)


def _asked(bridge: Bridge, vsi: str | None, answer: Callable[[float], object]) -> Later:
    """Query the switches; the answer is ready when they have answered all queries that are open by then."""
    unanswered = bridge.engine.counters.open
    bridge.deliver(StatisticsWanted(vsi))
    waiting = frozenset(unanswered)
    return Later(lambda: waiting.isdisjoint(unanswered), answer)


def _read(bridge: Bridge, vsi: str, now: float) -> JsonValue:
    account = _account(bridge, vsi)
    away = [tally.dpid for tally in account.tallies if tally.dpid not in bridge.engine.lifecycle.up]
    if away:
        raise RestError(503, f"switch {dpid_text(away[0])} is not connected")
    return _account_json(bridge, account, now)


def _in_force(bridge: Bridge, vsi: str) -> Account | None:
    known = bridge.engine.registry.named(vsi)
    return bridge.engine.counters.account_in_force(known) if known is not None else None


def _account(bridge: Bridge, vsi: str) -> Account:
    found = _in_force(bridge, vsi) or next(reversed(bridge.engine.counters.accounts.of(vsi)), None)
    if found is None:
        raise RestError(404, f"no statistics of VSI {vsi}")
    return found


def _account_json(bridge: Bridge, account: Account, now: float) -> JsonValue:
    known = bridge.engine.registry.named(account.vsi)
    vsi_type = bridge.engine.policies.types.get(account.type)
    wanted = statistics_of(vsi_type) if vsi_type is not None else None
    listed = entries(vsi_type) if vsi_type is not None and wanted is not None and wanted.per_rule else None
    here = account.port or (known.owner.port if known is not None and known.owner is not None else None)
    return {
        "vsi": account.vsi,
        "type": str(account.type),
        "port": None if here is None else str(here),
        "extraction": (ExtractionText.CONTROLLER if account.port is None else ExtractionText.NMS).value,
        "read": None if account.read is None else account.read + bridge.wall_offset,
        "age": None if account.read is None else now - account.read,
        **{direction.name.lower(): _direction_json(account, direction, listed) for direction in DIRECTIONS},
    }


def _direction_json(
    account: Account, direction: Direction, listed: tuple[StatisticsEntry, ...] | None
) -> JsonValue | None:
    if not account.complete:
        return None
    return {
        **_json(account.total(direction)),
        "refused": _json(account.refused(direction)),
        "guarded": _json(account.guarded(direction)),
        "base": _json(account.base.get(direction, CounterValue())),
        "earlier": _json(account.earlier(direction)),
        "rules": None
        if listed is None
        else [_rule_json(account, rule) for rule in listed if rule.direction is direction],
    }


def _rule_json(account: Account, entry: StatisticsEntry) -> JsonValue:
    key = AccountKey(account.type, entry.direction, entry.number, entry.passed)
    return {
        "number": entry.number,
        "what": entry.what.value,
        "action": "allow" if entry.passed else "deny",
        "description": entry.description,
        "line": entry.line or None,
        **_json(account.counts.get(key, CounterValue())),
    }


def _json(count: CounterValue) -> JsonValue:
    return {"packets": count.packets, "octets": count.octets}
