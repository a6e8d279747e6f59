"""The order in which rules are removed that a switch should not hold."""

from __future__ import annotations

from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Table, cookie
from ryu_apps.evb.switches.desired_state import DesiredState

BODY, GATE = cookie(CookieKind.TYPE_BODY, 3), cookie(CookieKind.GATE, 5, 2)


def test_gates_are_removed_first_and_an_access_list_from_its_lowest_rule_on() -> None:
    """Open vSwitch looks at all rules of a subtable when that with the highest priority goes."""
    acl = [Rule(Table.ACL_TO, 60000 - place, match(metadata=place), BODY) for place in range(5)]
    gate = Rule(Table.FORWARD, 60000, match(eth_dst=1), GATE)
    removed = DesiredState({}, (), ()).removal([*acl, gate]).remove
    assert removed == (gate, *reversed(acl))
