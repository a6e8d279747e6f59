"""State that is staged, kept as it is at its source while a reservation lasts.

No frame meets staged rules, so they end by their idle timeout, and the source learns and forgets connections
meanwhile.  So the state of each staged program is read anew at intervals, and written again.  A VSI that is active
nowhere has no source: then the staged rules themselves are written again.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.event_catalogue.vsis import StateLost, StateRefreshed
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import CookieKind, owned_by
from ryu_apps.evb.services.body import carried_state, counted_by_service, state_capacity, state_parts
from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.state_transfer import lasting

#: Seconds between two readings for a program; staged rules outlast three that fail.
INTERVAL = 900.0
#: Seconds between two readings for different programs: one reading is under way at a time.
_TURN = 1.0


class _Refresh(NamedTuple):
    """A reading for a program.

    Attributes:
        staged: the number of its rules at that time, by service.
        refreshed: time at which these were last staged.
        shown: rules that the switch has shown so far.
    """

    attachment: Attachment
    program: Installation
    staged: dict[str, int]
    refreshed: float | None
    shown: list[Rule]


class StateRefresh(TokenOwner):
    """Refreshing of the state of all staged programs.

    Attributes:
        new: attachments that have no deadline yet, and their delays in seconds; :meth:`planned` sets it.
    """

    def __init__(self, pending: PendingChanges) -> None:
        self._pending = pending
        self._agenda: DeadlineQueue[Attachment] = DeadlineQueue()
        self.new: dict[Attachment, float] = {}
        self._kept: dict[Attachment, None] = {}
        # Programs of an earlier process, of whose state nothing is known.
        self._unknown: set[Installation] = set()
        self._reading: dict[int, _Refresh] = {}
        self._writing: dict[int, Attachment] = {}

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._agenda.deadline

    def begin(self, attachment: Attachment) -> None:
        """Keep the state of an attachment whose program has just been staged."""
        if _staged(attachment) is not None:
            self.new[attachment] = INTERVAL

    def resume(self, attachment: Attachment, program: Installation) -> None:
        """Keep the state of a program of an earlier process; its switch holds what that has staged."""
        self._unknown.add(program)
        self.new[attachment] = INTERVAL

    def retire(self, attachment: Attachment) -> None:
        """Forget an attachment and its program that were taken up."""
        self.new.pop(attachment, None)
        self._kept.pop(attachment, None)
        self._agenda.set(attachment, None)
        self._unknown.difference_update(attachment.holding.programs)

    def ready(self, dpid: int, now: float) -> None:
        """Refresh what is staged at a switch that has returned: it may have lost its rules."""
        for attachment in self._kept:
            if attachment.port.dpid == dpid:
                self._agenda.set(attachment, now)

    # --- what an NMS brings ---
    def replace(self, attachment: Attachment, program: Installation, state: Iterable[Rule], now: float) -> None:
        """Stage state that was brought from outside, in the place of what is staged; no more than is reserved.

        Args:
            state: rules of this program.
        """
        self._write(attachment, program, rule_set(state), now)

    def is_writing(self, attachments: Container[Attachment]) -> bool:
        """True while a switch has not confirmed what was last staged for one of some attachments."""
        return any(attachment in attachments for attachment in self._writing.values())

    # --- time ---
    def planned(self, now: float) -> None:
        """Set the deadlines of attachments that are new."""
        for attachment, delay in self.new.items():
            self._agenda.set(attachment, now + delay)
            self._kept[attachment] = None
            if (program := attachment.holding.program) is not None and program not in self._unknown:
                program.refreshed = now
        self.new.clear()

    def tick(self, now: float) -> None:
        """Begin the reading that is due."""
        for attachment in list(self._agenda.due(now)):
            program = _staged(attachment)
            if program is None:
                self._kept.pop(attachment, None)
                continue
            if self._reading:
                self._agenda.set(attachment, now + _TURN)
                continue
            self._agenda.set(attachment, now + INTERVAL)
            self._refresh(attachment, program, now)

    def _refresh(self, attachment: Attachment, program: Installation, now: float) -> None:
        vsi, up = attachment.vsi, self._pending.up
        if attachment.port.dpid not in up:
            return
        source = vsi.gate_program if vsi.owner is not None and vsi.owner.port.dpid in up else None
        if vsi.owner is not None and source is not None and state_capacity(source.vsi_type):
            self._read(attachment, program, vsi.owner.port.dpid, source)
        elif program in self._unknown:
            self._read(attachment, program, attachment.port.dpid, program)
        else:
            self._write(attachment, program, program.awaiting, now)

    def _read(self, attachment: Attachment, program: Installation, dpid: int, shown: Installation) -> None:
        mask = owned_by(CookieKind.STATE, shown.binding.vsi_index, shown.binding.generation)
        token = self._pending.read(dpid, mask, shown.binding.vsi_index, state_parts(program.vsi_type), owner=self)
        self._reading[token] = _Refresh(attachment, program, dict(program.carried), program.refreshed, [])

    # --- answers ---
    def rules_shown(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Note a portion of the state that a switch shows."""
        self._reading[token].shown.extend(rules)

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Stage the state that a switch has shown."""
        attachment, program, staged, refreshed, shown = self._reading.pop(token)
        if _staged(attachment) is not program:
            return
        if program.carried != staged or program.refreshed != refreshed:
            # Another reading, or an NMS, has brought something meanwhile, which may be newer.
            self._agenda.set(attachment, now + _TURN)
            return
        found = rule_set(carried_state(program.vsi_type, (*shown, *rules), program.binding))
        # What is staged has precedence; more than is reserved would break the switch's budget.
        kept = {key: rule for key, rule in found.items() if key in program.awaiting}
        fresh = {key: rule for key, rule in found.items() if key not in kept}
        room = max(state_capacity(program.vsi_type) - len(kept), 0)
        self._write(attachment, program, {**kept, **dict(list(fresh.items())[:room])}, now)

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the end of a writing."""
        self._writing.pop(token, None)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process a reading or writing that a switch has refused, or that was lost with it."""
        refresh = self._reading.pop(token, None)
        attachment = self._writing.pop(token, None)
        if attachment is not None and _staged(attachment) is not None:
            self._pending.log(StateLost, attachment, reason=f"{dpid:016x}: {reason}")
        if refresh is not None:
            self._agenda.set(refresh.attachment, now + _TURN)

    def _write(self, attachment: Attachment, program: Installation, wanted: RuleSet, now: float) -> None:
        ended = tuple(rule for key, rule in program.awaiting.items() if key not in wanted)
        added = sum(key not in program.awaiting for key in wanted)
        self._unknown.discard(program)
        program.awaiting, program.carried = wanted, counted_by_service(wanted.values())
        program.refreshed = now
        # Added, not modified: a switch begins to count the idle time of a rule when it is added.
        change = RuleChange(add=tuple(map(lasting, wanted.values())), remove=ended)
        if change:
            token = self._pending.send(attachment.port.dpid, change, Mode.BULK, program.binding.vsi_index, self)
            self._writing[token] = attachment
        if added or ended:
            self._pending.log(StateRefreshed, attachment, len(wanted), dict(program.carried), added, len(ended))


def _staged(attachment: Attachment) -> Installation | None:
    """The program of an attachment, if it is staged and its type keeps state."""
    program = attachment.holding.program
    if program is None or not attachment.present or program.phase is not Phase.STAGED:
        return None
    return program if state_capacity(program.vsi_type) else None
