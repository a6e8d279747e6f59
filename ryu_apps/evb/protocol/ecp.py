"""Edge Control Protocol (802.1Q clause 43): stop and wait, in both directions, at one port.

Delivers what the station sends once and in order, and sends one ECPDU at a time until it is
acknowledged or given up.  An acknowledgement says "received", nothing more.

Where it does more than the standard asks, a deployed station made it necessary: lldpad loses the
first of two ECPDUs that come within 2 ms although it acknowledged both, hence ``MINIMUM_GAP``; and
a restarted lldpad begins again at number 1, hence the duplicate test expires.  Numbers of our own
requests go on over a :class:`Reset` for the same reason seen from the other end: a station
that did not notice would take number 1 for a repetition.  Such a station remembers the last number for
ever, which is safe because a bridge draws its first one at random.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Tick, TransitionTable
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import ECP_VERSION, SUBTYPE_VDP, Ecpdu, EcpOp

__all__ = [
    "MINIMUM_GAP",
    "Acknowledged",
    "Deliver",
    "EcpEndpoint",
    "Received",
    "Reconfigure",
    "Reset",
    "Submit",
    "Tick",
    "Transmit",
    "Undelivered",
    "documented_rows",
]

MINIMUM_GAP = 0.005
"""Seconds from the end of one of our ECPDUs (acknowledged or given up) to the next."""

MINIMUM_DUPLICATE_WINDOW = 0.5
"""Seconds for which an equal sequence number is a repetition, at the least.  A busy machine may read a repetition a
quarter of a second behind the original without being told that it has missed anything (``Missed``), and a De-Associate
that is delivered twice is answered twice: its station takes the second answer for a refusal of what it has asked since.
A station that restarts needs longer than that until it has agreed on EVB and asks again."""

QUEUE_LIMIT = 1024
"""Payloads waiting behind the one that is being sent."""

LAST_SEQUENCE = 0xFFFF


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Received:
    """An ECPDU came in."""

    ecpdu: Ecpdu


@dataclass(frozen=True, slots=True)
class Submit:
    """The upper layer wants a payload delivered."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """The other end may have forgotten everything: link down or up, LLDP shutdown, neighbour aged out."""


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """The agreed timers changed; one that is running keeps its time."""

    operational: Operational


EcpEvent = Received | Submit | Reset | Reconfigure | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this ECPDU now."""

    ecpdu: Ecpdu


@dataclass(frozen=True, slots=True)
class Deliver:
    """A payload for the upper layer, new as far as can be known."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The station has acknowledged this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Undelivered:
    """This payload was not acknowledged, was dropped by a reset, or found the queue full."""

    payload: bytes


EcpOutput = Transmit | Deliver | Acknowledged | Undelivered


@dataclass(slots=True)
class EcpCounters:
    """What went wrong at this endpoint since it was made.

    Attributes:
        duplicates: requests acknowledged again and not delivered.
        retransmissions: requests of ours sent again.
        failures: payloads given up for want of an acknowledgement.
        refused: payloads that found the queue full.
        malformed: ECPDUs of another version or subtype.
        stray: acknowledgements nobody waited for.
    """

    duplicates: int = 0
    retransmissions: int = 0
    failures: int = 0
    refused: int = 0
    malformed: int = 0
    stray: int = 0


# --- the sending half is the machine -------------------------------------------------------------
class TxState(Enum):
    """What the sending half does; the names are the rendered table's."""

    IDLE = "idle"
    WAITING = "waiting for ACK"
    PAUSING = "pausing"


class EcpInput(Enum):
    """What an event amounts to, after the guards; the names are the rendered table's."""

    SUBMITTED = "submit"
    REFUSED = "submit, queue full"
    ACKED = "ACK of the ECPDU sent last"
    LATE_ACK = "ACK of the ECPDU given up last"
    STRAY_ACK = "other ACK"
    UNACKED = "ack timer over, retries left"
    EXHAUSTED = "ack timer over, no retry left"
    PAUSED = "gap over, nothing waiting"
    PAUSED_WAITING = "gap over, payloads waiting"
    RESET = "reset"
    RESET_SENDING = "reset, ECPDU not acknowledged"


_IDLE, _WAITING, _PAUSING = TxState


