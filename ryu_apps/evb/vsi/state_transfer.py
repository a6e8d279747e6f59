"""Transfer of the state that a switch has learned for a VSI to the switch where the VSI goes.

The state is read at the source when the destination stages, and staged there behind the same gate.  State that is
learned later is read once more as soon as the gate is open; with ``trigger: dual`` also when the source reports the VM
as suspended or de-associates it.  A switch carries out messages in their order, so a reading that is sent before a
deletion finds the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ryu_apps.evb.event_catalogue.vsis import StateCarried, StateFixedUp, StateLost
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.plan import rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import CookieKind, owned_by
from ryu_apps.evb.services.body import (
    carried_state,
    carried_tables,
    counted_by_service,
    extracted_early,
    state_capacity,
    state_parts,
)
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, SourceState, Vsi
from ryu_apps.evb.vsi.steps import DeleteByCookie, FixUp, ReadOut, Staging, StateReadOut

#: Least idle timeout of staged state in seconds.  No frame meets it; ``state_refresh`` writes it again before it ends.
#: Its own timeouts begin with the move.
STAGED_IDLE = 3600
#: Rules of staged state up to which a trigger reads early.  A switch that shows its rules answers nothing else for some
#: 2.5 us a rule, and an Associate that comes meanwhile waits for it.
MOST_EARLY = 5000
#: Rules that an early reading collects for one change: a change for each portion would be hundreds of barriers, and
#: the gate passes the same switch.
TOGETHER = 100
#: In the place of a datapath id: the state comes from another pod.
_ELSEWHERE = 0


class StateTransfer:
    """Extracts, stages and fixes up the state of VSIs that move.

    Attributes:
        fetch: asks another pod for the state of a VSI that is active at no port here; returns the token, None: there
            is no other pod.  Its second argument: the gate there is shut.
    """

    def __init__(self, pending: PendingChanges) -> None:
        self.fetch: Callable[[Attachment, bool], int | None] = lambda attachment, final: None
        self._pending = pending

    @staticmethod
    def source(vsi: Vsi) -> SourceState | None:
        """Place of a VSI's state: the switch of its open gate, or the one that it has left."""
        if vsi.owner is not None and vsi.gate_program is not None:
            return SourceState(vsi.owner.port.dpid, vsi.gate_program)
        return vsi.left

    def prepare(self, attachment: Attachment, program: Installation) -> None:
        """Read the present state for a program that is being staged, which waits for it."""
        source = self.source(attachment.vsi)
        # No token, nothing to wait for: a type without state, or a source that is not connected.  The move goes on.
        if source is not None:
            token = self._ask(source, attachment, program, ReadOut.STAGING)
        else:
            token = self._fetch(attachment, program, ReadOut.STAGING)
        if token is not None:
            program.waiting += (token,)

    def trigger(self, vsi: Vsi, source: SourceState, leaves: bool = False) -> None:
        """Read the state that may go ahead of the Associate, for each staged successor.

        Args:
            leaves: the source de-associates.
        """
        for successor in self.successors(vsi):
            program = successor.holding.program
            assert program is not None
            # A source that reports the suspension and then de-associates is read anew.
            self._end_early(program)
            if carried_tables(program.vsi_type, early=True) and may_read_early(program):
                program.reading = self._ask(source, successor, program, ReadOut.EARLY, leaves)

    def interrupt(self, program: Installation, source: SourceState | None) -> None:
        """End the early reading of a program whose gate opens, if :meth:`conclude` will read the state once more."""
        if source is not None:
            self._end_early(program)

    def conclude(self, attachment: Attachment, program: Installation, source: SourceState | None) -> None:
        """Read the state once more after the gate is open, and let timeouts begin."""
        if source is not None and self._ask(source, attachment, program, ReadOut.FINAL) is not None:
            return
        elsewhere = source is None and program.reading is None
        if elsewhere and self._fetch(attachment, program, ReadOut.FINAL) is not None:
            return
        early = self._pending.steps.get(program.reading) if program.reading is not None else None
        program.reading = None
        if isinstance(early, StateReadOut):
            # The source has let go of the VM, so there is nothing left to read but what this reading brings.
            early.reading = ReadOut.FINAL
        else:
            self._release(attachment, program)

    def leave_behind(self, attachment: Attachment) -> None:
        """Read the state of a source that de-associates first; leave in the switch what may not be read yet."""
        vsi, program = attachment.vsi, attachment.vsi.gate_program
        if vsi.owner is not attachment or program is None or not self.successors(vsi):
            return
        source = SourceState(attachment.port.dpid, program)
        self.trigger(vsi, source, leaves=True)
        # What may not go ahead of the Associate outlives its body.
        staged = [successor.holding.program for successor in self.successors(vsi)]
        if not (extracted_early(program.vsi_type) and all(map(may_read_early, filter(None, staged)))):
            vsi.left = source

    def successors(self, vsi: Vsi) -> list[Attachment]:
        """Staged attachments of a VSI whose types keep state."""
        # Not one whose gate is opening: it reads the state itself when the gate is open.
        return [
            attachment
            for attachment in vsi.attachments.values()
            if attachment is not vsi.owner
            and attachment.present
            and (program := attachment.holding.program) is not None
            and program.phase in (Phase.STAGING, Phase.STAGED)
            and state_capacity(program.vsi_type)
        ]

    def drop_left(self, vsi: Vsi) -> int | None:
        """Delete the state that a VSI has left in a switch; returns the index if it is free at once."""
        left, vsi.left = vsi.left, None
        if left is None:
            return None
        index = left.program.binding.vsi_index
        # A comparison deletes the rules when the switch returns; the generation tells them from those of the next user.
        if left.dpid not in self._pending.up:
            return index
        change = RuleChange(delete_by_cookie=(owned_by(CookieKind.STATE, index, left.program.binding.generation),))
        self._pending.steps[self._pending.send(left.dpid, change, Mode.BULK, index)] = DeleteByCookie(None, index)
        return None

    # --- readings ---
    @staticmethod
    def is_wanted(step: StateReadOut) -> bool:
        """True if the program of a reading is still that of its attachment."""
        return step.attachment.present and step.attachment.holding.program is step.program

    def show(self, step: StateReadOut, learnt: tuple[Rule, ...]) -> None:
        """Take a portion of a reading; what is new to a program that is staged goes there at once."""
        if not self.is_wanted(step):
            return
        program, early = step.program, step.reading is ReadOut.EARLY
        found = carried_state(program.vsi_type, learnt, program.binding, early)
        if step.reading is ReadOut.STAGING:
            step.found.update(rule_set(found))
            step.staged += map(lasting, found)
            return
        if step.unseen is None:
            # An early reading leaves out services with ``trigger: single``, so absence there proves nothing.
            tables = carried_tables(program.vsi_type, early)
            step.unseen = {key: rule for key, rule in program.awaiting.items() if rule.table in tables}
        known = {rule.key: rule for rule in found if rule.key in program.awaiting}
        program.awaiting.update(known)
        for key in known:
            step.unseen.pop(key, None)
        fresh = (*step.excess, *(rule for rule in found if rule.key not in known))
        if step.reading is ReadOut.EARLY and len(fresh) < TOGETHER:
            step.excess = fresh
        else:
            self._fix_up(step, fresh)

    def end(self, step: StateReadOut, learnt: tuple[Rule, ...] | None) -> str | None:
        """Take the last portion of a reading (None: the switch could not be read); returns the reason for a refusal."""
        if not self.is_wanted(step):
            return None
        self.show(step, learnt or ())
        if step.reading is not ReadOut.STAGING:
            self._update(step, complete=learnt is not None)
            return None
        return self._stage(step) if step.program.phase is Phase.STAGING else None

    def _stage(self, step: StateReadOut) -> str | None:
        """Stage the state that a program waits for; returns the reason for a refusal if there is too much of it."""
        attachment, program, found = step.attachment, step.program, step.found
        room = state_capacity(program.vsi_type)
        # Refused instead of cut: the VM stays where its connections are.  Cut state would break some without notice.
        if len(found) > room:
            return f"{len(found)} rules of state to carry, the VSI type has room for {room}"
        program.awaiting, program.carried = found, counted_by_service(found.values())
        self._pending.log(StateCarried, attachment, rules=len(found), services=dict(program.carried))
        if found:
            block = RuleChange(blocks=(RuleBlock(tuple(step.staged)),))
            token = self._pending.send(attachment.port.dpid, block, Mode.STAGE, program.binding.vsi_index)
            program.waiting += (token,)
            self._pending.steps[token] = Staging([(attachment, program)])
        return None

    def _update(self, step: StateReadOut, complete: bool) -> None:
        """Conclude a reading for a program that is staged; not ``complete``: the switch could not be read."""
        if complete:
            self._remove_ended(step)
        self._fix_up(step, step.excess)
        self._close(step.fix_up)
        if step.reading is ReadOut.EARLY:
            step.program.reading = None
        else:
            self._release(step.attachment, step.program)

    def _remove_ended(self, step: StateReadOut) -> None:
        """Remove staged state that has ended at the source since."""
        # A connection that was closed at the source would be open again here.
        program, unseen = step.program, step.unseen or {}
        # A refreshment may have removed some of it in the meantime.
        ended = {key: rule for key, rule in unseen.items() if program.awaiting.pop(key, None) is not None}
        program.carried -= counted_by_service(ended.values())
        if ended:
            change = RuleChange(remove=tuple(ended.values()))
            self._pending.send(step.attachment.port.dpid, change, Mode.BULK, program.binding.vsi_index)

    def _fix_up(self, step: StateReadOut, fresh: tuple[Rule, ...]) -> None:
        """Add state that is new to a program, as far as there is room."""
        program = step.program
        # Too late to refuse: the VM is suspended or has moved.  More than is reserved would break the switch's budget.
        room = max(state_capacity(program.vsi_type) - program.carried.total(), 0)
        fresh, step.excess = fresh[:room], fresh[room:]
        if not fresh:
            return
        services = counted_by_service(fresh)
        program.carried += services
        program.fixed_up += services
        if step.reading is ReadOut.EARLY:
            # It is still behind a closed gate, without frames that refresh it.
            program.awaiting.update(rule_set(fresh))
            fresh = tuple(map(lasting, fresh))
        # Without a read-back: a FIN or a timeout may end such a rule before it.
        change = RuleChange(add=fresh)
        token = self._pending.send(step.attachment.port.dpid, change, Mode.BULK, program.binding.vsi_index)
        step.fix_up.waiting[token] = services
        self._pending.steps[token] = step.fix_up

    def _release(self, attachment: Attachment, program: Installation) -> None:
        """Add staged state again, now with its own timeouts."""
        # Added, not modified: a switch sets the timeouts of a rule only when it is added (docs/decisions/0036).
        staged, program.awaiting = tuple(program.awaiting.values()), {}
        if staged:
            self._pending.send(attachment.port.dpid, RuleChange(add=staged), Mode.BULK, program.binding.vsi_index)

    def fixed_up(self, step: FixUp, token: int, failure: str | None) -> None:
        """Process the end of a change of a fix-up."""
        services = step.waiting.pop(token)
        if failure is None:
            step.done += services
        else:
            # Costs connections and not the move: the VM is here, or about to be.
            self._pending.log(StateLost, step.attachment, reason=failure)
        self._log_when_done(step)

    def _close(self, step: FixUp) -> None:
        step.complete = True
        self._log_when_done(step)

    def _log_when_done(self, step: FixUp) -> None:
        if step.complete and not step.waiting and step.done:
            self._pending.log(StateFixedUp, step.attachment, rules=step.done.total(), services=dict(step.done))

    def _end_early(self, program: Installation) -> None:
        """End the early reading of a program; what it has brought stays."""
        token, program.reading = program.reading, None
        step = self._pending.steps.get(token) if token is not None else None
        if token is not None and isinstance(step, StateReadOut):
            self._pending.end_read(step.source, token)
            self._close(step.fix_up)

    def _ask(
        self, source: SourceState, attachment: Attachment, program: Installation, reading: ReadOut, leaves: bool = False
    ) -> int | None:
        """Read the state that a switch has learned; None if there is nothing to read, or its switch is away."""
        dpid, old = source
        if old is program or not state_capacity(old.vsi_type) or not state_capacity(program.vsi_type):
            return None
        if dpid not in self._pending.up:
            self._pending.log(StateLost, attachment, reason=f"{dpid:016x}: switch not connected")
            return None
        mask = owned_by(CookieKind.STATE, old.binding.vsi_index, old.binding.generation)
        # In slices if an Associate may come meanwhile.  All at once, which is sooner done, if a station waits for its
        # Pre-Associate or De-Associate, or the VM for the fix-up.
        sliced = reading is ReadOut.EARLY and not leaves
        parts, most = (state_parts(program.vsi_type, early=True), MOST_EARLY) if sliced else ((), None)
        token = self._pending.read(dpid, mask, old.binding.vsi_index, parts, most)
        self._pending.steps[token] = StateReadOut(attachment, program, reading, dpid, FixUp(attachment))
        return token

    def _fetch(self, attachment: Attachment, program: Installation, reading: ReadOut) -> int | None:
        """Ask another pod; None: there is nothing that a switch could be told."""
        token = self.fetch(attachment, reading is ReadOut.FINAL)
        if token is None or not state_capacity(program.vsi_type):
            return None
        self._pending.steps[token] = StateReadOut(attachment, program, reading, _ELSEWHERE, FixUp(attachment))
        return token


def may_read_early(program: Installation) -> bool:
    """True if so little state is staged for a program that reading it again would hold up an Associate by little."""
    return len(program.awaiting) <= MOST_EARLY


def lasting(rule: Rule) -> Rule:
    """A rule of state as it is staged."""
    return replace(rule, idle_timeout=max(rule.idle_timeout, STAGED_IDLE))
