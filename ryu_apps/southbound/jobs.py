"""A change or a query in progress at a switch: one object each, fed with the replies of the switch.

A job sends through its :class:`Transport`; ``outcome`` is the event that ends it.  It has no access to the queue, to
its lane or to other jobs.  It sends messages as a :class:`SentRequest`: a run with consecutive transaction ids.  The
switch answers the last one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Rejected
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.piece import QueuedMessage, Subject


@dataclass(slots=True)
class SentRequest:
    """A run of messages that the switch has not answered yet.

    Attributes:
        job: the sender.
        xids: their transaction ids; the reply to the last one ends the run.
        messages: subjects of the first of them, in the order of their ids.
        weight: its share of the window of bulk messages.
    """

    job: Job
    xids: range
    messages: tuple[QueuedMessage, ...] = ()
    weight: int = 0

    def subject(self, xid: int) -> Subject | None:
        """Return the subject of a message; None if it has none."""
        index = xid - self.xids.start
        return self.messages[index][1] if index < len(self.messages) else None

    def octets(self, xid: int) -> bytes:
        """Return a message that has a subject."""
        return self.messages[xid - self.xids.start][0]


@dataclass(frozen=True, slots=True)
class Transport:
    """Operations of the driver that a job may call.

    Attributes:
        send: octets to the switch, in order.
        reserve: take so many consecutive transaction ids.
        launch: registers a run before it is sent.
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
        """Handle the reply to the last message of a run."""

    def interim(self, xid: int, octets: bytes) -> None:
        """Handle the reply to an earlier message, or a part of a reply with more to follow."""
        del xid, octets

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        """Handle an error message; unsent messages of the job are dropped."""
        subject = flight.subject(xid)
        self.reject(f"{subject}: {error.text}" if subject else error.text, error.full)

    def reject(self, reason: str, full: bool = False) -> None:
        """End with a rejection, unless the job has ended."""
        self.all_sent = True
        if self.outcome is None:
            self.outcome = Rejected(self.dpid, self.token, reason, full)

    def ask(self, question: Callable[[int], bytes], *, weight: int = 0) -> int:
        """Send one request as a run of its own; returns its transaction id."""
        xids = self.wire.reserve(1)
        self.wire.launch(SentRequest(self, xids, weight=weight))
        self.wire.send(question(xids[0]))
        return xids[0]