class EcpEndpoint:
    """Both ends of the two channels of one port.

    Attributes:
        state: of the sending half.
        operational: agreed timers.
        counters: see :class:`EcpCounters`.
        deadline: when to feed :class:`Tick`, None if nothing is awaited.
        unacknowledged_since: when the first ECPDU was given up behind the last acknowledgement; None: none was.
    """

    __slots__ = (
        "_acked",
        "_gap",
        "_outstanding",
        "_queue",
        "_receiver",
        "_sent",
        "counters",
        "deadline",
        "operational",
        "state",
        "unacknowledged_since",
    )

    def __init__(
        self,
        operational: Operational,
        gap: float = MINIMUM_GAP,
        first_sequence: int = 1,
        duplicate_window: float = MINIMUM_DUPLICATE_WINDOW,
    ) -> None:
        """
        Args:
            operational: timers to begin with.
            gap: seconds between the end of one of our ECPDUs and the next.
            first_sequence: number of the first one; a bridge that cannot know whether the station
                heard of an earlier life had better choose at random.
            duplicate_window: seconds for which an equal number is a repetition, at the least.
        """
        self.state = TxState.IDLE
        self.operational = operational
        self.counters = EcpCounters()
        self.deadline: float | None = None
        self._gap = gap
        self._queue: deque[bytes] = deque()
        self._outstanding = Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, _before(first_sequence))
        self._sent = 0
        self._acked = True
        self.unacknowledged_since: float | None = None
        self._receiver = _Receiver(self.counters, duplicate_window)

    @property
    def ready(self) -> bool:
        """Whether a payload submitted now would leave at once."""
        return self.state is TxState.IDLE

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard for so long: acknowledgements and repetitions may come later by that."""
        if self.deadline is not None:
            self.deadline += seconds
        self._receiver.postpone(seconds)

    def feed(self, event: EcpEvent, now: float) -> list[EcpOutput]:
        """Take one event; timers that are due are served behind it.  Reconfigure never has outputs."""
        if isinstance(event, Reconfigure):
            self.operational = event.operational
            return []
        outputs = self._take(event, now)
        while self.deadline is not None and self.deadline <= now:
            outputs += self.TABLE.step(self, self._timer_input(), Tick(), now)
        return outputs

    # --- guards: from event to input ---
    def _take(self, event: Received | Submit | Reset | Tick, now: float) -> list[EcpOutput]:
        match event:
            case Received(ecpdu):
                return self._receive(ecpdu, now)
            case Submit():
                return self.TABLE.step(self, self._submit_input(), event, now)
            case Reset():
                self._receiver.forget()
                self.unacknowledged_since = None
                sending = self.state is TxState.WAITING
                return self.TABLE.step(self, EcpInput.RESET_SENDING if sending else EcpInput.RESET, event, now)
            case Tick():
                return []

    def _receive(self, ecpdu: Ecpdu, now: float) -> list[EcpOutput]:
        if ecpdu.version != ECP_VERSION:
            self.counters.malformed += 1
            return []
        if ecpdu.op is EcpOp.REQUEST:
            return self._receiver.accept(ecpdu, now, self.operational)
        return self.TABLE.step(self, self._ack_input(ecpdu), ecpdu, now)

    def _submit_input(self) -> EcpInput:
        full = self.state is not TxState.IDLE and len(self._queue) >= QUEUE_LIMIT
        return EcpInput.REFUSED if full else EcpInput.SUBMITTED

    def _ack_input(self, ack: Ecpdu) -> EcpInput:
        awaited = self._outstanding.subtype, self._outstanding.sequence
        if self._acked or (ack.subtype, ack.sequence) != awaited:
            return EcpInput.STRAY_ACK
        return EcpInput.ACKED if self.state is TxState.WAITING else EcpInput.LATE_ACK

    def _timer_input(self) -> EcpInput:
        if self.state is TxState.PAUSING:
            return EcpInput.PAUSED_WAITING if self._queue else EcpInput.PAUSED
        return EcpInput.UNACKED if self._sent < self.operational.transmissions else EcpInput.EXHAUSTED

    # --- actions: the table's verbs ---
    def _send(self, submit: Submit, now: float) -> list[EcpOutput]:
        """Send it under the next number, start the ack timer."""
        return self._transmit_new(submit.payload, now)

    def _send_waiting(self, _: Tick, now: float) -> list[EcpOutput]:
        """Send the one waiting longest under the next number, start the ack timer."""
        return self._transmit_new(self._queue.popleft(), now)

    def _enqueue(self, submit: Submit, _: float) -> list[EcpOutput]:
        """Queue it."""
        self._queue.append(submit.payload)
        return []

    def _reject(self, submit: Submit, _: float) -> list[EcpOutput]:
        """Fail it."""
        self.counters.refused += 1
        return [Undelivered(submit.payload)]

    def _pause(self, _: Ecpdu, now: float) -> list[EcpOutput]:
        """Tell that it has arrived, start the gap."""
        self._acked = True
        self.unacknowledged_since = None
        self.deadline = now + self._gap
        return [Acknowledged(self._outstanding.payload)]

    def _resend(self, _: Tick, now: float) -> list[EcpOutput]:
        """Send the identical ECPDU again, start the ack timer."""
        self.counters.retransmissions += 1
        return self._transmit(now)

    def _give_up(self, _: Tick, now: float) -> list[EcpOutput]:
        """Fail it, start the gap."""
        self.counters.failures += 1
        if self.unacknowledged_since is None:
            self.unacknowledged_since = now
        self.deadline = now + self._gap
        return [Undelivered(self._outstanding.payload)]

    def _rest(self, _: Tick, __: float) -> list[EcpOutput]:
        """Nothing."""
        self.deadline = None
        return []

    def _drop_waiting(self, _: Reset, __: float) -> list[EcpOutput]:
        """Fail all that wait."""
        dropped: list[EcpOutput] = [Undelivered(payload) for payload in self._queue]
        self._queue.clear()
        return dropped

    def _drop_all(self, reset: Reset, now: float) -> list[EcpOutput]:
        """Fail the one being sent and all that wait, start the gap."""
        self.deadline = now + self._gap
        return [Undelivered(self._outstanding.payload), *self._drop_waiting(reset, now)]

    def _count_stray(self, _: Ecpdu, __: float) -> list[EcpOutput]:
        """Count it."""
        self.counters.stray += 1
        return []

    # --- what actions share ---
    def _transmit_new(self, payload: bytes, now: float) -> list[EcpOutput]:
        sequence = _after(self._outstanding.sequence)
        self._outstanding = Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, sequence, payload)
        self._sent = 0
        self._acked = False
        return self._transmit(now)

    def _transmit(self, now: float) -> list[EcpOutput]:
        self._sent += 1
        self.deadline = now + self.operational.ack_timer
        return [Transmit(self._outstanding)]

    # --- the table ---
    TABLE: ClassVar[TransitionTable[EcpEndpoint, TxState, EcpInput, EcpOutput]] = TransitionTable(
        "ECP sender",
        {
            (_IDLE, EcpInput.SUBMITTED): (_send, _WAITING),
            (_IDLE, EcpInput.LATE_ACK): (_pause, _PAUSING),
            (_IDLE, EcpInput.STRAY_ACK): (_count_stray, _IDLE),
            (_IDLE, EcpInput.RESET): (_drop_waiting, _IDLE),
            (_WAITING, EcpInput.SUBMITTED): (_enqueue, _WAITING),
            (_WAITING, EcpInput.REFUSED): (_reject, _WAITING),
            (_WAITING, EcpInput.ACKED): (_pause, _PAUSING),
            (_WAITING, EcpInput.STRAY_ACK): (_count_stray, _WAITING),
            (_WAITING, EcpInput.UNACKED): (_resend, _WAITING),
            (_WAITING, EcpInput.EXHAUSTED): (_give_up, _PAUSING),
            (_WAITING, EcpInput.RESET_SENDING): (_drop_all, _PAUSING),
            (_PAUSING, EcpInput.SUBMITTED): (_enqueue, _PAUSING),
            (_PAUSING, EcpInput.REFUSED): (_reject, _PAUSING),
            # The station has only just received it, so the distance counts from now.
            (_PAUSING, EcpInput.LATE_ACK): (_pause, _PAUSING),
            (_PAUSING, EcpInput.STRAY_ACK): (_count_stray, _PAUSING),
            (_PAUSING, EcpInput.PAUSED): (_rest, _IDLE),
            (_PAUSING, EcpInput.PAUSED_WAITING): (_send_waiting, _WAITING),
            (_PAUSING, EcpInput.RESET): (_drop_waiting, _PAUSING),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """The sending half's table in words, for the documentation."""
    return EcpEndpoint.TABLE.rows()


