"""From what a switch holds to what it should hold: the smallest change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ryu_apps.evb.flow.rule import Change, Rule, RuleKey

#: Rules of one owner in one switch.
RuleSet = dict[RuleKey, Rule]


def rule_set(rules: Iterable[Rule]) -> RuleSet:
    """Index rules by key; a later rule with the same key replaces an earlier one."""
    return {rule.key: rule for rule in rules}


def difference(before: Mapping[RuleKey, Rule], after: Mapping[RuleKey, Rule]) -> Change:
    """What turns ``before`` into ``after``: additions and overwrites, then strict removals."""
    return Change(
        add=tuple(rule for key, rule in after.items() if before.get(key) != rule),
        remove=tuple(rule for key, rule in before.items() if key not in after),
    )


def merge(*changes: Change) -> Change:
    """One change that does all of them; where two write the same rule the later one wins."""
    added = rule_set(rule for change in changes for rule in change.add)
    return Change(
        meters=tuple(meter for change in changes for meter in change.meters),
        counters=tuple(meter for change in changes for meter in change.counters),
        groups=tuple(group for change in changes for group in change.groups),
        blocks=tuple(block for change in changes for block in change.blocks),
        add=tuple(added.values()),
        remove=tuple(rule for change in changes for rule in change.remove if rule.key not in added),
        sweep=tuple(mask for change in changes for mask in change.sweep),
        drop_groups=tuple(group for change in changes for group in change.drop_groups),
        drop_meters=tuple(meter for change in changes for meter in change.drop_meters),
        keep_counters=next((one.keep_counters for one in changes if one.keep_counters is not None), None),
    )
