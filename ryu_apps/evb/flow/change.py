"""Changes of the rules, groups and meters of a switch, and what a switch has after them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from ryu_apps.evb.flow.rule import FIRST_OF_VSIS, OWN_GROUPS, CookieMask, Group, Meter, Rule, RuleKey

#: Bound on the groups that are deleted because they are not wanted any more; more go with the next comparison.
MOST_GROUPS_THAT_GO = 10_000


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class RuleBlock:
    """A run of rules that is compiled once and installed on many switches.

    Compared by identity, so that a driver may keep its serialised form beside it.
    """

    rules: tuple[Rule, ...]

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Additions and deletions at one switch, carried out in this order.

    ``meters`` are written anew and begin at 0; ``counters`` are meters that continue if present.
    ``blocks`` and ``add`` add or overwrite (same key: the old rule is replaced).  ``remove`` deletes strictly
    by key *and* exact cookie, so a rule that a newer owner has overwritten stays.  ``delete_by_cookie`` deletes
    by cookie mask in all tables.  ``delete_meters`` deletes meters, and with a meter every rule that refers to
    it; ``keep_meters``, unless it is None, are the only ids from ``FIRST_OF_VSIS`` on that stay.  A bundle
    cannot delete meters.  ``opened`` are meters that are written when the switch has taken everything else.
    ``keep_groups``, unless it is None, are the only groups out of ``OWN_GROUPS`` that stay; :data:`MOST_GROUPS_THAT_GO`
    go with one change at the most.
    """

    meters: tuple[Meter, ...] = ()
    groups: tuple[Group, ...] = ()
    blocks: tuple[RuleBlock, ...] = ()
    add: tuple[Rule, ...] = ()
    remove: tuple[Rule, ...] = ()
    delete_by_cookie: tuple[CookieMask, ...] = ()
    delete_groups: tuple[int, ...] = ()
    counters: tuple[Meter, ...] = ()
    delete_meters: tuple[int, ...] = ()
    keep_meters: frozenset[int] | None = None
    keep_groups: frozenset[int] | None = None
    opened: tuple[Meter, ...] = ()

    def __bool__(self) -> bool:
        # Field by field: a comparison with NO_CHANGE takes longer, and an Associate asks this of dozens of changes.
        return bool(
            self.add
            or self.remove
            or self.groups
            or self.blocks
            or self.delete_by_cookie
            or self.meters
            or self.delete_groups
            or self.counters
            or self.delete_meters
            or self.opened
            or self.keep_meters is not None
            or self.keep_groups is not None
        )

    def groups_that_go(self, known: Iterable[int]) -> list[int]:
        """The groups that this change deletes: those that it names, and out of those that a switch has."""
        keep = self.keep_groups
        if keep is None:
            return list(self.delete_groups)
        spare = (group_id for group_id in known if group_id in OWN_GROUPS and group_id not in keep)
        return [*self.delete_groups, *islice(spare, MOST_GROUPS_THAT_GO)]

    def meters_that_go(self, known: Iterable[int]) -> list[int]:
        """The meters that this change deletes out of those that a switch has."""
        keep = self.keep_meters
        return [
            meter_id
            for meter_id in known
            if meter_id in self.delete_meters
            or (meter_id >= FIRST_OF_VSIS and keep is not None and meter_id not in keep)
        ]


#: The change that changes nothing.
NO_CHANGE = RuleChange()


@dataclass(slots=True)
class FlowTable:
    """The rules, groups and meters of one switch according to its confirmed changes."""

    rules: dict[RuleKey, Rule] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    meters: dict[int, Meter] = field(default_factory=dict)

    def apply(self, change: RuleChange) -> None:
        """Carry out a change as the switch does."""
        self.meters.update((meter.meter_id, meter) for meter in change.meters)
        self.meters.update((meter.meter_id, meter) for meter in change.counters)
        self.groups.update((group.group_id, group) for group in change.groups)
        for block in change.blocks:
            self.rules.update((rule.key, rule) for rule in block)
        self.rules.update((rule.key, rule) for rule in change.add)
        for rule in change.remove:
            present = self.rules.get(rule.key)
            if present is not None and present.cookie == rule.cookie:
                del self.rules[rule.key]
        for mask in change.delete_by_cookie:
            self.rules = {key: rule for key, rule in self.rules.items() if not mask.covers(rule.cookie)}
        for group_id in change.groups_that_go(list(self.groups)):
            self.groups.pop(group_id, None)
        for meter_id in change.meters_that_go(list(self.meters)):
            del self.meters[meter_id]
            self.rules = {key: rule for key, rule in self.rules.items() if rule.meter != meter_id}
        self.meters.update((meter.meter_id, meter) for meter in change.opened)
