"""Features that rules and groups need, and the first one that a switch lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import (
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    SetField,
)
from ryu_apps.evb.flow.features import SwitchFeatures, TableFeatures, lacking, needed
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)

RULES = (
    Rule(10, 1, match(in_port=1, metadata=(1, 3)), 7, (PushVlan(), SetField("vlan_vid", 5)), (1, 1), 20, meter=4),
    Rule(10, 1, match(in_port=2), 7, (PopVlan(), OutputGroup(9), Output(3))),
    Rule(20, 1, (), 7),
)
GROUPS = (Group(9, GroupType.ALL, (Bucket((Output(1),)),)),)
ENOUGH = {
    10: TableFeatures(
        matched={"in_port", "metadata"},
        masked={"metadata"},
        wildcards={"metadata"},
        instructions={"meter", "apply_actions", "write_metadata", "goto_table"},
        next_tables={20},
        actions={"push_vlan", "pop_vlan", "set_field", "group", "output"},
        set_fields={"vlan_vid"},
    ),
    20: TableFeatures(),
}
ALL = SwitchFeatures(ENOUGH, frozenset({GroupType.ALL}), 1)


def test_needs_of_rules_by_table() -> None:
    assert needed(RULES) == ENOUGH


def test_a_switch_that_tells_nothing_is_tried() -> None:
    assert lacking(SwitchFeatures(), RULES, GROUPS, 1) is None
    assert lacking(ALL, RULES, GROUPS, 1) is None


@pytest.mark.parametrize(
    ("part", "left", "reason"),
    [
        ("matched", {"metadata"}, "table 10 cannot match in_port"),
        ("masked", {"in_port"}, "table 10 cannot mask metadata"),
        ("wildcards", set(), "table 10 cannot leave out metadata"),
        ("instructions", {"apply_actions", "goto_table"}, "table 10 cannot carry out meter, write_metadata"),
        ("next_tables", {30}, "table 10 does not lead to table 20"),
        ("actions", {"output", "set_field", "group"}, "table 10 cannot apply pop_vlan, push_vlan"),
        ("set_fields", {"eth_dst"}, "table 10 cannot set vlan_vid"),
    ],
)
def test_each_feature_of_a_table_that_is_missing_is_a_reason(part: str, left: set[Any], reason: str) -> None:
    tables = {**ENOUGH, 10: replace(ENOUGH[10], **{part: left})}
    assert lacking(replace(ALL, tables=tables), RULES, GROUPS, 1) == reason


def test_a_missing_table_group_type_meter_and_fragment_mode_are_reasons() -> None:
    assert lacking(replace(ALL, tables={10: ENOUGH[10]}), RULES, GROUPS, 1) == "it has no table 20"
    assert lacking(replace(ALL, group_types=frozenset()), RULES, GROUPS, 1) == "it has no groups of type all"
    assert lacking(ALL, RULES, GROUPS, 2) == "it has 1 meters, 2 are needed"
    assert lacking(replace(ALL, drops_fragments=False), RULES, GROUPS, 1) == "it does not drop IP fragments"


def test_a_switch_that_lists_no_field_as_maskable_is_tried_with_masks() -> None:
    tables = {number: replace(table, masked=set()) for number, table in ENOUGH.items()}
    assert lacking(replace(ALL, tables=tables), RULES, GROUPS, 1) is None
