"""What a granted, refused or released request means for the switches.

``Decide`` and ``Release`` of the VDP machines come in; changes for switches go out; confirmations
come back in and become verdicts for the machines.  Every change carries a token; a token that is
no longer known belongs to a decision that has been overtaken, and changes nothing.

The order that keeps a VSI on at most one active port: the body is confirmed and read back before
the gate is touched; the gates of all switches flip in one atomic change each, sent together; only
when all have confirmed is the Associate granted and the old port told; only then is its body swept.
"""

from __future__ import annotations

from ryu_apps.evb.event_catalogue.switches import SwitchRefusedRules
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    GateOpened,
    GateOpening,
    GroupsStaged,
    RulesSwept,
    StateLost,
    VdpRefused,
)
from ryu_apps.evb.events import Mode
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import AN_HOUR, Phase, Retention
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.vdp_bridge import Denied, Granted, Recalled, Released
from ryu_apps.evb.services.body import (
    multicast_of,
    services_of,
)
from ryu_apps.evb.snooping.subscriptions import carried_groups
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bodies import Epochs
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.installer import Installer
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.records.attachment import ProgramRecord
from ryu_apps.evb.vsi.records.keeper import Documents, RecordKeeper, record_key
from ryu_apps.evb.vsi.registry import Attachment, Installation, Vsi
from ryu_apps.evb.vsi.reservation import RuleBudget
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.statistics.counters import CounterReader
from ryu_apps.evb.vsi.steps import (
    Activated,
    Announcement,
    Closing,
    DeleteByCookie,
    FixUp,
    Forgetting,
    GateSwitch,
    Granting,
    LifecycleOutput,
    ReadOut,
    ResyncSwitch,
    Staging,
    StateReadOut,
)
from ryu_apps.evb.wire.vdp import VdpError, VdpMode

#: All gates share a lane, since they share flood rules: what is sent later is in force later.
_GATE_LANE = 0


