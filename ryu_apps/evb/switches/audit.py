"""Audits: periodic comparisons of each switch with what it should hold; differences are corrected.

Someone with a shell may delete or alter rules, and the switch may not report it.  An audit reads a switch that has
nothing of ours under way, and its answer counts only if nothing was sent meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ryu_apps.evb.events import Apply, ReadRules
from ryu_apps.evb.flow.plan import difference
from ryu_apps.evb.flow.rule import FIRST_OF_VSIS, Meter, Rule, RuleChange
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.switches.bringup import DesiredState
from ryu_apps.evb.tokens import TokenOwner, TokenTable

#: Seconds between audits of a switch.
INTERVAL = 30.0


@dataclass(slots=True)
class _Traffic:
    """Traffic with one switch: number of changes sent, tokens of those not answered, the pending audit.

    ``question`` is the token of the read and the number of changes sent before it.
    """

    sent: int = 0
    unsettled: set[int] = field(default_factory=set)
    question: tuple[int, int] | None = None


class Audit:
    """Observer of the changes of each switch: a comparison is meaningful only while there is none."""

    def __init__(self, wanted: Callable[[int], DesiredState], tokens: TokenTable, owner: TokenOwner) -> None:
        """
        Args:
            wanted: the desired state of a switch.
            owner: component that the answers of the switches are for.
        """
        self._wanted = wanted
        self._tokens = tokens
        self._owner = owner
        self._traffic: dict[int, _Traffic] = {}

    def reset(self, dpid: int) -> None:
        """Forget what was under way: a switch has connected or disconnected."""
        self._drop_question(self._of(dpid))
        self._traffic[dpid] = _Traffic()

    def sent(self, apply: Apply) -> None:
        """Note that a change is sent."""
        traffic = self._of(apply.dpid)
        traffic.sent += 1
        if apply.token:
            traffic.unsettled.add(apply.token)

    def settled(self, dpid: int, token: int) -> None:
        """Note that a change was confirmed or rejected."""
        self._of(dpid).unsettled.discard(token)

    def busy(self, dpid: int) -> bool:
        """True if changes are under way."""
        return dpid in self._traffic and bool(self._traffic[dpid].unsettled)

    def ask(self, dpid: int) -> ReadRules | None:
        """Begin an audit; None if changes are under way."""
        traffic = self._of(dpid)
        if traffic.unsettled:
            return None
        self._drop_question(traffic)
        token = self._tokens.take(self._owner)
        traffic.question = token, traffic.sent
        return ReadRules(dpid, token, OURS)

    def compare(self, dpid: int, token: int, rules: Iterable[Rule], meters: frozenset[Meter] | None) -> RuleChange:
        """Return the change that corrects the switch; empty if it holds what it should, or if the answer is too old.

        Args:
            meters: that it shows; None: it did not say.
        """
        traffic = self._of(dpid)
        if traffic.question is None or traffic.question[0] != token:
            return RuleChange()
        undisturbed = traffic.question[1] == traffic.sent
        traffic.question = None
        if not undisturbed:
            return RuleChange()
        wanted = self._wanted(dpid)
        drift = difference(wanted.judged(rules), wanted.rules)
        correction = replace(wanted.removal(drift.remove), add=drift.add)
        if meters is None:
            return correction
        spare = {meter.meter_id for meter in meters if meter.meter_id >= FIRST_OF_VSIS} - wanted.keep_meters
        return replace(correction, meters=wanted.missing_meters(meters), delete_meters=tuple(sorted(spare)))

    def _of(self, dpid: int) -> _Traffic:
        return self._traffic.setdefault(dpid, _Traffic())

    def _drop_question(self, traffic: _Traffic) -> None:
        if traffic.question is not None:
            self._tokens.give_back(traffic.question[0])
