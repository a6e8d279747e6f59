"""Answers that wait: to De-Associates of stations that are notified of a move later.

libvirt does not wait for the answer to its De-Associate, and lldpad passes on to libvirtd what nothing waits for.  A
libvirtd that has not removed its guest's interface yet then associates the VSI anew, at the host that the guest has
left; lldpad keeps a record of the refusal, which refuses the guest when it comes back.
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.ports.outputs import AssociationReceived
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vsi_id import VsiId

#: Seconds: libvirtd removes an interface within some 20 ms, and does not ask for the VSI again within 300 ms.
_WAIT = 0.1

#: Sends the answer: port, De-Associate, time.
Confirm = Callable[[PortId, AssociationReceived, float], None]


class LateAnswers:
    """De-Associates that are answered later."""

    def __init__(self, confirm: Confirm) -> None:
        self._confirm = confirm
        self._waiting: dict[tuple[PortId, VsiId], AssociationReceived] = {}
        self._due: DeadlineQueue[tuple[PortId, VsiId]] = DeadlineQueue()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._due.deadline

    def put(self, port: PortId, received: AssociationReceived, now: float) -> None:
        """Answer a De-Associate later."""
        place = port, received.association.vsi_id
        self._waiting[place] = received
        self._due.set(place, now + _WAIT)

    def waits(self, port: PortId, vsi_id: VsiId) -> bool:
        """True if a VSI's De-Associate has yet to be answered."""
        return (port, vsi_id) in self._waiting

    def answer_before(self, port: PortId, vsi_id: VsiId, now: float) -> None:
        """Answer a VSI's De-Associate now: the station requests it again, and answers keep their order."""
        if (received := self._waiting.pop((port, vsi_id), None)) is not None:
            self._due.set((port, vsi_id), None)
            self._confirm(port, received, now)

    def tick(self, now: float) -> None:
        """Send the answers that are due."""
        for place in self._due.due(now):
            self._confirm(place[0], self._waiting.pop(place), now)
