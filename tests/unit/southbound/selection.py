"""The rules that a switch selects for a request."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.flow.match import FieldMatch
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound.messages import ALL_TABLES, Query


def brought_back(query: Query, rules: Iterable[Rule]) -> list[Rule]:
    """The rules that a request returns (OpenFlow 1.3.5, 7.3.5.2)."""
    asked, table, wanted_fields = query

    def agrees(rule: Rule, wanted: FieldMatch) -> bool:
        value, mask = next(((has.value, has.mask) for has in rule.match if has.name == wanted.name), (0, 0))
        if wanted.mask is None:
            return (value, mask) == (wanted.value, None)
        return (mask is None or mask & wanted.mask == wanted.mask) and value & wanted.mask == wanted.value

    return [
        rule
        for rule in rules
        if table in (ALL_TABLES, rule.table)
        and all(agrees(rule, wanted) for wanted in wanted_fields)
        and asked.covers(rule.cookie)
    ]
