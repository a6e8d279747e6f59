"""Lifecycle of what attachments have in the switches: staged, activated, refused, withdrawn.

``Decide`` and ``ReleaseVsi`` of the VDP machines come in; changes for switches go out; the answers come back in and
become decisions for the machines.  A token that is no longer known belongs to a decision that has been overtaken, and
changes nothing.

The order that keeps a VSI on at most one active port: the body is confirmed and read back before the gate is touched;
the gates of all switches change in one atomic change each, sent together; only when all have confirmed is the
Associate granted and the old port informed; only then is its body removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    GateLeft,
    GateOpened,
    StateLost,
    SwitchWaitedFor,
    VdpRefused,
    VsiPortMissing,
)
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import AN_HOUR, Phase, Retention
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate, Denied, Granted
from ryu_apps.evb.services.body import services_of
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bodies import Epochs
from ryu_apps.evb.vsi.flip_preparation import FlipPreparation
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.group_installer import GroupInstaller
from ryu_apps.evb.vsi.installation import Installation, without
from ryu_apps.evb.vsi.installer import Installer
from ryu_apps.evb.vsi.interrupted import InterruptedOpenings
from ryu_apps.evb.vsi.late_switches import LateSwitches
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.attachment import ProgramRecord
from ryu_apps.evb.vsi.records.keeper import Documents, RecordKeeper
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.state_refresh import StateRefresh
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.statistics.counters import CounterReader
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
from ryu_apps.evb.wire.vdp import VdpError, VdpMode


class Lifecycle(TokenOwner):
    """Stages, activates and withdraws the programs of attachments.

    Attributes:
        pending: changes and writings under way; decisions for the VDP machines.
        up: datapath ids of the switches that may be changed step by step.
        copies: of frames to VMs that move.
        refresh: what keeps staged state up to date.
        preparation: what prepares flips.
        late: switches that are away, and what waits for them.
        interrupted: openings that an earlier life of the bridge has begun.
        gates, grants, installer, groups, counters: gates and records under way, bodies, multicast groups, statistics.
        activated: gates that are open since the last :meth:`conclude`.
        opened: called when a gate is open, newly or at another port, and every switch has confirmed.
        refused: called with switch, reason and time when a switch refuses what it should have taken.
        is_clear: called when a gate would open; False: another pod may have the VSI, :meth:`cleared` follows.
        called_off: called when the newest request of an attachment is not carried out any more.
    """

    def __init__(
        self,
        tokens: TokenTable,
        effects: EffectSink,
        gatekeeper: Gatekeeper,
        ledger: Reservations,
        epochs: Epochs,
        announcer: Announcer,
        documents: Documents,
        retention: Retention = AN_HOUR,
    ) -> None:
        self.pending = pending = PendingChanges(tokens, effects, self)
        self.up = pending.up
        self.late = LateSwitches(pending.up)
        self._announcer = announcer
        self._effects = effects
        self._turn = 0
        gatekeeper.copies.attach(pending)
        self.copies = gatekeeper.copies
        self.refresh = StateRefresh(pending)
        self.state = StateTransfer(pending)
        self.gates = GateSwitches(gatekeeper, self.state, pending)
        self.preparation = FlipPreparation(gatekeeper, announcer, effects, pending.up)
        self.grants = Grants(RecordKeeper(gatekeeper.pages, documents), pending)
        self.counters = CounterReader(tokens, effects, pending.up, retention)
        self.groups = GroupInstaller(gatekeeper.groups, pending, self._settle)
        self.installer = Installer(
            pending, ledger, epochs, gatekeeper, self.groups, self.state, self.counters, gatekeeper.meters
        )
        self.withdrawal = Withdrawal(self.installer, self.gates, self.grants, self.state, pending)
        self.interrupted = InterruptedOpenings(self.gates, self.grants, self.late, pending, self.abandon)
        self.activated: list[GateSwitch] = []
        self.opened: Callable[[GateSwitch, float], None] = lambda gate_switch, now: None
        self.refused: Callable[[int, str, float], None] = lambda dpid, reason, now: None
        self.is_clear: Callable[[Attachment], bool] = lambda attachment: True
        self.called_off: Callable[[Attachment], None] = lambda attachment: None

    # --- what requests lead to ---
    def asked(self, attachment: Attachment) -> None:
        """Note that a request is about to be decided, now or when its type is known: of Associates, the newest wins."""
        # Counts requests, not confirmations: an Associate whose body was long on its way must not win over a later one.
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            self._turn += 1
            attachment.holding.turn = self._turn

    def grant_unstaged(self, attachment: Attachment, vsi_type: VsiType) -> None:
        """Grant a Pre-Associate that changes no switch, if there is room; an open gate is closed when it is granted."""
        held = attachment.program_for(vsi_type) is not None
        if not held and (reason := self.installer.probe(attachment, vsi_type)) is not None:
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, reason)
            return
        self._call_off(attachment)
        self.grants.grant(attachment)

    def stage(self, attachment: Attachment, vsi_type: VsiType) -> None:
        """Install the body; when it is confirmed, grant a Pre-Associate, or open the gate for an Associate."""
        attachment.holding.decided = attachment.machine.attempt
        if attachment.machine.wanted is not VdpMode.ASSOCIATE:
            self._call_off(attachment)
        attachment.take_port(vsi_type)
        program = attachment.program_for(vsi_type)
        if program is None:
            # The old program is only retired: it stays in force until the gate leads to the new one.
            attachment.holding.retire()
            program = attachment.holding.program = self.installer.program(attachment, vsi_type)
            if (reason := self.installer.admit(attachment, program)) is not None:
                self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, reason)
                return
            self.installer.install(attachment, program)
            # Behind the new one, so that a type body that both need stays.
            self.withdrawal.sweep_never_opened(attachment)
        if not program.waiting:
            self._staged(attachment, program)

    def suspended(self, attachment: Attachment) -> None:
        """Read the state that may be transferred now, and begin to copy: the station reports the VM as suspended."""
        if attachment.vsi.owner is attachment and (source := self.state.source(attachment.vsi)) is not None:
            self.state.trigger(attachment.vsi, source)
            for staged in attachment.vsi.attachments.values():
                if staged.present and staged.holding.program is not None:
                    self.gates.copy(staged, staged.holding.program)
        self.counters.suspended(attachment)

    def release(self, attachment: Attachment) -> None:
        """Close the gate if it is this attachment's, then remove all rules of the attachment."""
        self.abandon(attachment)
        if attachment.vsi.owner is attachment and attachment.port.dpid not in self.up:
            self.late.doubt(attachment)
        self.grants.withdraw_mark(attachment)
        self.withdrawal.begin(attachment)

    def resume(self, attachment: Attachment, record: ProgramRecord, vsi_type: VsiType, owner: bool) -> None:
        """Take up a program that was in force before the controller was restarted; the switches still hold it.

        :meth:`resumed` is due behind the last one.
        """
        phase = Phase.ACTIVE if owner else Phase.STAGED
        program = attachment.holding.program = self.installer.resume(attachment, record, vsi_type, phase)
        if owner:
            self.gates.resume(attachment, program, record.pages)
        else:
            self.refresh.resume(attachment, program)
            self.preparation.staged(attachment)

    def retire(self, attachment: Attachment) -> None:
        """Take out again what :meth:`resume` has taken up, while another bridge serves the switches."""
        attachment.holding.releasing = True
        self.gates.shut(attachment)
        for program in attachment.holding.programs:
            self.installer.retire(attachment, program)
        self.refresh.retire(attachment)
        self.preparation.retire(attachment)
        attachment.holding.program = None

    def resumed(self, attachments: Iterable[Attachment]) -> None:
        """Compute what programs share that were taken up one by one, and open their accounts."""
        for attachment in attachments:
            for program in attachment.holding.programs:
                self.counters.staged(attachment, program)
        self.groups.resumed()

    # --- answers ---
    def rules_shown(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process a portion of what a switch has learned for a VSI."""
        if isinstance(step := self.pending.steps.get(token), StateReadOut):
            self.state.show(step, rules)

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process the last portion of what a switch has learned for a VSI."""
        step = self.pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, rules)

    def rules_omitted(self, dpid: int, token: int, now: float) -> None:
        """Process that a switch has learned more for a VSI than may be read early."""
        step = self.pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, None)

    def state_fetched(self, token: int, rules: tuple[Rule, ...] | None) -> None:
        """Process what another pod has learned for a VSI; None: it is not known."""
        step = self.pending.steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, rules)

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the confirmation of a change."""
        self._settle(token, None)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing."""
        self._settle(token, failure)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process the refusal of a change, or its loss with the switch."""
        lost = dpid not in self.up
        # A switch that refuses any other change does not have the rules that it should, and is compared.
        step = self.pending.steps.get(token)
        if not is_answered(step):
            self.refused(dpid, reason, now)
        if isinstance(step, GateChange) and step.shut is not None:
            if not lost:
                self.withdrawal.not_closed(dpid, *step.shut, token)
            elif step.shut[0].port.dpid == dpid:
                self._doubt(token, step)
        self._settle(token, f"{dpid:016x}: {reason}", lost)

    def compared(self, dpid: int) -> None:
        """Process the end of a comparison: the switch has no gates but those that it should have.

        Also the loss of a switch, which is compared when it returns.
        """
        self.copies.end_all(dpid)
        for attachment in self.withdrawal.compared(dpid):
            self._grant_when_shut(attachment)

    def _doubt(self, token: int, step: GateChange) -> None:
        """Keep back what waits for a gate to be shut by a switch that was lost before it confirmed that."""
        assert step.shut is not None
        self.late.doubt(step.shut[0])
        if step.opening is not None and step.attachment.port.dpid in self.up:
            self.late.hold(step.dpid, token, step.opening)
            step.opening = None

    def switch_ready(self, dpid: int) -> None:
        """Process that a switch has been compared, and may be changed step by step; :meth:`go_on` has to follow."""
        self.up.add(dpid)
        self.compared(dpid)
        self.late.ready(dpid)

    def tick(self, now: float) -> None:
        """Go on without switches that are away for too long."""
        for dpid in list(self.late.due(now)):
            self.go_on(dpid)

    def go_on(self, dpid: int) -> None:
        """Continue what has waited for a switch that is ready, or given up."""
        unconfirmed, waiting = self.late.take(dpid)
        for token, opening in unconfirmed:
            if dpid == opening.attachment.port.dpid and dpid not in self.up:
                # The switch of the gate itself: nothing is answered without it.
                self.late.hold(dpid, token, opening)
            else:
                self.pending.steps.pop(token, None)
                self._settle_gate(token, opening, None)
        for attachment, attempt in waiting:
            self.cleared(attachment, attempt, None)

    def _settle(self, token: int, failure: str | None, lost: bool = False) -> None:
        # None: nothing waits for this token, or a newer decision has overtaken the one that did.
        step = self.pending.steps.pop(token, None)
        match step:
            case Staging():
                self._settle_staging(token, step, failure)
            case StateReadOut(attachment):
                # A source that cannot be read must not keep the VSI from leaving it.
                self.pending.log(StateLost, attachment, reason=failure)
                self._extracted(token, step, None)
            case FixUp():
                self.state.fixed_up(step, token, failure)
            case GateChange():
                self._settle_change(token, step, failure, lost)
            case GateSwitch():
                if failure is not None:
                    self.grants.not_recorded(step)
                self._settle_gate(token, step, failure)
            case Granting():
                self._settle_grant(step, failure)
            case TakingBack():
                self.grants.taken_back(step, failure)
            case Forgetting():
                self.withdrawal.forgotten(step, failure)
            case DeleteByCookie():
                self.withdrawal.swept(step, token)

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
                self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, failure)
            elif current and not program.waiting and program.phase is Phase.STAGING:
                self._staged(attachment, program)

    def _settle_change(self, token: int, step: GateChange, failure: str | None, lost: bool) -> None:
        if step.shut is not None and (failure is None or lost):
            self.withdrawal.closed(*step.shut, token)
            self._grant_when_shut(step.shut[0])
        if step.opening is not None:
            # A lost switch that is not the VSI's own gets the gate when it returns.
            elsewhere = lost and step.attachment.port.dpid in self.up
            self._settle_gate(token, step.opening, None if elsewhere else failure)

    def _settle_gate(self, token: int, gate_switch: GateSwitch, failure: str | None) -> None:
        gate_switch.waiting.discard(token)
        # Undone, or overtaken: confirmations of the other switches still come.
        if gate_switch.settled:
            return
        if failure is not None:
            self._deny(gate_switch.attachment, VdpError.INSUFFICIENT_RESOURCES, failure)
        # All switches and the store, whichever is the last one.
        elif not gate_switch.waiting:
            self._activated(gate_switch)

    def _settle_grant(self, step: Granting, failure: str | None) -> None:
        attachment, machine = step.attachment, step.attachment.machine
        if failure is None:
            # A Pre-Associate of a VSI that is active here ends that; not before the store holds it.
            if machine.awaits(step.attempt):
                if machine.wanted is not VdpMode.ASSOCIATE:
                    self.gates.shut(attachment)
            elif attachment.present and machine.in_force is not None:
                # Refused or replaced meanwhile: the store has what its station was not granted.
                self.grants.record(attachment)
            attachment.holding.granted = step.attempt
            self._grant_when_shut(attachment)
        elif machine.attempt == step.attempt and machine.wanted is not None:
            attachment.holding.recorded = None
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, failure)

    def _grant_when_shut(self, attachment: Attachment) -> None:
        # A station that is told that its VSI is staged may rely on it: nothing passes.
        holding = attachment.holding
        if holding.granted is not None and not holding.closing:
            self.pending.decide(attachment, Granted(holding.granted))
            holding.granted = None

    # --- staging ---
    def _staged(self, attachment: Attachment, program: Installation) -> None:
        newly = program.phase is Phase.STAGING
        if newly:
            program.phase = Phase.STAGED
            self.refresh.begin(attachment)
            self.pending.log(BodyStaged, attachment, program.rules, services_of(program.vsi_type))
        if attachment.holding.decided != attachment.machine.attempt:
            # A newer request waits for its turn, which goes on from here: it may be for something else, or refused.
            return
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            self._activate(attachment, program)
        else:
            self.grants.grant(attachment)
            if newly:
                self.gates.copy(attachment, program)
            self.preparation.staged(attachment)

    def _extracted(self, token: int, step: StateReadOut, learnt: tuple[Rule, ...] | None) -> None:
        attachment, program = step.attachment, step.program
        program.waiting = without(program.waiting, token)
        if (reason := self.state.end(step, learnt)) is not None:
            program.waiting = ()
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, reason)
        elif self.state.is_wanted(step) and not program.waiting and program.phase is Phase.STAGING:
            self._staged(attachment, program)

    # --- activating ---
    def _activate(self, attachment: Attachment, program: Installation) -> None:
        vsi = attachment.vsi
        if program.phase is Phase.ACTIVE and vsi.owner is attachment:
            self.grants.grant(attachment)
            return
        if vsi.owner is not None and vsi.owner.holding.turn > attachment.holding.turn:
            # It was requested elsewhere while this body was on its way: the newest Associate wins.
            self.pending.decide(attachment, BridgeDeassociate("associated at another port"))
            return
        if self.gates.place(attachment, program) is None:
            # It has disappeared since the request was admitted.
            name = program.binding.vsi_port
            self.pending.log(VsiPortMissing, attachment, name)
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, f"VSI port {name} is not there")
            return
        late = self.late.concerns(attachment)
        if late and self._waits(attachment):
            return
        if vsi.owner is None and not self.is_clear(attachment):
            return
        if late:
            self._leave(attachment)
        program.phase = Phase.ACTIVATING
        # From the sending on: a switch may carry out a change whose confirmation is lost with the channel.
        program.opened = True
        gate_switch = self.gates.open(attachment, program)
        # Behind the changes of the switches, which then have it beside their own work.
        self.grants.record_move(gate_switch)
        # Now, not when the gate is open: until then the store writes, and a reading would take its processor time.
        self.state.interrupt(program, gate_switch.source)

    def _waits(self, attachment: Attachment) -> bool:
        """Let an Associate wait if its VSI would have two gates, of which one cannot be shut now."""
        holder = self.late.holder(attachment)
        if holder is not None:
            self.pending.log(SwitchWaitedFor, attachment, holder)
            self.late.wait(holder.dpid, attachment)
        return holder is not None

    def _leave(self, attachment: Attachment) -> None:
        """Report the gates of a VSI that are left open in switches that are given up."""
        owner = attachment.vsi.owner
        for port in self.late.left(attachment):
            self._effects.put(GateLeft(port, attachment.text, attachment.port))
        if owner not in (None, attachment) and owner.port.dpid not in self.up:
            self.late.doubt(owner)

    def cleared(self, attachment: Attachment, attempt: int, refusal: str | None) -> None:
        """Open the gate that was not clear, or refuse (the reason) the Associate of that attempt."""
        program, machine = attachment.holding.program, attachment.machine
        if not machine.awaits(attempt) or machine.wanted is not VdpMode.ASSOCIATE or not attachment.present:
            return
        if refusal is not None:
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, refusal)
        elif program is not None and not program.waiting and attachment.holding.decided == attempt:
            self._activate(attachment, program)

    def _activated(self, gate_switch: GateSwitch) -> None:
        """Grant an Associate; what follows from the open gate is left to :meth:`conclude`."""
        if not self.gates.end(gate_switch):
            return
        gate_switch.program.phase = Phase.ACTIVE
        self.pending.log(GateOpened, gate_switch.attachment)
        # Else a newer request, not answered yet, is on its way to another program; until then this one is in force.
        if gate_switch.attachment.holding.program is gate_switch.program:
            self.pending.decide(gate_switch.attachment, Granted())
        self.activated.append(gate_switch)

    def conclude(self, now: float) -> None:
        """Do what follows from gates that are open: no station waits for it."""
        activated, self.activated = self.activated, []
        for gate_switch in activated:
            attachment, program = gate_switch.attachment, gate_switch.program
            self.grants.confirmed(gate_switch)
            # The last state is read before the source's body is removed.
            self.state.conclude(attachment, program, gate_switch.source)
            self.withdrawal.drop_left(attachment.vsi)
            self.opened(gate_switch, now)
            if attachment.holding.program is program:
                self.withdrawal.sweep_retired(attachment)
            self.gates.displace(gate_switch)
            self._announcer.announce(gate_switch, self.pending)

    # --- refusing ---
    def _call_off(self, attachment: Attachment) -> None:
        """Undo an opening that is in progress and no longer requested."""
        if self.gates.of(attachment):
            self.abandon(attachment)

    def _deny(self, attachment: Attachment, error: VdpError, reason: str) -> None:
        self.pending.log(VdpRefused, attachment, reason=reason, error=error)
        undone, denied = self._undo(attachment), Denied(error, attempt=attachment.machine.attempt)
        if undone is not None and undone.recorded:
            # Not before the store has the former owner again: a restart must not carry out what was refused.
            attachment.holding.decided = None
            self.grants.take_back(undone, denied)
        else:
            self.pending.decide(attachment, denied)

    def abandon(self, attachment: Attachment) -> None:
        """Return to the program whose gate is open, if the attachment has one that is confirmed."""
        undone = self._undo(attachment)
        if undone is not None and undone.recorded:
            self.grants.take_back(undone)

    def _undo(self, attachment: Attachment) -> GateSwitch | None:
        self.called_off(attachment)
        undone = self.gates.undo(attachment)
        vsi, holding = attachment.vsi, attachment.holding
        if vsi.owner is attachment and holding.program not in (None, vsi.gate_program):
            holding.return_to(vsi.gate_program)
            self.withdrawal.sweep_retired(attachment)
        return undone
