"""Desired state of a switch, and the differences of what it shows to that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import FIRST_OF_VSIS, Group, Meter, Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.pipeline.base_meters import is_base_meter
from ryu_apps.evb.pipeline.metered_gate import gate_number, shut
from ryu_apps.evb.pipeline.tables import CookieKind, owned_by, parse_cookie
from ryu_apps.evb.switches.shown_gates import kind_of


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything a switch should hold.

    Attributes:
        learns: cookies of rules that it may write by itself, or was given because another switch had, or may end by
            itself.
        counters: meters that its rules count with; those that are there go on counting.
        kept: meters of VSIs that stay besides them: until they have been read, or no cached flow uses them.
        own: by program, what its own rules were composed from, and these.
    """

    rules: RuleSet
    groups: tuple[Group, ...]
    meters: tuple[Meter, ...]
    learns: frozenset[int] = frozenset()
    counters: tuple[Meter, ...] = ()
    kept: frozenset[int] = frozenset()
    own: Mapping[object, tuple[object, tuple[Rule, ...]]] = field(default_factory=dict)

    @property
    def keep_meters(self) -> frozenset[int]:
        """The meters of VSIs that stay."""
        return self.kept | {meter.meter_id for meter in (*self.meters, *self.counters)}

    def spare_meters(self, shown: Iterable[Meter]) -> frozenset[int]:
        """Return the meters that a switch has in vain; those of gates never go."""
        own = {meter.meter_id for meter in shown if meter.meter_id >= FIRST_OF_VSIS or is_base_meter(meter)}
        return frozenset(own - self.keep_meters)

    def missing_meters(self, shown: Iterable[Meter]) -> tuple[Meter, ...]:
        """Return the meters that a switch lacks, or has with other rates; with those of gates that are open in vain."""
        present = frozenset(shown)
        known = {meter.meter_id for meter in self.meters}
        idle = ((meter, gate_number(meter.meter_id)) for meter in present if meter.meter_id not in known)
        in_vain = (shut(number) for meter, number in idle if number is not None and meter != shut(number))
        return (*in_vain, *(meter for meter in self.meters if meter not in present))

    @property
    def keep_groups(self) -> frozenset[int]:
        """The groups of evbridge that stay."""
        return frozenset(group.group_id for group in self.groups)

    def judged(self, shown: ShownRules) -> RuleSet:
        """Of the rules that a switch shows, those that are compared with what it should hold.

        They are taken out of what it has shown.
        """
        held = dict(self.rules)
        for rule in shown.take(self.rules.values()):
            del held[rule.key]
        # Behind the others: of two with the same key the one that is not as it should be is written again.
        return held | rule_set(rule for rule in shown.left() if rule.cookie not in self.learns)

    def removal(self, rules: Iterable[Rule]) -> RuleChange:
        """Take rules out: gates before the bodies that they lead to, and behind each body what it has taught.

        A body teaches until it is gone: of what was learnt since the switch was read no rule is known, only the cookie.
        Lower priorities go first: where the highest one of a table goes, Open vSwitch looks at all rules for the next.
        """
        gone = sorted(rules, key=lambda rule: (kind_of(rule) is not CookieKind.GATE, rule.priority))
        taught = dict.fromkeys(
            owned_by(CookieKind.STATE, owner.owner, owner.generation)
            for rule in gone
            if (owner := parse_cookie(rule.cookie)) is not None and owner.kind is CookieKind.VSI_BODY
        )
        return RuleChange(
            remove=tuple(gone), delete_by_cookie=tuple(mask for mask in taught if mask.cookie not in self.learns)
        )
