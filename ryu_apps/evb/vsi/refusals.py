"""Refusals of requests: what was begun for them is undone, and the program whose gate is open stays in force."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.event_catalogue.vsis import VdpRefused
from ryu_apps.evb.protocol.vdp_bridge import Denied
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.vsi.withdrawal import Withdrawal
from ryu_apps.evb.wire.vdp import VdpError


class Refusals:
    """Undoes what requests have led to that are refused, replaced or ended.

    Attributes:
        called_off: called when the newest request of an attachment is not carried out any more.
    """

    def __init__(self, gates: GateSwitches, grants: Grants, withdrawal: Withdrawal, pending: PendingChanges) -> None:
        self.called_off: Callable[[Attachment], None] = lambda attachment: None
        self._gates = gates
        self._grants = grants
        self._withdrawal = withdrawal
        self._pending = pending

    def deny(self, attachment: Attachment, reason: str) -> None:
        """Refuse the newest request of an attachment for want of resources, and return to what is in force."""
        error = VdpError.INSUFFICIENT_RESOURCES
        self._pending.log(VdpRefused, attachment, reason=reason, error=error)
        denied = Denied(error, attempt=attachment.machine.attempt)
        if not self.takes_back(attachment, denied):
            self._pending.decide(attachment, denied)

    def takes_back(self, attachment: Attachment, denied: Denied) -> bool:
        """Undo what the newest request has led to; True: ``denied`` follows when the store has the former records."""
        undone = self._undo(attachment)
        if undone is None or not undone.recorded:
            return False
        # Not before the store has the former owner again: a restart must not carry out what was refused.
        attachment.holding.decided = None
        self._grants.take_back(undone, denied)
        return True

    def call_off(self, attachment: Attachment) -> None:
        """Undo an opening that is in progress and no longer requested."""
        if self._gates.of(attachment):
            self.abandon(attachment)

    def abandon(self, attachment: Attachment) -> None:
        """Return to the program whose gate is open, if the attachment has one that is confirmed."""
        undone = self._undo(attachment)
        if undone is not None and undone.recorded:
            self._grants.take_back(undone)

    def _undo(self, attachment: Attachment) -> GateSwitch | None:
        self.called_off(attachment)
        undone = self._gates.undo(attachment)
        vsi, holding = attachment.vsi, attachment.holding
        if vsi.owner is attachment and holding.program not in (None, vsi.gate_program):
            holding.return_to(vsi.gate_program)
            self._withdrawal.sweep_retired(attachment)
        return undone
