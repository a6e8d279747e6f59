"""Associates that wait a short time for the VSI port of their VM to appear.

A hypervisor may request a VSI before the VM's tap is at the switch.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.vsi.registry import Attachment

#: Seconds for which an Associate waits, or less: its station has to be answered in time.
PATIENCE = 5.0
_MARGIN = 0.1


class AbsentPorts:
    """Waiting Associates of all switches."""

    def __init__(self) -> None:
        self._attempts: dict[Attachment, int] = {}
        self._until: DeadlineQueue[Attachment] = DeadlineQueue()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`due`, monotonic seconds."""
        return self._until.deadline

    def wait(self, attachment: Attachment, now: float) -> None:
        """Let the newest Associate of an attachment wait for the port that it claims."""
        latest = attachment.machine.deadline
        until = now + PATIENCE if latest is None else min(now + PATIENCE, latest - _MARGIN)
        self._attempts[attachment] = attachment.machine.attempt
        self._until.set(attachment, until)

    def take(self, dpid: int, vsi_port: str) -> list[Attachment]:
        """Return the Associates that wait for a VSI port and are still valid; they wait no longer."""
        waiting = [waits for waits in self._attempts if waits.port.dpid == dpid and waits.vsi_port == vsi_port]
        return [attachment for attachment in waiting if self._end(attachment)]

    def due(self, now: float) -> Iterator[Attachment]:
        """Yield the Associates that have waited until their time."""
        for attachment in self._until.due(now):
            if self._end(attachment):
                yield attachment

    def _end(self, attachment: Attachment) -> bool:
        self._until.set(attachment, None)
        attempt = self._attempts.pop(attachment)
        return attachment.present and attachment.machine.awaits(attempt)
