"""Withdrawal of what an attachment has in the switches: its gate, then its bodies, then its record.

The order is that of the packets: a body is removed only when no gate leads to it any more, and the record stays until
all of it is gone, so that a controller that is restarted in between finishes the removal.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.event_catalogue.vsis import RulesSwept
from ryu_apps.evb.protocol.vdp_bridge import Released
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.installation import Installation, without
from ryu_apps.evb.vsi.installer import Installer
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.state_transfer import StateTransfer
from ryu_apps.evb.vsi.steps import DeleteByCookie, Forgetting


class Withdrawal:
    """Removal of programs and of attachments.

    Attributes:
        departing: called with an owner and its program when its gate is shut, and before its body is removed.
    """

    def __init__(
        self,
        installer: Installer,
        gates: GateSwitches,
        grants: Grants,
        state: StateTransfer,
        pending: PendingChanges,
    ) -> None:
        self._installer = installer
        self._gates = gates
        self._grants = grants
        self._state = state
        self._pending = pending
        self.departing: Callable[[Attachment, Installation], None] = lambda attachment, program: None
        self._refused: dict[int, list[tuple[Attachment, Installation, int]]] = {}

    def begin(self, attachment: Attachment) -> None:
        """Withdraw an attachment whose VSI leaves the port."""
        # State that a successor needs is read before anything is removed: a switch carries out messages in order.
        self._state.leave_behind(attachment)
        attachment.holding.releasing = True
        program = attachment.vsi.gate_program if attachment.vsi.owner is attachment else None
        self._gates.shut(attachment)
        if program is not None:
            self.departing(attachment, program)
        for held in attachment.holding.programs:
            held.leaving = True
        self._sweep_unreachable(attachment)
        # With successors the state stays, and is dropped when one of them is active or the last one has gone.
        if not self._state.successors(attachment.vsi):
            self.drop_left(attachment.vsi)

    def closed(self, attachment: Attachment, program: Installation, token: int) -> None:
        """Process the confirmation of one switch that no gate leads to a program any more."""
        program.closing = without(program.closing, token)
        self._sweep_unreachable(attachment)

    def not_closed(self, dpid: int, attachment: Attachment, program: Installation, token: int) -> None:
        """Process the refusal of one switch: until it is compared its gate may lead to the program."""
        self._refused.setdefault(dpid, []).append((attachment, program, token))

    def await_comparison(self, attachment: Attachment, program: Installation) -> None:
        """Note that the switch of an attachment may have a gate to a program, since it is not changed now."""
        token = self._pending.unanswered()
        program.closing += (token,)
        self.not_closed(attachment.port.dpid, attachment, program, token)

    def compared(self, dpid: int) -> list[Attachment]:
        """Process the end of a comparison of a switch, or its loss; returns the attachments for which that counts."""
        refused = self._refused.pop(dpid, [])
        for attachment, program, token in refused:
            self.closed(attachment, program, token)
        return [attachment for attachment, _, _ in refused]

    def swept(self, step: DeleteByCookie, token: int) -> None:
        """Process the confirmation that rules are removed."""
        # Not earlier: the next VSI with this index would have the rules of the last one.
        if step.index is not None:
            self._installer.indices.give_back(step.index)
        if step.attachment is not None:
            holding = step.attachment.holding
            holding.sweeping = without(holding.sweeping, token)
            self._forget_when_swept(step.attachment)

    def forgotten(self, step: Forgetting, failure: str | None) -> None:
        """Process the end of a deletion of records; the station does not wait for one that has to be repeated."""
        if failure is not None:
            self._grants.not_deleted(step.keys)
        if step.attachment is not None:
            step.attachment.holding.releasing = step.attachment.holding.forgetting = False
            self._pending.decide(step.attachment, Released())

    def sweep_retired(self, attachment: Attachment) -> None:
        """Remove the programs that were replaced."""
        for program in attachment.holding.retired:
            program.leaving = True
        self._sweep_unreachable(attachment)

    def sweep_never_opened(self, attachment: Attachment) -> None:
        """Remove the programs that were only ever staged; those that a gate has led to may still be in use."""
        for program in attachment.holding.retired:
            program.leaving |= not program.opened
        self._sweep_unreachable(attachment)

    def drop_left(self, vsi: Vsi) -> None:
        """Remove the state that a VSI has left in a switch and that no successor will read any more."""
        index = self._state.drop_left(vsi)
        if index is not None:
            self._installer.indices.give_back(index)

    def _sweep_unreachable(self, attachment: Attachment) -> None:
        self._gates.dismiss_copies(attachment)
        # While one switch may have the gate, it directs frames of the VM into the body.
        for program in attachment.holding.take_unreachable():
            self._installer.delete_by_cookie(attachment, program)
        self._forget_when_swept(attachment)

    def _forget_when_swept(self, attachment: Attachment) -> None:
        holding = attachment.holding
        swept = holding.releasing and not holding.programs and not holding.sweeping
        # Once only: each of several confirmations may find that nothing is left.
        if swept and not holding.forgetting:
            holding.forgetting = True
            self._pending.log(RulesSwept, attachment)
            self._grants.forget_attachment(attachment)
