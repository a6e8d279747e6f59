"""A change or a question under way at a switch: one object each, fed with the switch's answers.

A job sends through its :class:`Transport` and says in ``outcome`` how it ended.  It has no access to the queue, the
lane and no other job.  All it sends goes in flights: runs of messages with consecutive transaction
ids, the last of which the switch answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ryu_apps.evb.events import Event, Rejected
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.piece import QueuedMessage, Subject


@dataclass(slots=True)
class SentRequest:
    """Messages on their way.

    Attributes:
        job: who sent them.
        xids: their transaction ids; the switch's answer to the last one ends the flight.
        messages: what the first of them are about, in the order of their ids.
        weight: what it takes of the window of bulk messages.
    """

    job: Job
    xids: range
    messages: tuple[QueuedMessage, ...] = ()
    weight: int = 0

    def subject(self, xid: int) -> Subject | None:
        """Return the subject of a message; None if it has none."""
        index = xid - self.xids.start
        return self.messages[index][1] if index < len(self.messages) else None


@dataclass(frozen=True, slots=True)
class Transport:
    """Operations of the driver that a job may call.

    Attributes:
        send: octets to the switch, in order.
        reserve: take so many consecutive transaction ids.
        launch: tell that a flight leaves.
    """

    send: Callable[[bytes | bytearray], None]
    reserve: Callable[[int], range]
    launch: Callable[[SentRequest], None]


class Job(ABC):
    """One change or question.

    Attributes:
        token: as in the effect that asked for it.
        outcome: the event that ends it, None while it is open.
        all_sent: nothing more will be sent, unless to clean up.
    """

    def __init__(self, wire: Transport, dpid: int, token: int) -> None:
        self.wire = wire
        self.dpid = dpid
        self.token = token
        self.outcome: Event | None = None
        self.all_sent = False

    @abstractmethod
    def send(self) -> None:
        """Send the first part, or the next."""

    @abstractmethod
    def answered(self, flight: SentRequest, octets: bytes) -> None:
        """The switch has answered the last message of a flight."""

    def interim(self, xid: int, octets: bytes) -> None:
        """The switch has answered another one, or with more to follow."""
        del xid, octets

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        """The switch refuses a message: what is not sent yet never will be."""
        subject = flight.subject(xid)
        self.reject(f"{subject}: {error.text}" if subject else error.text, error.full)

    def reject(self, reason: str, full: bool = False) -> None:
        """Give up, unless it is over anyway."""
        self.all_sent = True
        if self.outcome is None:
            self.outcome = Rejected(self.dpid, self.token, reason, full)

    def ask(self, question: Callable[[int], bytes], *, weight: int = 0) -> None:
        """Send one request as a flight of its own."""
        xids = self.wire.reserve(1)
        self.wire.launch(SentRequest(self, xids, weight=weight))
        self.wire.send(question(xids[0]))
