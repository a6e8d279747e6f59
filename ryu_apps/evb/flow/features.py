"""Features that rules and groups need of a switch, and those that it says it has (OpenFlow 1.3.5, 7.3.5.5).

Names of fields are those of ``FIELD_SIZES``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ryu_apps.evb.flow.actions import (
    Action,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    SetField,
)
from ryu_apps.evb.flow.rule import Group, GroupType, Rule

_ACTION_NAMES: dict[type[Action], str] = {
    Output: "output",
    OutputGroup: "group",
    SetField: "set_field",
    PushVlan: "push_vlan",
    PopVlan: "pop_vlan",
}


@dataclass(slots=True)
class TableFeatures:
    """Features of one table.

    Attributes:
        matched, masked: fields that rules match, and that they match with a mask.
        wildcards: fields that some rules match and others do not.
        instructions: ``meter``, ``apply_actions``, ``write_metadata``, ``goto_table``.
        next_tables: tables that rules lead to.
        actions: ``output``, ``group``, ``set_field``, ``push_vlan``, ``pop_vlan``.
        set_fields: fields that actions set.
    """

    matched: set[str] = field(default_factory=set)
    masked: set[str] = field(default_factory=set)
    wildcards: set[str] = field(default_factory=set)
    instructions: set[str] = field(default_factory=set)
    next_tables: set[int] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    set_fields: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class SwitchFeatures:
    """Features of a switch as it says; a part that it does not tell is None.

    Attributes:
        tables: by number.
        group_types: types of groups.
        meters: number of meters.
        drops_fragments: it has been told to drop IP fragments, and says that it does.
    """

    tables: dict[int, TableFeatures] | None = None
    group_types: frozenset[GroupType] | None = None
    meters: int | None = None
    drops_fragments: bool = True


def needed(rules: Iterable[Rule]) -> dict[int, TableFeatures]:
    """The features of each table that some rules need."""
    found: defaultdict[int, TableFeatures] = defaultdict(TableFeatures)
    omitted: defaultdict[int, list[set[str]]] = defaultdict(list)
    for rule in rules:
        table = found[rule.table]
        names = {test.name for test in rule.match}
        omitted[rule.table].append(names)
        table.matched |= names
        table.masked |= {test.name for test in rule.match if test.mask is not None}
        table.instructions |= _instructions(rule)
        table.next_tables |= set() if rule.goto is None else {int(rule.goto)}
        table.actions |= {_ACTION_NAMES.get(type(action), type(action).__name__) for action in rule.apply}
        table.set_fields |= {action.name for action in rule.apply if isinstance(action, SetField)}
    for number, table in found.items():
        table.wildcards = {name for name in table.matched if any(name not in names for names in omitted[number])}
    return dict(found)


def _instructions(rule: Rule) -> set[str]:
    present = {
        "meter": rule.meter is not None,
        "apply_actions": bool(rule.apply),
        "write_metadata": rule.metadata is not None,
        "goto_table": rule.goto is not None,
    }
    return {name for name, there in present.items() if there}


def lacking(features: SwitchFeatures, rules: Iterable[Rule], groups: Iterable[Group], meters: int) -> str | None:
    """Return what a switch lacks for some rules, groups and a number of meters; None: nothing that it tells of."""
    return next(_lacking(features, rules, groups, meters), None)


def _lacking(features: SwitchFeatures, rules: Iterable[Rule], groups: Iterable[Group], meters: int) -> Iterator[str]:
    if features.tables is not None:
        # Some switches list no field as maskable and take masks nevertheless.
        masks_reported = any(table.masked for table in features.tables.values())
        for number, wanted in sorted(needed(rules).items()):
            if not masks_reported:
                wanted.masked.clear()
            yield from _lacking_in(number, wanted, features.tables.get(number))
    if features.group_types is not None:
        types = {group.type for group in groups} - features.group_types
        yield from (f"it has no groups of type {missing.name.lower()}" for missing in sorted(types, key=str))
    if features.meters is not None and features.meters < meters:
        yield f"it has {features.meters} meters, {meters} are needed"
    if not features.drops_fragments:
        yield "it does not drop IP fragments"


def _lacking_in(number: int, wanted: TableFeatures, had: TableFeatures | None) -> Iterator[str]:
    if had is None:
        yield f"it has no table {number}"
        return
    for what, of_rules, of_switch in (
        ("match", wanted.matched, had.matched),
        ("mask", wanted.masked, had.masked),
        ("leave out", wanted.wildcards, had.wildcards),
        ("carry out", wanted.instructions, had.instructions),
        ("apply", wanted.actions, had.actions),
        ("set", wanted.set_fields, had.set_fields),
    ):
        if missing := sorted(of_rules - of_switch):
            yield f"table {number} cannot {what} {', '.join(missing)}"
    if unreachable := sorted(wanted.next_tables - had.next_tables):
        yield f"table {number} does not lead to table {', '.join(map(str, unreachable))}"
