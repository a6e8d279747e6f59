"""Does a switch still hold what it should?  Asked now and then; what has drifted is put right.

Somebody with a shell may delete or alter a rule behind our back.  An audit reads a switch that has
nothing of ours under way, and its answer counts only if nothing was sent meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ryu_apps.evb.events import Apply, ReadRules
from ryu_apps.evb.flow.plan import difference
from ryu_apps.evb.flow.rule import Rule, RuleChange
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.switches.bringup import DesiredState

#: Seconds between audits of a switch.
INTERVAL = 30.0


@dataclass(slots=True)
class _Traffic:
    """What goes on between us and one switch: changes sent so far, those not settled, an open question."""

    sent: int = 0
    unsettled: set[int] = field(default_factory=set)
    question: tuple[int, int] | None = None


class Audit:
    """Watches changes go by, and knows when a comparison means something."""

    def __init__(self, wanted: Callable[[int], DesiredState], next_token: Callable[[], int]) -> None:
        self._wanted = wanted
        self._next_token = next_token
        self._traffic: dict[int, _Traffic] = {}

    def reset(self, dpid: int) -> None:
        """A switch has connected or gone: nothing is under way."""
        self._traffic[dpid] = _Traffic()

    def sent(self, apply: Apply) -> None:
        """A change goes out."""
        traffic = self._traffic.setdefault(apply.dpid, _Traffic())
        traffic.sent += 1
        if apply.token:
            traffic.unsettled.add(apply.token)

    def settled(self, dpid: int, token: int) -> None:
        """A change was confirmed or rejected."""
        self._traffic.setdefault(dpid, _Traffic()).unsettled.discard(token)

    def busy(self, dpid: int) -> bool:
        """Whether changes are under way."""
        return dpid in self._traffic and bool(self._traffic[dpid].unsettled)

    def ask(self, dpid: int) -> ReadRules | None:
        """Begin an audit; None if changes are under way."""
        traffic = self._traffic.setdefault(dpid, _Traffic())
        if traffic.unsettled:
            return None
        token = self._next_token()
        traffic.question = token, traffic.sent
        return ReadRules(dpid, token, OURS)

    def compare(self, dpid: int, token: int, rules: Iterable[Rule]) -> RuleChange | None:
        """What puts the switch right; an empty change: it holds what it should; None: not our question."""
        traffic = self._traffic.setdefault(dpid, _Traffic())
        if traffic.question is None or traffic.question[0] != token:
            return None
        undisturbed = traffic.question[1] == traffic.sent
        traffic.question = None
        if not undisturbed:
            return RuleChange()
        wanted = self._wanted(dpid)
        drift = difference(wanted.judged(rules), wanted.rules)
        return replace(wanted.removal(drift.remove), add=drift.add)
