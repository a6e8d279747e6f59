"""Answers of switches and the store: the step of an attachment that each of them ends, and the next one.

A token that is no longer known belongs to a decision that has been overtaken, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.event_catalogue.vsis import StateLost
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Phase
from ryu_apps.evb.protocol.vdp_bridge import Granted
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.activation import Activation
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.installation import without
from ryu_apps.evb.vsi.late_switches import LateSwitches
from ryu_apps.evb.vsi.open_gates import OpenGates
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.refusals import Refusals
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.steps import (
    DeleteByCookie,
    FixUp,
    Forgetting,
    GateChange,
    GateSwitch,
    Granting,
    Staging,
    StateReadOut,
    TakingBack,
    is_answered,
)
from ryu_apps.evb.vsi.withdrawal import Withdrawal
from ryu_apps.evb.wire.vdp import VdpMode


class StepAnswers(TokenOwner):
    """Goes on with the steps that switches and the store have answered.

    Attributes:
        refused: called with switch, reason and time when a switch refuses what it should have taken.
    """

    def __init__(
        self,
        activation: Activation,
        open_gates: OpenGates,
        refusals: Refusals,
        withdrawal: Withdrawal,
        gates: GateSwitches,
        grants: Grants,
        state: StateTransfer,
        copies: Copies,
        late: LateSwitches,
        pending: PendingChanges,
    ) -> None:
        self.refused: Callable[[int, str, float], None] = lambda dpid, reason, now: None
        self._activation = activation
        self._open_gates = open_gates
        self._refusals = refusals
        self._withdrawal = withdrawal
        self._gates = gates
        self._grants = grants
        self._state = state
        self._copies = copies
        self._late = late
        self._pending = pending

    def rules_shown(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process a portion of what a switch has learned for a VSI."""
        if isinstance(step := self._pending.steps.get(token), StateReadOut):
            self._state.show(step, rules)

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process the last portion of what a switch has learned for a VSI."""
        step = self._pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, rules)

    def rules_omitted(self, dpid: int, token: int, now: float) -> None:
        """Process that a switch has learned more for a VSI than may be read early."""
        step = self._pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, None)

    def state_fetched(self, token: int, rules: tuple[Rule, ...] | None) -> None:
        """Process what another pod has learned for a VSI; None: it is not known."""
        step = self._pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, rules)

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the confirmation of a change."""
        self.settle(token, None)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing."""
        self.settle(token, failure)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process the refusal of a change, or its loss with the switch."""
        lost = dpid not in self._pending.up
        # A switch that refuses any other change does not have the rules that it should, and is compared.
        step = self._pending.steps.get(token)
        if not is_answered(step):
            self.refused(dpid, reason, now)
        if isinstance(step, GateChange) and step.shut is not None:
            if not lost:
                self._withdrawal.not_closed(dpid, *step.shut, token)
            elif step.shut[0].port.dpid == dpid:
                self._doubt(token, step)
        self.settle(token, f"{dpid:016x}: {reason}", lost)

    def compared(self, dpid: int) -> None:
        """Process the end of a comparison: the switch has no gates but those that it should have.

        Also the loss of a switch, which is compared when it returns.
        """
        self._copies.end_all(dpid)
        for attachment in self._withdrawal.compared(dpid):
            self._grant_when_shut(attachment)

    def _doubt(self, token: int, step: GateChange) -> None:
        """Keep back what waits for a gate to be shut by a switch that was lost before it confirmed that."""
        assert step.shut is not None
        self._late.doubt(step.shut[0])
        if step.opening is not None and step.attachment.port.dpid in self._pending.up:
            self._late.hold(step.dpid, token, step.opening)
            step.opening = None

    def switch_ready(self, dpid: int) -> None:
        """Process that a switch has been compared, and may be changed step by step; :meth:`go_on` has to follow."""
        self._pending.up.add(dpid)
        self.compared(dpid)
        self._late.ready(dpid)

    def tick(self, now: float) -> None:
        """Go on without switches that are away for too long."""
        for dpid in list(self._late.due(now)):
            self.go_on(dpid)

    def go_on(self, dpid: int) -> None:
        """Continue what has waited for a switch that is ready, or given up."""
        unconfirmed, waiting = self._late.take(dpid)
        for token, opening in unconfirmed:
            if dpid == opening.attachment.port.dpid and dpid not in self._pending.up:
                # The switch of the gate itself: nothing is answered without it.
                self._late.hold(dpid, token, opening)
            else:
                self._pending.steps.pop(token, None)
                self._settle_gate(token, opening, None)
        for attachment, attempt in waiting:
            self._activation.cleared(attachment, attempt, None)

    def settle(self, token: int, failure: str | None, lost: bool = False) -> None:
        """End the step that waits for a token.

        Args:
            failure: the reason why it has failed; None: it is done.
            lost: the switch was lost before it answered.
        """
        # None: nothing waits for this token, or a newer decision has overtaken the one that did.
        step = self._pending.steps.pop(token, None)
        match step:
            case Staging():
                self._settle_staging(token, step, failure)
            case StateReadOut(attachment):
                # A source that cannot be read must not keep the VSI from leaving it.
                self._pending.log(StateLost, attachment, reason=failure)
                self._extracted(token, step, None)
            case FixUp():
                self._state.fixed_up(step, token, failure)
            case GateChange():
                self._settle_change(token, step, failure, lost)
            case GateSwitch():
                if failure is not None:
                    self._grants.not_recorded(step)
                self._settle_gate(token, step, failure)
            case Granting():
                self._settle_grant(step, failure)
            case TakingBack():
                self._grants.taken_back(step, failure)
            case Forgetting():
                self._withdrawal.forgotten(step, failure)
            case DeleteByCookie():
                self._withdrawal.swept(step, token)

    def _settle_staging(self, token: int, step: Staging, failure: str | None) -> None:
        if step.shared is not None:
            step.shared.token = None
        for attachment, program in step.waiting:
            program.waiting = without(program.waiting, token)
            # A newer request may have replaced the program while its body was on its way.
            current = attachment.holding.program is program and not attachment.holding.releasing
            # One refusal ends the attempt, so that no later confirmation grants it.
            if failure is not None and current:
                program.waiting = ()
                self._refusals.deny(attachment, failure)
            elif current and not program.waiting and program.phase is Phase.STAGING:
                self._activation.staged(attachment, program)

    def _settle_change(self, token: int, step: GateChange, failure: str | None, lost: bool) -> None:
        if step.shut is not None and (failure is None or lost):
            self._withdrawal.closed(*step.shut, token)
            self._grant_when_shut(step.shut[0])
        if step.opening is not None:
            # A lost switch that is not the VSI's own gets the gate when it returns.
            elsewhere = lost and step.attachment.port.dpid in self._pending.up
            self._settle_gate(token, step.opening, None if elsewhere else failure)

    def _settle_gate(self, token: int, gate_switch: GateSwitch, failure: str | None) -> None:
        gate_switch.waiting.discard(token)
        # Undone, or overtaken: confirmations of the other switches still come.
        if gate_switch.settled:
            return
        if failure is not None:
            self._refusals.deny(gate_switch.attachment, failure)
        # All switches and the store, whichever is the last one.
        elif not gate_switch.waiting:
            self._open_gates.add(gate_switch)

    def _settle_grant(self, step: Granting, failure: str | None) -> None:
        attachment, machine = step.attachment, step.attachment.machine
        if failure is None:
            # A Pre-Associate of a VSI that is active here ends that; not before the store holds it.
            if machine.awaits(step.attempt):
                if machine.wanted is not VdpMode.ASSOCIATE:
                    self._shut(attachment)
            elif attachment.present and machine.in_force is not None:
                # Refused or replaced meanwhile: the store has what its station was not granted.
                self._grants.record(attachment)
            attachment.holding.granted = step.attempt
            self._grant_when_shut(attachment)
        elif machine.attempt == step.attempt and machine.wanted is not None:
            attachment.holding.recorded = None
            self._refusals.deny(attachment, failure)

    def _shut(self, attachment: Attachment) -> None:
        vsi = attachment.vsi
        program = vsi.gate_program if vsi.owner is attachment else None
        self._gates.shut(attachment)
        if program is not None and attachment.port.dpid not in self._pending.up:
            # It was sent nothing: it is being compared, and has the gate until then.
            self._withdrawal.await_comparison(attachment, program)

    def _grant_when_shut(self, attachment: Attachment) -> None:
        # A station that is told that its VSI is staged may rely on it: nothing passes.
        holding = attachment.holding
        if holding.granted is not None and not holding.closing:
            self._pending.decide(attachment, Granted(holding.granted))
            holding.granted = None

    def _extracted(self, token: int, step: StateReadOut, learnt: tuple[Rule, ...] | None) -> None:
        attachment, program = step.attachment, step.program
        program.waiting = without(program.waiting, token)
        if (reason := self._state.end(step, learnt)) is not None:
            program.waiting = ()
            self._refusals.deny(attachment, reason)
        elif self._state.is_wanted(step) and not program.waiting and program.phase is Phase.STAGING:
            self._activation.staged(attachment, program)
