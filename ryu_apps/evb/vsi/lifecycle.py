"""Lifecycle of what attachments have in the switches: staged, activated, withdrawn.

``Decide`` and ``ReleaseVsi`` of the VDP machines come in; changes for switches go out.  The answers go to
:mod:`~ryu_apps.evb.vsi.step_answers`, and become decisions for the machines.

The order that keeps a VSI on at most one active port: the body is confirmed and read back before the gate is touched;
the gates of all switches change in one atomic change each, sent together; only when all have confirmed is the
Associate granted and the old port informed; only then is its body removed.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.model import AN_HOUR, Phase, Retention
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.vsi.activation import Activation
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bodies import Epochs
from ryu_apps.evb.vsi.flip_preparation import FlipPreparation
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.group_installer import GroupInstaller
from ryu_apps.evb.vsi.installer import Installer
from ryu_apps.evb.vsi.interrupted import InterruptedOpenings
from ryu_apps.evb.vsi.late_switches import LateSwitches
from ryu_apps.evb.vsi.open_gates import OpenGates
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.attachment import ProgramRecord
from ryu_apps.evb.vsi.records.keeper import Documents, RecordKeeper
from ryu_apps.evb.vsi.refusals import Refusals
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.state_refresh import StateRefresh
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.statistics.counters import CounterReader
from ryu_apps.evb.vsi.step_answers import StepAnswers
from ryu_apps.evb.vsi.withdrawal import Withdrawal
from ryu_apps.evb.wire.vdp import VdpMode


class Lifecycle:
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
        state, withdrawal: state of services that moves with VSIs, removal of what VSIs have left.
        refusals, activation, open_gates: requests that are refused, gates that are to open, gates that are open.
        answers: the answers of switches and the store.
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
        self.pending = pending = PendingChanges(tokens, effects)
        self.up = pending.up
        self.late = LateSwitches(pending.up)
        self._turn = 0
        gatekeeper.copies.attach(pending)
        self.copies = gatekeeper.copies
        self.refresh = StateRefresh(pending)
        self.state = StateTransfer(pending)
        self.gates = GateSwitches(gatekeeper, self.state, pending)
        self.preparation = FlipPreparation(gatekeeper.flips, announcer, effects, pending.up)
        self.grants = Grants(RecordKeeper(gatekeeper.pages, documents), pending)
        self.counters = CounterReader(tokens, effects, pending.up, retention)
        self.groups = GroupInstaller(gatekeeper.groups, pending)
        self.installer = Installer(
            pending, ledger, epochs, gatekeeper, self.groups, self.state, self.counters, gatekeeper.meters
        )
        self.withdrawal = Withdrawal(self.installer, self.gates, self.grants, self.state, pending)
        self.refusals = Refusals(self.gates, self.grants, self.withdrawal, pending)
        self.activation = Activation(
            self.gates,
            self.grants,
            self.refusals,
            self.state,
            self.refresh,
            self.preparation,
            self.late,
            pending,
            effects,
        )
        self.open_gates = OpenGates(self.gates, self.grants, self.state, self.withdrawal, announcer, pending)
        self.answers = pending.owner = StepAnswers(
            self.activation,
            self.open_gates,
            self.refusals,
            self.withdrawal,
            self.gates,
            self.grants,
            self.state,
            self.copies,
            self.late,
            pending,
        )
        self.groups.finished = self.answers.settle
        self.interrupted = InterruptedOpenings(self.gates, self.grants, self.late, pending, self.refusals.abandon)

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
            self.refusals.deny(attachment, reason)
            return
        self.refusals.call_off(attachment)
        self.grants.grant(attachment)

    def stage(self, attachment: Attachment, vsi_type: VsiType) -> None:
        """Install the body; when it is confirmed, grant a Pre-Associate, or open the gate for an Associate."""
        attachment.holding.decided = attachment.machine.attempt
        if attachment.machine.wanted is not VdpMode.ASSOCIATE:
            self.refusals.call_off(attachment)
        attachment.take_port(vsi_type)
        program = attachment.program_for(vsi_type)
        if program is None:
            # The old program is only retired: it stays in force until the gate leads to the new one.
            attachment.holding.retire()
            program = attachment.holding.program = self.installer.program(attachment, vsi_type)
            if (reason := self.installer.admit(attachment, program)) is not None:
                self.refusals.deny(attachment, reason)
                return
            self.installer.install(attachment, program)
            # Behind the new one, so that a type body that both need stays.
            self.withdrawal.sweep_never_opened(attachment)
        if not program.waiting:
            self.activation.staged(attachment, program)

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
        self.refusals.abandon(attachment)
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
