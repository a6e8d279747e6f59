"""Reports of stations whether a VM runs: the S bit of their requests."""

from __future__ import annotations

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.vsis import VsiSuspended
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.suspensions import Suspensions, Work
from ryu_apps.evb.wire.vdp import Association, RequestStatus, VdpMode


class SuspensionReports:
    """Effects of the S bit where a VSI is active."""

    def __init__(self, lifecycle: Lifecycle, effects: EffectSink) -> None:
        self._lifecycle = lifecycle
        self._effects = effects
        self._suspensions = Suspensions(
            lifecycle.gates, lifecycle.grants, lambda dpid, reason, now: lifecycle.answers.refused(dpid, reason, now)
        )

    def waits(self, attachment: Attachment, asked: Association, work: Work) -> bool:
        """Return True if ``work``, which processes a request, waits until frames from the VM are let in again."""
        self._suspensions.drop(attachment)
        if asked.MODE is not VdpMode.ASSOCIATE or _suspended(asked):
            return False
        attachment.conversation.suspended = False
        return self._suspensions.resume(attachment, work)

    def concerns(self, attachment: Attachment) -> bool:
        """True if frames from the VM are not let in, or are about to be let in again."""
        return attachment.silent or self._suspensions.is_resuming(attachment)

    def note(self, attachment: Attachment, asked: Association, keep_alive: bool) -> None:
        """Note the S bit of a request that has been processed; the first one is the trigger of the source."""
        suspended = _suspended(asked)
        if suspended and not attachment.conversation.suspended:
            self._effects.put(attachment.log_event(VsiSuspended))
            self._lifecycle.suspended(attachment)
            # Not at the first Associate of a VM: its station may report what was true at the source.
            if keep_alive and asked.MODE is VdpMode.ASSOCIATE:
                self._suspensions.suspend(attachment)
        attachment.conversation.suspended = suspended

    def take_ready(self) -> list[Work]:
        """Return and clear the requests that wait for no switch any more."""
        return self._suspensions.take_ready()


def _suspended(asked: Association) -> bool:
    return isinstance(asked.status, RequestStatus) and asked.status.suspended