# --- the receiving half has no states, only a memory ----------------------------------------------
@dataclass(frozen=True, slots=True)
class _Last:
    sequence: int
    payload: bytes
    expires: float


class _Receiver:
    """Acknowledges every request and delivers those that do not repeat the last one."""

    __slots__ = ("_counters", "_last", "_window")

    def __init__(self, counters: EcpCounters, window: float) -> None:
        self._counters = counters
        self._window = window
        self._last: _Last | None = None

    def postpone(self, seconds: float) -> None:
        if self._last is not None:
            self._last = replace(self._last, expires=self._last.expires + seconds)

    def forget(self) -> None:
        self._last = None

    def accept(self, request: Ecpdu, now: float, operational: Operational) -> list[EcpOutput]:
        ack = Transmit(request.acknowledgement())
        if request.subtype != SUBTYPE_VDP:
            self._counters.malformed += 1
            return [ack]
        if self._repeats(request, now):
            self._counters.duplicates += 1
            return [ack]
        self._last = _Last(request.sequence, request.payload, now + self._lasts(operational))
        return [ack, Deliver(request.payload)]

    def _lasts(self, operational: Operational) -> float:
        """Twice the time in which genuine retransmissions arrive, at the least."""
        return max(2 * operational.transmissions * operational.ack_timer, self._window)

    def _repeats(self, request: Ecpdu, now: float) -> bool:
        last = self._last
        return (
            last is not None
            and now < last.expires
            and (request.sequence, request.payload) == (last.sequence, last.payload)
        )


def _after(sequence: int) -> int:
    """The next number; 0 is skipped."""
    return sequence + 1 if sequence < LAST_SEQUENCE else 1


def _before(sequence: int) -> int:
    """A number that ``sequence`` comes after."""
    return sequence - 1 if sequence > 0 else LAST_SEQUENCE
