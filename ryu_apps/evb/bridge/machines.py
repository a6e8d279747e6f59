"""VDP machines of all attachments: their deadlines, and outputs that are not acted on yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate, VdpEvent, VdpOutput, VsiState
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Registry


class Machines:
    """The machines, and the queue of what they want done, in order."""

    def __init__(self, registry: Registry, pending: PendingChanges) -> None:
        self._registry = registry
        self._pending = pending
        self._agenda: DeadlineQueue[Attachment] = DeadlineQueue()
        self._outputs: deque[tuple[Attachment, VdpOutput]] = deque()

    @property
    def deadline(self) -> float | None:
        """Time at which the next machine is due, monotonic seconds; None: no timer runs."""
        return self._agenda.deadline

    # --- events in, outputs out ---
    def feed(self, attachment: Attachment, event: VdpEvent, now: float) -> None:
        """Feed the machine of an attachment and queue its outputs."""
        self._outputs.extend((attachment, output) for output in attachment.machine.feed(event, now))
        self.watch(attachment)

    def feed_decisions(self, now: float) -> None:
        """Feed the decisions that the lifecycle has left, at once: later decisions depend on the machines' states."""
        decisions = self._pending.decisions
        while decisions:
            attachment, decision = decisions.popleft()
            self.feed(attachment, decision, now)

    def deassociate(self, attachment: Attachment, reason: str, now: float) -> None:
        """End a VSI at a port from the side of the bridge, unless it is ending already."""
        if attachment.machine.state in (VsiState.HELD, VsiState.DECIDING):
            self.feed(attachment, BridgeDeassociate(reason), now)

    def outputs(self) -> Iterator[tuple[Attachment, VdpOutput]]:
        """Remove and yield the outputs, also those that are queued meanwhile."""
        while self._outputs:
            yield self._outputs.popleft()

    # --- deadlines ---
    def watch(self, attachment: Attachment, deadline: float | None = None) -> None:
        """Note the deadline of a machine, or an earlier time at which to look at it again."""
        self._agenda.set(attachment, attachment.machine.deadline if deadline is None else deadline)

    def due(self, now: float) -> Iterator[Attachment]:
        """Yield the attachments whose machines are due."""
        return self._agenda.due(now)

    def restart_keep_alive(self, attachment: Attachment, now: float) -> None:
        """Begin the keep-alive timeout of a VSI anew."""
        attachment.machine.restart_keep_alive(now)
        self.watch(attachment)

    def postpone(self, seconds: float) -> None:
        """Extend all timers by a time in which no station could be heard."""
        for attachment in self._registry.attachments():
            attachment.machine.postpone(seconds)
            self.watch(attachment)
