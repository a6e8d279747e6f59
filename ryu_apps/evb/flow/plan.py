"""The smallest change from the rules a switch holds to the rules it should hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ryu_apps.evb.flow.change import NO_CHANGE, RuleChange
from ryu_apps.evb.flow.rule import Rule, RuleKey

#: Rules of one owner in one switch.
RuleSet = dict[RuleKey, Rule]


def rule_set(rules: Iterable[Rule]) -> RuleSet:
    """Index rules by key; a later rule with the same key replaces an earlier one."""
    return {rule.key: rule for rule in rules}


def difference(before: Mapping[RuleKey, Rule], after: Mapping[RuleKey, Rule]) -> RuleChange:
    """The change from ``before`` to ``after``: additions and overwrites, then strict removals."""
    if before == after:
        # Without a look at rules that are the same objects.
        return NO_CHANGE
    return RuleChange(
        add=tuple(rule for key, rule in after.items() if before.get(key) != rule),
        remove=tuple(rule for key, rule in before.items() if key not in after),
    )


def merge(*changes: RuleChange) -> RuleChange:
    """One change in place of several; of two that write the same rule the later one counts."""
    added = rule_set(rule for change in changes for rule in change.add)
    return RuleChange(
        meters=tuple(meter for change in changes for meter in change.meters),
        counters=tuple(meter for change in changes for meter in change.counters),
        groups=tuple(group for change in changes for group in change.groups),
        blocks=tuple(block for change in changes for block in change.blocks),
        add=tuple(added.values()),
        remove=tuple(rule for change in changes for rule in change.remove if rule.key not in added),
        delete_by_cookie=tuple(mask for change in changes for mask in change.delete_by_cookie),
        delete_groups=tuple(group for change in changes for group in change.delete_groups),
        delete_meters=tuple(meter for change in changes for meter in change.delete_meters),
        keep_meters=next((change.keep_meters for change in changes if change.keep_meters is not None), None),
        opened=tuple(meter for change in changes for meter in change.opened),
        keep_groups=next((change.keep_groups for change in changes if change.keep_groups is not None), None),
    )


def joined(*changes: RuleChange) -> RuleChange:
    """Merge changes; the only one that changes anything stays the same object, which may be prepared."""
    some = [change for change in changes if change is not NO_CHANGE and change]
    return some[0] if len(some) == 1 else merge(*some)
