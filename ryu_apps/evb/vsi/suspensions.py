"""VSIs whose stations report that the VM does not run there (the S bit of VDP): no frame from the VM is let in.

The rules of the gate for frames from the VM are removed at the VSI's own switch.  All else stays, so frames to the VM
arrive as before.  An Associate without the S bit adds the rules again.  It is processed when the switch has confirmed
them, so that the VM is not resumed behind a shut gate.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.tokens import TokenOwner
from ryu_apps.evb.vsi.gates import GateSwitches
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.registry import Attachment

#: Continues a request that had to wait, at a time.
Work = Callable[[float], None]


class Suspensions(TokenOwner):
    """The suspended VSIs of all ports.

    Args:
        refused: called with switch, reason and time when a switch refuses a change.
    """

    def __init__(self, gates: GateSwitches, grants: Grants, refused: Callable[[int, str, float], None]) -> None:
        self._gates = gates
        self._grants = grants
        self._refused = refused
        self._resuming: dict[int, Attachment] = {}
        self._waiting: dict[Attachment, Work] = {}
        self._ready: list[Work] = []

    def suspend(self, attachment: Attachment) -> None:
        """Let in no frame from a VM at an attachment; nor if a gate that is on its way elsewhere has to return."""
        attachment.silent = True
        if attachment.vsi.owner is attachment:
            self._gates.renew(attachment.vsi, self)
            # A controller that is restarted in the meantime leaves the gate as it is.
            self._grants.record(attachment)

    def resume(self, attachment: Attachment, work: Work) -> bool:
        """Let frames from a VM in again; returns True if ``work`` has to wait for the switch."""
        if attachment.silent:
            attachment.silent = False
            if attachment.vsi.owner is attachment:
                self._resuming.update(dict.fromkeys(self._gates.renew(attachment.vsi, self), attachment))
                self._grants.record(attachment)
        if not self.is_resuming(attachment):
            return False
        self._waiting[attachment] = work
        return True

    def is_resuming(self, attachment: Attachment) -> bool:
        """True if a switch has yet to confirm that it lets frames from a VM in again."""
        return attachment in self._resuming.values()

    def drop(self, attachment: Attachment) -> None:
        """Drop the work that waits for an attachment: a newer request has come."""
        self._waiting.pop(attachment, None)

    def take_ready(self) -> list[Work]:
        """Return and clear the work that waits for nothing any more."""
        ready, self._ready = self._ready, []
        return ready

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the confirmation that frames are let in again."""
        attachment = self._resuming.pop(token, None)
        if attachment is not None and not self.is_resuming(attachment):
            work = self._waiting.pop(attachment, None)
            self._ready += [] if work is None else [work]

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process a refusal: the switch is compared, and the station repeats its request."""
        attachment = self._resuming.pop(token, None)
        if attachment is not None:
            self._waiting.pop(attachment, None)
        self._refused(dpid, reason, now)
