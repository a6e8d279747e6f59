"""Comparisons of switches with what they should hold: after refusals, after changes by others, and audits.

A switch that is compared is brought up once more: it is read, and the difference is written.  Until then no change is
sent to it step by step; what VSIs need meanwhile is part of the comparison.
"""

from __future__ import annotations

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.switches import RulesDrifted, SwitchChangedByOthers, SwitchRefusedRules
from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.events.switch import SwitchAltered
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.switches.audit import Audit
from ryu_apps.evb.switches.bringup import Bringup, Readiness, SwitchState
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.switches.recovery import Recovery
from ryu_apps.evb.switches.repairs import Repairs
from ryu_apps.evb.tokens import TokenOwner, TokenTable


class Comparisons(TokenOwner):
    """Comparisons of all switches.

    Attributes:
        audit: periodic comparisons, and the changes under way.
        repairs: times of comparisons after changes by something else.
        drifted: rules that were corrected.
    """

    def __init__(
        self,
        wanted: DesiredRules,
        bringup: Bringup,
        recovery: Recovery,
        requests: Associations,
        up: set[int],
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        self.audit = Audit(wanted, tokens, self)
        self.repairs = Repairs()
        self.drifted = 0
        self._bringup = bringup
        self._recovery = recovery
        self._requests = requests
        self._up = up
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda

    # --- comparisons ---
    def compare(self, dpid: int, now: float) -> None:
        """Compare a switch as soon as nothing is under way to it."""
        if self._bringup.ready(dpid):
            self._suspend(dpid, now)
            self.compare_held(dpid, now)

    def compare_held(self, dpid: int, now: float) -> None:
        """Begin the comparison of a suspended switch if nothing is under way to it.

        A change that was sent earlier may arrive later than one that a comparison asks for.
        """
        if self._bringup.held(dpid, now) and not self.audit.busy(dpid):
            self.begin(dpid)

    def begin(self, dpid: int) -> None:
        """Read a switch, to bring it up once more."""
        state = self._bringup.switches[dpid]
        self._effects.put(self._bringup.connected(dpid, state.ports, self._recovery.patience(dpid), state.early))

    def _suspend(self, dpid: int, until: float) -> None:
        """Send nothing to a switch step by step until it has been compared, which is not before a time."""
        self._up.discard(dpid)
        self._bringup.hold(dpid, until)

    # --- answers ---
    def refused(self, dpid: int, reason: str, now: float) -> None:
        """Read a switch that has refused what it should have taken.

        It counts as up until :meth:`answered`: what follows from the refusal is still sent step by step.
        """
        if self._bringup.ready(dpid):
            self._effects.put(SwitchRefusedRules(dpid, reason))
            self._bringup.hold(dpid, now)
            self.compare_held(dpid, now)

    def answered(self, dpid: int, now: float) -> None:
        """Process the end of a change, after its owner: a comparison may have waited for it."""
        if not self._bringup.ready(dpid):
            self._up.discard(dpid)
        self.compare_held(dpid, now)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process the refusal of a correction or a read, or of a change without an owner."""
        self.audit.drop(dpid, token)
        self.refused(dpid, reason, now)

    # --- audits ---
    def begin_audit(self, dpid: int, now: float) -> None:
        """Read a switch for an audit, unless it holds rules that stations may yet claim."""
        if not self._bringup.ready(dpid):
            return
        question = None if self._bringup.switches[dpid].unclaimed else self.audit.ask(dpid)
        if question is not None:
            self._effects.put(question)
        self._agenda.set((Chore.AUDIT, dpid), now + self.audit.interval)

    def switch_read(self, dpid: int, token: int, shown: ShownRules, now: float) -> None:
        """Begin to compare what an audit has read."""
        if self.audit.compare(dpid, token, shown, self._bringup.shown_meters(dpid)):
            self._agenda.set((Chore.COMPARE, dpid), now)

    def go_on(self, dpid: int, now: float) -> None:
        """Compare a portion of what an audit has read; correct, in the end, what it has found."""
        if self.audit.go_on(dpid):
            # At once, but behind all that has arrived by now: a comparison of thousands of rules holds up nothing.
            self._agenda.set((Chore.COMPARE, dpid), now)
            return
        drift = self.audit.take_drift(dpid)
        if drift and self._bringup.ready(dpid):
            removed = len(drift.remove) + len(drift.delete_meters)
            self._log_drift(dpid, len(drift.add) + len(drift.meters), removed)
            self._effects.put(Apply(dpid, self._tokens.take(self), drift, Mode.BULK))

    def _log_drift(self, dpid: int, restored: int, removed: int) -> None:
        self.drifted += restored + removed
        self._effects.put(RulesDrifted(dpid, restored, removed))

    # --- changes by something else ---
    def altered(self, event: SwitchAltered, now: float) -> None:
        """Plan the comparison of a switch that something else has changed."""
        dpid = event.dpid
        state = self._bringup.switches[dpid]
        if event.certain:
            # The rules that send the stations' frames to the controller may have been among the deleted ones.
            self._requests.keep_alives.restart_keep_alive(dpid, now)
        if state.readiness is Readiness.INSTALLING:
            state.altered = True
        elif state.readiness is Readiness.READY:
            due = self.repairs.plan(dpid, now, event.certain)
            self._agenda.set((Chore.REPAIR, dpid), due)
            if due <= now:
                self.repair(dpid, now)
            elif event.certain:
                self._effects.put(SwitchChangedByOthers(dpid))
                self._suspend(dpid, due)

    def repair(self, dpid: int, now: float) -> None:
        """Restore what something else has changed: rules, groups and meters."""
        self._agenda.set((Chore.REPAIR, dpid), None)
        self.repairs.begin(dpid, now)
        if self._bringup.ready(dpid):
            self._effects.put(SwitchChangedByOthers(dpid))
            self.compare(dpid, now)
        else:
            self.compare_held(dpid, now)

    def end_repair(self, state: SwitchState) -> bool:
        """Process the end of a comparison; returns True if something else had changed the switch."""
        repaired = self.repairs.end(state.dpid, state.added + state.removed)
        if repaired:
            self._log_drift(state.dpid, state.added, state.removed)
        return repaired
