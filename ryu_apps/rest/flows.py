"""The rules that a switch should hold, with the VSIs that need each.

Computed from the state of the bridge, not read from the switch.  Ryu's ``/stats/flow`` reads the switch; both agree
whenever no change is in progress.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Literal, NamedTuple, NotRequired

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.vsi_queries import CookieOwner
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie
from ryu_apps.rest.bridge import Bridge, RestError
from ryu_apps.rest.text import dpid_text, instructions_json, match_json


class OwnerJson(TypedDict):
    """Kind of a cookie, and the numbers that it has."""

    kind: str
    epoch: NotRequired[int]
    vsi_index: NotRequired[int]
    vid: NotRequired[int]
    page: NotRequired[int]
    generation: NotRequired[int]


class RuleJson(TypedDict):
    """A rule; ``text`` is in the notation of ovs-ofctl."""

    id: str
    table: str
    table_id: int
    priority: int
    cookie: str
    owner: OwnerJson
    state: str
    vsis: list[str]
    match: dict[str, int | str]
    actions: list[str]
    text: str


STATES = STAGED, ACTIVE, INFRASTRUCTURE = ("staged", "active", "infrastructure")

#: What the owner number of a cookie stands for.
_OWNERS: dict[CookieKind, Literal["epoch", "vsi_index", "vid"]] = {
    CookieKind.TYPE_BODY: "epoch",
    CookieKind.VSI_BODY: "vsi_index",
    CookieKind.GATE: "vsi_index",
    CookieKind.MEMBERSHIP: "vid",
}


class RulePlace(NamedTuple):
    """Place of a rule in the order in which a frame meets the rules of a switch.

    Attributes:
        falling: the negative priority.
        number: position among the rules of the same table, priority and cookie.
    """

    table: int
    falling: int
    cookie: int
    number: int

    def __str__(self) -> str:
        return f"{self.table}.{-self.falling}.{self.cookie:016x}.{self.number}"


class _Use(NamedTuple):
    """A VSI that needs a rule, and the state of its gate."""

    vsi: str
    state: str


#: Use of a rule that no VSI needs.
_NO_VSI = _Use("", INFRASTRUCTURE)

#: Kind and owner of a cookie -> the VSIs that need the rules with that cookie.
_Uses = dict[CookieOwner, list[_Use]]


def flows(
    bridge: Bridge,
    now: float,
    dpid: int,
    state: str | None = None,
    vsi: str | None = None,
    after: RulePlace | None = None,
) -> Iterator[RuleJson]:
    """The rules of one switch in the order in which a frame meets them.

    A filter selects VSIs: only their rules are shown, and ``state`` and ``vsis`` of a rule are about them alone.  The
    body of a type is shared by VSIs that are staged and VSIs that are active.

    Args:
        state: one of :data:`STATES`.
        vsi: canonical text of a VSIID.
        after: the last rule that the client has.

    Raises:
        RestError: 404, the switch is not configured.
    """
    queries = bridge.queries
    if dpid not in queries.fabric.switches:
        raise RestError(404, f"no switch {dpid_text(dpid)} in the fabric")
    uses = {
        owner: [_Use(use.vsi, ACTIVE if use.active else STAGED) for use in found]
        for owner, found in queries.vsis.rule_uses(dpid).items()
    }
    rules = sorted(queries.vsis.rules(dpid), key=_order)
    # The engine runs between two slices of the answer, so everything that it may change is copied by now.
    chosen = {cookie: _chosen(cookie, uses, state, vsi) for cookie in {rule.cookie for rule in rules}}
    return (
        _rule_json(place, rule, found)
        for place, rule in _placed(rules)
        if (after is None or place > after) and (found := chosen[rule.cookie])
    )


def _order(rule: Rule) -> tuple[int, int, int]:
    return rule.table, -rule.priority, rule.cookie


def _placed(rules: list[Rule]) -> Iterator[tuple[RulePlace, Rule]]:
    for order, alike in groupby(rules, _order):
        yield from ((RulePlace(*order, number), rule) for number, rule in enumerate(alike))


def _chosen(cookie: int, uses: _Uses, state: str | None, vsi: str | None) -> list[_Use]:
    """VSIs that need the rules with a cookie and pass the filters."""
    parsed = parse_cookie(cookie)
    assert parsed is not None, "every desired rule has a cookie of evbridge"
    found = list(uses.get((parsed.kind, parsed.owner), [_NO_VSI]))
    return [use for use in found if vsi in (None, use.vsi) and state in (None, use.state)]


def _rule_json(place: RulePlace, rule: Rule, uses: list[_Use]) -> RuleJson:
    return {
        "id": str(place),
        "table": Table(rule.table).name,
        "table_id": int(rule.table),
        "priority": int(rule.priority),
        "cookie": f"{rule.cookie:#018x}",
        "owner": _owner_json(rule.cookie),
        "state": min(use.state for use in uses),
        "vsis": [use.vsi for use in uses if use.vsi],
        "match": match_json(rule.match),
        "actions": instructions_json(rule),
        "text": rule_text(rule),
    }


def _owner_json(cookie: int) -> OwnerJson:
    parsed = parse_cookie(cookie)
    assert parsed is not None, "every desired rule has a cookie of evbridge"
    owner: OwnerJson = {"kind": parsed.kind.name.lower()}
    if parsed.kind in _OWNERS:
        owner[_OWNERS[parsed.kind]] = parsed.owner
    if parsed.generation:
        owner["page" if parsed.kind is CookieKind.TYPE_BODY else "generation"] = parsed.generation
    return owner