class Lifecycle:
    """Stages, activates and withdraws the programs of attachments."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        ledger: RuleBudget,
        epochs: Epochs,
        announcer: Announcer,
        documents: Documents,
        retention: Retention = AN_HOUR,
    ) -> None:
        self._gatekeeper = gatekeeper
        self._announcer = announcer
        self._records = RecordKeeper(gatekeeper.pages, documents)
        self._flips: dict[Vsi, GateSwitch] = {}
        self._turn = 0
        self._desk = desk = PendingChanges()
        self._handover = StateTransfer(desk)
        self.counters = CounterReader(desk, retention)
        self.installer = Installer(desk, ledger, epochs, gatekeeper, self._handover, self.counters)
        # Short names for what nearly every line needs.
        self.up, self._steps = desk.up, desk.steps
        self.next_token, self._send, self._write = desk.next_token, desk.send, desk.write
        self.under_way = desk.under_way
        self._verdict, self._happened, self._take = desk.verdict, desk.happened, desk.take

    # --- what the engine asks ---
    def asked(self, attachment: Attachment) -> None:
        """A request is to be decided, now or when its type is known: of Associates, the newest will win."""
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            self._turn += 1
            attachment.turn = self._turn

    def grant_unstaged(self, attachment: Attachment) -> list[LifecycleOutput]:
        """A plain Pre-Associate: nothing in any switch; what an earlier request opened is shut when it is granted."""
        self._call_off(attachment)
        self._grant(attachment)
        return self._take()

    def stage(self, attachment: Attachment, vsi_type: VsiType) -> list[LifecycleOutput]:
        """Bring the body in; grant when it is confirmed, or go on to activate if that is wanted."""
        if attachment.machine.wanted is not VdpMode.ASSOCIATE:
            self._call_off(attachment)
        program = attachment.program
        if program is None or not program.serves(vsi_type, attachment.bindings, attachment.addresses):
            if program is not None:
                attachment.retired.append(program)
            program = attachment.program = self.installer.program(attachment, vsi_type)
            reason = self.installer.reserve(attachment, program) or self._groups_refused(attachment, program)
            if reason is not None:
                self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, reason)
                return self._take()
            self.installer.install(attachment, program)
            # Behind the new one, so that a type body both need stays.
            self._sweep_never_opened(attachment)
        if not program.waiting:
            self._staged(attachment, program)
        return self._take()

    def suspended(self, attachment: Attachment) -> list[LifecycleOutput]:
        """The station says that the VM does not run there any more: what can be extracted now, is."""
        source = self._handover.source(attachment.vsi)
        if attachment.vsi.owner is attachment and source is not None:
            self._handover.trigger(attachment.vsi, source)
        self.counters.suspended(attachment)
        return self._take()

    def release(self, attachment: Attachment) -> list[LifecycleOutput]:
        """Shut the gate if it is this attachment's, then remove everything it brought in."""
        self._revert(attachment)
        self._handover.leave_behind(attachment)
        attachment.releasing = True
        if attachment.vsi.owner is attachment:
            tokens = self._flip(attachment.vsi, None, None, attachment)
            attachment.closing.update(tokens)
            for token in tokens:
                self._steps[token] = Closing(attachment)
        self._sweep_when_closed(attachment)
        if not self._handover.successors(attachment.vsi):
            self._drop_left(attachment.vsi)
        return self._take()

    def abandon(self, attachment: Attachment) -> list[LifecycleOutput]:
        """Undo an attempt that took too long and return to the program in force."""
        self._revert(attachment)
        return self._take()

    def read(self, token: int, rules: tuple[Rule, ...]) -> list[LifecycleOutput]:
        """A switch has shown what it has learnt for a VSI."""
        step = self._steps.pop(token, None)
        if isinstance(step, StateReadOut):
            self._extracted(token, step, rules)
        return self._take()

    def confirmed(self, token: int) -> list[LifecycleOutput]:
        """A switch has carried out a change."""
        self._settle(token, None)
        return self._take()

    def delete_again(self) -> list[LifecycleOutput]:
        """Try again to delete records that the store would not let go of."""
        if keys := self._records.take_undeleted():
            self._forget(None, keys)
        return self._take()

    def saved(self, token: int, failure: str | None = None) -> list[LifecycleOutput]:
        """The store has written a change, or says why it cannot."""
        self._settle(token, failure)
        return self._take()

    def rejected(self, dpid: int, token: int, reason: str) -> list[LifecycleOutput]:
        """A switch has refused a change or was lost over it."""
        lost = dpid not in self.up
        if not lost and not isinstance(self._steps.get(token), Staging | StateReadOut):
            self._desk.say(SwitchRefusedRules(dpid, reason))
            self._desk.say(ResyncSwitch(dpid))
        self._settle(token, f"{dpid:016x}: {reason}", lost)
        return self._take()

    def resume(self, attachment: Attachment, record: ProgramRecord, vsi_type: VsiType, owner: bool) -> None:
        """Take up a program that an earlier life of the bridge put in force; the switches still hold it."""
        phase = Phase.ACTIVE if owner else Phase.STAGED
        program = attachment.program = self.installer.resume(attachment, record, vsi_type, phase)
        if owner:
            self._gatekeeper.flip(attachment.vsi, attachment, program, record.pages)

    # --- staging ---
    def _groups_refused(self, attachment: Attachment, program: Installation) -> str | None:
        """Why the groups that the VSI listens to cannot come along; None: they can."""
        multicast = multicast_of(program.vsi_type, program.binding.bindings)
        if multicast is None:
            return None
        carried = carried_groups(attachment.vsi.listener, multicast)
        if len(carried) > multicast.max_groups:
            return f"{len(carried)} groups to carry, the VSI type has room for {multicast.max_groups}"
        self._happened(GroupsStaged, attachment, groups=len(carried), configured=len(multicast.groups))
        return None

    def _staged(self, attachment: Attachment, program: Installation) -> None:
        if program.phase is Phase.STAGING:
            program.phase = Phase.STAGED
            self._happened(BodyStaged, attachment, rules=program.rules, services=services_of(program.vsi_type))
        if attachment.machine.wanted is VdpMode.ASSOCIATE:
            self._activate(attachment, program)
        else:
            self._grant(attachment)

    def _grant(self, attachment: Attachment) -> None:
        """Grant as soon as the store holds it."""
        token = self._write(self._records.grant({attachment: attachment.machine.wanted}))
        self._steps[token] = Granting(attachment, attachment.machine.attempt)

    def _extracted(self, token: int, step: StateReadOut, learnt: tuple[Rule, ...] | None) -> None:
        attachment, program = step.attachment, step.program
        program.waiting.discard(token)
        if not attachment.present or attachment.program is not program:
            return
        if step.reading is not ReadOut.STAGING:
            self._handover.update(step, learnt)
        elif program.phase is Phase.STAGING and (reason := self._handover.stage(step, learnt or ())) is not None:
            program.waiting.clear()
            self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, reason)
        elif not program.waiting and program.phase is Phase.STAGING:
            self._staged(attachment, program)

    # --- activating ---
    def _activate(self, attachment: Attachment, program: Installation) -> None:
        vsi = attachment.vsi
        if program.phase is Phase.ACTIVE and vsi.owner is attachment:
            self._grant(attachment)
            return
        if vsi.owner is not None and vsi.owner.turn > attachment.turn:
            # It was asked for elsewhere while this body was on its way: the newest Associate wins.
            self._verdict(attachment, Recalled("associated at another port"))
            return
        program.phase = Phase.ACTIVATING
        program.opened = True
        flip = self._flips[vsi] = self._new_flip(attachment, program)
        tokens = self._flip(vsi, attachment, program, attachment)
        self._happened(GateOpening, attachment, switches=len(tokens))
        flip.waiting.update(tokens)
        self._steps.update(dict.fromkeys(tokens, flip))
        if not tokens:
            self._record_flip(flip)

    def _new_flip(self, attachment: Attachment, program: Installation) -> GateSwitch:
        """A flip that overtakes another one inherits what that one would have had to put right."""
        vsi = attachment.vsi
        pending = self._flips.get(vsi)
        if pending is None:
            owners = () if vsi.owner is None else (vsi.owner,)
            source = self._handover.source(vsi)
            return GateSwitch(attachment, program, vsi.owner, vsi.gate_program, source, owners)
        displaced = (*pending.displaced, pending.attachment)
        return GateSwitch(attachment, program, pending.old_owner, pending.old_program, pending.source, displaced)

    def _record_flip(self, flip: GateSwitch) -> None:
        """All switches have confirmed; the store has to as well before the station is answered."""
        flip.saving = True
        granted: dict[Attachment, VdpMode | None] = {flip.attachment: VdpMode.ASSOCIATE}
        for displaced in flip.displaced:
            if displaced is not flip.attachment and displaced.present:
                granted[displaced] = displaced.machine.in_force
        granted.update(self._void_announcements(flip.attachment))
        token = self._write(self._records.grant(granted))
        flip.waiting.add(token)
        self._steps[token] = flip

    def _void_announcements(self, owner: Attachment) -> dict[Attachment, VdpMode | None]:
        """What stations have announced to the VSI's last owner says nothing about this one; whose records change."""
        changed: dict[Attachment, VdpMode | None] = {}
        for one in owner.vsi.attachments.values():
            if one.announced and one is not owner and one.machine.in_force is not None:
                changed[one] = one.machine.in_force
            one.announced = False
        return changed

    def record(self, attachment: Attachment) -> list[LifecycleOutput]:
        """Write down anew what is in force."""
        self._write(self._records.grant({attachment: attachment.machine.in_force}))
        return self._take()

    def _activated(self, flip: GateSwitch) -> None:
        attachment = flip.attachment
        if not self._end_flip(flip):
            return
        flip.program.phase = Phase.ACTIVE
        # The station does not wait for it; but it is asked for before the source is swept.
        self._handover.conclude(attachment, flip.program, flip.source)
        self._drop_left(attachment.vsi)
        self._happened(GateOpened, attachment)
        # Else a newer request is on its way to another program, unanswered; until then this one is in force.
        newest = attachment.program is flip.program
        if newest:
            self._verdict(attachment, Granted())
        self._desk.say(Activated(attachment.vsi))
        if newest:
            self._sweep_retired(attachment)
        for displaced in dict.fromkeys(flip.displaced):
            if displaced is not attachment and displaced.present:
                if displaced.program is not None:
                    displaced.program.phase = Phase.STAGED
                self._verdict(displaced, Recalled("associated at another port"))
        self._announce(flip)

    def _announce(self, flip: GateSwitch) -> None:
        """Tell the edges that are not ours; of a VSI that has stayed where it was, only what is new."""
        attachment = flip.attachment
        stayed = all(one is attachment for one in flip.displaced)
        before = flip.old_program.binding if stayed and flip.old_program is not None else None
        frames = self._announcer.frames(flip.program.binding, before)
        if there := tuple(one for one in frames if one.port.dpid in self.up):
            self._desk.say(Announcement(attachment, there))

    def _flip(
        self, vsi: Vsi, owner: Attachment | None, program: Installation | None, on_behalf: Attachment
    ) -> list[int]:
        """Send the gate change to every switch that is there; the others catch up when they return."""
        changes = self._gatekeeper.flip(vsi, owner, program)
        # The switch of the new owner first: its gate decides when the VM has a network again.
        order = sorted(changes, key=lambda dpid: (dpid != on_behalf.port.dpid, dpid))
        return [self._send(dpid, changes[dpid], Mode.ATOMIC, _GATE_LANE) for dpid in order if dpid in self.up]

    def regroup(self, vsi: Vsi) -> list[LifecycleOutput]:
        """What a VSI listens to has changed: tell the switches, in the order of the gates."""
        for dpid, change in sorted(self._gatekeeper.regroup(vsi).items()):
            if dpid in self.up:
                self._send(dpid, change, Mode.ATOMIC, _GATE_LANE)
        return self._take()

    def remember(self, vsis: tuple[Vsi, ...]) -> tuple[int, tuple[Vsi, ...], list[LifecycleOutput]]:
        """Record what VSIs listen to; those whose gate is on its way over will be recorded with it, or later.

        Returns:
            the token of the record, whose it is, and what is to be done.
        """
        granted: dict[Attachment, VdpMode | None] = {
            vsi.owner: vsi.owner.machine.in_force
            for vsi in vsis
            if vsi.owner is not None and vsi not in self._flips and vsi.owner.machine.in_force is not None
        }
        # Of a VSI that is nowhere there is nothing to record.
        settled = tuple(vsi for vsi in vsis if vsi.owner in granted or vsi.owner is None)
        token = self._write(self._records.grant(granted)) if granted else 0
        return token, settled, self._take()

    def _call_off(self, attachment: Attachment) -> None:
        """An opening that is under way is not wanted any more."""
        if self._pending_flip(attachment):
            self._revert(attachment)

    def _shut(self, attachment: Attachment) -> None:
        """Shut the gate if it is this attachment's."""
        vsi = attachment.vsi
        if vsi.owner is attachment:
            if vsi.gate_program is not None:
                vsi.gate_program.phase = Phase.STAGED
            self._flip(vsi, None, None, attachment)

    # --- refusing ---
    def _deny(self, attachment: Attachment, error: VdpError, reason: str) -> None:
        self._happened(VdpRefused, attachment, reason=reason, error=error)
        self._revert(attachment)
        self._verdict(attachment, Denied(error))

    def _revert(self, attachment: Attachment) -> None:
        """Back to the program whose gate is open, if the attachment has one that is confirmed."""
        vsi, program = attachment.vsi, attachment.program
        flip = self._pending_flip(attachment)
        if flip is not None:
            self._end_flip(flip)
            flip.program.phase = Phase.STAGED
            keeper = flip.old_owner if flip.old_owner and flip.old_owner.present else None
            self._flip(vsi, keeper, flip.old_program if keeper else None, attachment)
        if vsi.owner is attachment and vsi.gate_program is not program and program is not None:
            attachment.retired.append(program)
            attachment.program = vsi.gate_program
            if attachment.program in attachment.retired:
                attachment.retired.remove(attachment.program)
            self._sweep_retired(attachment)

    def _pending_flip(self, attachment: Attachment) -> GateSwitch | None:
        flip = self._flips.get(attachment.vsi)
        return flip if flip is not None and flip.attachment is attachment else None

    def _end_flip(self, flip: GateSwitch) -> bool:
        """Settle a flip; False if a newer one of the same VSI has overtaken it."""
        flip.settled = True
        newest = self._flips.get(flip.attachment.vsi) is flip
        if newest:
            del self._flips[flip.attachment.vsi]
        return newest

    # --- withdrawing ---
    def _sweep_when_closed(self, attachment: Attachment) -> None:
        if attachment.closing:
            return
        if attachment.program is not None:
            attachment.retired.append(attachment.program)
            attachment.program = None
        self._sweep_retired(attachment)
        self._released_when_swept(attachment)

    def _sweep_never_opened(self, attachment: Attachment) -> None:
        """Remove what was only ever staged; what a gate led to may still be in use."""
        programs = attachment.retired
        attachment.retired = [program for program in programs if program.opened]
        for program in programs:
            if not program.opened:
                self.installer.delete_by_cookie(attachment, program)

    def _sweep_retired(self, attachment: Attachment) -> None:
        programs, attachment.retired = attachment.retired, []
        for program in programs:
            self.installer.delete_by_cookie(attachment, program)

    def _released_when_swept(self, attachment: Attachment) -> None:
        swept = attachment.releasing and not attachment.closing and not attachment.sweeping
        if swept and not attachment.forgetting:
            attachment.forgetting = True
            self._happened(RulesSwept, attachment)
            self._forget(attachment, frozenset((record_key(attachment),)))

    def _forget(self, attachment: Attachment | None, keys: frozenset[str]) -> None:
        token = self._write(self._records.drop(keys))
        self._steps[token] = Forgetting(attachment, keys)

    # --- confirmations ---
    def _settle(self, token: int, failure: str | None, lost: bool = False) -> None:
        step = self._steps.pop(token, None)
        match step:
            case Staging():
                self._settle_staging(token, step, failure)
            case StateReadOut(attachment):
                # A source that cannot be read keeps nobody from leaving it.
                self._happened(StateLost, attachment, reason=failure)
                self._extracted(token, step, None)
            case FixUp():
                self._handover.fixed_up(step, failure)
            case GateSwitch():
                self._settle_flip(token, step, None if lost and not self._at_home(step) else failure)
            case Granting(attachment, attempt):
                if failure is None:
                    if attachment.machine.awaits(attempt) and attachment.machine.wanted is not VdpMode.ASSOCIATE:
                        self._shut(attachment)
                    self._verdict(attachment, Granted(attempt))
                elif attachment.machine.attempt == attempt and attachment.machine.wanted is not None:
                    self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, failure)
            case Forgetting(attachment, keys):
                # What cannot be deleted now is tried again; nobody has to wait for it.
                if failure is not None:
                    self._records.not_dropped(keys)
                if attachment is not None:
                    attachment.releasing = attachment.forgetting = False
                    self._verdict(attachment, Released())
            case Closing(attachment):
                attachment.closing.discard(token)
                if not attachment.closing:
                    self._sweep_when_closed(attachment)
            case DeleteByCookie(attachment, index):
                if index is not None:
                    self.installer.indices.give_back(index)
                if attachment is not None:
                    attachment.sweeping.discard(token)
                    self._released_when_swept(attachment)
            case None:
                return

    def _settle_staging(self, token: int, step: Staging, failure: str | None) -> None:
        if step.shared is not None:
            step.shared.token = None
        for attachment, program in step.waiting:
            program.waiting.discard(token)
            current = attachment.program is program and not attachment.releasing
            if failure is not None and current:
                program.waiting.clear()
                self._deny(attachment, VdpError.INSUFFICIENT_RESOURCES, failure)
            elif current and not program.waiting and program.phase is Phase.STAGING:
                self._staged(attachment, program)

    def _settle_flip(self, token: int, flip: GateSwitch, failure: str | None) -> None:
        flip.waiting.discard(token)
        if flip.settled:
            return
        if failure is not None:
            self._deny(flip.attachment, VdpError.INSUFFICIENT_RESOURCES, failure)
        elif not flip.waiting:
            self._activated(flip) if flip.saving else self._record_flip(flip)

    def _at_home(self, flip: GateSwitch) -> bool:
        """Whether the switch that was lost is the one the VSI sits on; others catch up later."""
        return flip.attachment.port.dpid not in self.up

    def _drop_left(self, vsi: Vsi) -> None:
        index = self._handover.drop_left(vsi)
        if index is not None:
            self.installer.indices.give_back(index)
