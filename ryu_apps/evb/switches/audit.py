"""Audits: periodic comparisons of each switch with what it should hold; differences are corrected.

Someone with a shell may delete or alter rules, and the switch may not report it.  An audit begins when nothing of ours
is under way to the switch.  It reads and compares in portions, so changes may be sent meanwhile: what they concern is
left to the next audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ryu_apps.evb.events.effect import Apply, ReadRules
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.flow.portions import go_on, in_parts
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, of_kind
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.tokens import TokenOwner, TokenTable

#: Seconds between audits of a switch, at least; of a processor for each rule that is read, composed and compared; and
#: the share of a processor that audits of all switches may have in the long run.  Changes by others are reported by the
#: switches themselves, so an audit finds only what they do not report.
INTERVAL, COST, SHARE = 30.0, 12e-6, 0.04
#: Rules that could be composed while a portion of them is compared.
_COMPOSED = 10


@dataclass(eq=False, slots=True)
class _Question:
    """The audit of a switch that is under way.

    Attributes:
        token: of the read.
        learns: cookies of rules that are not compared, as of the beginning.
        since: changes that were sent meanwhile.
        work: the comparison, in steps; None while the switch is being read.
        drift: the correction, at the end.
    """

    token: int
    learns: frozenset[int]
    since: list[RuleChange] = field(default_factory=list)
    work: Iterator[int] | None = None
    drift: RuleChange = RuleChange()

    def without_changed(self, drift: RuleChange) -> RuleChange:
        """Leave out of a correction what was changed since the audit began."""
        if not self.since or not drift:
            return drift
        changed = {rule.key for change in self.since for rule in (*change.add, *change.remove)}
        changed.update(rule.key for change in self.since for block in change.blocks for rule in block)
        deleted = [mask for change in self.since for mask in change.delete_by_cookie]

        def stays(rule: Rule) -> bool:
            return rule.key not in changed and not any(mask.covers(rule.cookie) for mask in deleted)

        return RuleChange(add=tuple(filter(stays, drift.add)), remove=tuple(filter(stays, drift.remove)))


@dataclass(slots=True)
class _Traffic:
    """Traffic with one switch: tokens of changes that are not answered, and the audit that is under way."""

    unsettled: set[int] = field(default_factory=set)
    question: _Question | None = None


def _drift(wanted: RuleSet, missing: list[Rule], others: RuleSet) -> RuleChange:
    """Return the correction of a switch.

    Args:
        missing: wanted rules that were not shown exactly so.
        others: rules that it shows beside those that are wanted exactly so.
    """
    absent = [rule for rule in missing if rule.key not in others]
    altered = [wanted[key] for key, rule in others.items() if key in wanted and wanted[key] != rule]
    return RuleChange(add=(*absent, *altered), remove=tuple(rule for key, rule in others.items() if key not in wanted))


class Audit:
    """Audits of all switches, and the changes that are under way to them."""

    def __init__(self, wanted: DesiredRules, tokens: TokenTable, owner: TokenOwner) -> None:
        """
        Args:
            wanted: the desired state of a switch.
            owner: component that the answers of the switches are for.
        """
        self._wanted = wanted
        self._tokens = tokens
        self._owner = owner
        self._traffic: dict[int, _Traffic] = {}
        self._sizes: dict[int, int] = {}

    @property
    def interval(self) -> float:
        """Seconds between two audits of a switch: the longer, the more rules all switches had at their last audits."""
        return max(INTERVAL, COST / SHARE * sum(self._sizes.values()))

    def reset(self, dpid: int) -> None:
        """Forget what was under way: a switch has connected or disconnected."""
        if (question := self._of(dpid).question) is not None:
            self._tokens.give_back(question.token)
        self._traffic[dpid] = _Traffic()
        self._sizes.pop(dpid, None)

    def sent(self, apply: Apply) -> None:
        """Note that a change is sent."""
        traffic = self._of(apply.dpid)
        if traffic.question is not None:
            traffic.question.since.append(apply.change)
        if apply.token:
            traffic.unsettled.add(apply.token)

    def settled(self, dpid: int, token: int) -> None:
        """Note that a change was confirmed or rejected."""
        self._of(dpid).unsettled.discard(token)

    def busy(self, dpid: int) -> bool:
        """True if changes are under way."""
        return dpid in self._traffic and bool(self._traffic[dpid].unsettled)

    def ask(self, dpid: int) -> ReadRules | None:
        """Begin an audit; None if changes, or the last audit, are under way."""
        traffic = self._of(dpid)
        if traffic.unsettled or traffic.question is not None:
            return None
        token = self._tokens.take(self._owner)
        traffic.question = question = _Question(token, self._wanted.learns(dpid))
        # What a switch has learnt for VSIs is not compared; 10,000 connections of one are 40,000 rules.
        learnt = of_kind(CookieKind.STATE)
        expected = tuple(sorted(filter(learnt.covers, question.learns)))
        return ReadRules(dpid, token, OURS, left_out=learnt, expected=expected)

    def compare(self, dpid: int, token: int, shown: ShownRules, meters: frozenset[Meter] | None) -> bool:
        """Begin to compare a switch that has shown all; returns False if there is nothing to compare.

        Args:
            meters: that it shows; None: it did not say.
        """
        question = self._of(dpid).question
        if question is None or question.token != token:
            return False
        question.work = self._comparison(dpid, question, shown, meters)
        return True

    def go_on(self, dpid: int) -> bool:
        """Compare the next portion; returns False at the end."""
        question = self._of(dpid).question
        return question is not None and question.work is not None and go_on(question.work)

    def take_drift(self, dpid: int) -> RuleChange:
        """End the audit of a switch that is compared; returns the correction, empty if it holds what it should."""
        traffic = self._of(dpid)
        question = traffic.question
        if question is None or question.work is None:
            return RuleChange()
        traffic.question = None
        return question.drift

    def drop(self, dpid: int, token: int) -> None:
        """End the audit of a switch that has not answered."""
        traffic = self._of(dpid)
        if traffic.question is not None and traffic.question.token == token:
            traffic.question = None

    def _comparison(
        self, dpid: int, question: _Question, shown: ShownRules, meters: frozenset[Meter] | None
    ) -> Iterator[int]:
        """Compare; yields the number of rules of each step, as many as could be composed meanwhile."""
        wanted = yield from self._wanted.in_steps(dpid)
        self._sizes[dpid] = max(len(wanted.rules), len(shown))
        missing: list[Rule] = []
        for part in in_parts(wanted.rules.values()):
            missing += shown.take(part)
            yield _COMPOSED
        others: RuleSet = {}
        for rule in shown.left():
            if rule.cookie not in question.learns and rule.cookie not in wanted.learns:
                others[rule.key] = rule
            yield 1
        drift = question.without_changed(_drift(wanted.rules, missing, others))
        question.drift = replace(wanted.removal(drift.remove), add=drift.add)
        if meters is not None and not question.since:
            spare = tuple(sorted(wanted.spare_meters(meters)))
            question.drift = replace(question.drift, meters=wanted.missing_meters(meters), delete_meters=spare)

    def _of(self, dpid: int) -> _Traffic:
        if (traffic := self._traffic.get(dpid)) is None:
            traffic = self._traffic[dpid] = _Traffic()
        return traffic
