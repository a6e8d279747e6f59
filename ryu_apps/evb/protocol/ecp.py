"""Edge Control Protocol (802.1Q clause 43): stop and wait, in both directions, at one port.

Delivers payloads of the station once and in order, and sends one ECPDU at a time until it is
acknowledged or given up.  An acknowledgement confirms receipt, not processing.

Beyond the standard, because of a deployed station: lldpad loses the first of two ECPDUs that it reads
within 2 ms although it acknowledges both, hence ``MINIMUM_GAP``, and a longer pause after an ECPDU that it
may not have read yet; and a restarted lldpad begins again at
number 1, hence the duplicate test expires.  Numbers of own requests continue over a :class:`Reset`: a
station that did not notice the interruption would take number 1 for a repetition.  lldpad keeps the last
number without expiry, therefore a bridge begins at a random number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.ecp_events import (
    Acknowledged,
    Deliver,
    EcpCounters,
    EcpEvent,
    EcpOutput,
    Received,
    Reconfigure,
    Reset,
    Submit,
    Transmit,
    Undelivered,
)
from ryu_apps.evb.protocol.ecp_receiver import MINIMUM_DUPLICATE_WINDOW, EcpReceiver
from ryu_apps.evb.protocol.table import DocumentedRow, Tick, TransitionTable
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import ECP_VERSION, SUBTYPE_VDP, Ecpdu, EcpOp

__all__ = [
    "MINIMUM_GAP",
    "Acknowledged",
    "Deliver",
    "EcpEndpoint",
    "EcpOutput",
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
"""Seconds from the end of an own ECPDU (acknowledged or given up) to the next."""

QUEUE_LIMIT = 1024
"""Payloads waiting behind the one that is being sent."""

LAST_SEQUENCE = 0xFFFF


class TxState(Enum):
    """State of the sending half; the values appear in the rendered table."""

    IDLE = "idle"
    WAITING = "waiting for ACK"
    PAUSING = "pausing"


class EcpInput(Enum):
    """Input of the table, selected by the guards; the values appear in the rendered table."""

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
    """ECP at one port: the sender of one direction and the receiver of the other.

    Attributes:
        state: of the sending half.
        operational: agreed timers.
        counters: see :class:`EcpCounters`.
        deadline: time to feed :class:`Tick`, None if no timer runs.
        unacknowledged_since: time at which the first ECPDU after the last acknowledgement was given up, or None.
    """

    __slots__ = (
        "_acked",
        "_gap",
        "_outstanding",
        "_queue",
        "_receiver",
        "_sent",
        "_silence",
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
        silence: float = 0.0,
    ) -> None:
        """
        Args:
            operational: timers to begin with.
            gap: seconds between the end of an own ECPDU and the next.
            first_sequence: number of the first own ECPDU; random in a bridge, because the station may remember
                numbers from before the bridge's restart.
            duplicate_window: least seconds for which an equal number is a repetition.
            silence: part of the response wait for which nothing more is sent to a station that has not acknowledged
                an ECPDU; it may be busy, and read it later.
        """
        self.state = TxState.IDLE
        self.operational = operational
        self.counters = EcpCounters()
        self.deadline: float | None = None
        self._gap = gap
        self._silence = silence
        self._queue: deque[bytes] = deque()
        self._outstanding = Ecpdu(EcpOp.REQUEST, SUBTYPE_VDP, _before(first_sequence))
        self._sent = 0
        self._acked = True
        self.unacknowledged_since: float | None = None
        self._receiver = EcpReceiver(self.counters, duplicate_window)

    @property
    def ready(self) -> bool:
        """True if a payload submitted now is sent at once."""
        return self.state is TxState.IDLE

    @property
    def awaits(self) -> bool:
        """True until the ECPDU that was sent last is acknowledged or given up."""
        return self.state is TxState.WAITING

    def delivers(self, ecpdu: Ecpdu, now: float) -> bool:
        """True if the payload of a received ECPDU would be delivered."""
        is_request = ecpdu.version == ECP_VERSION and ecpdu.op is EcpOp.REQUEST
        return is_request and ecpdu.subtype == SUBTYPE_VDP and not self._receiver.repeats(ecpdu, now)

    def postpone(self, seconds: float) -> None:
        """Extend timers by a period in which no frame could be received; not the gap, in which none is awaited."""
        if self.deadline is not None and self.state is TxState.WAITING:
            self.deadline += seconds
        self._receiver.postpone(seconds)

    def feed(self, event: EcpEvent, now: float) -> list[EcpOutput]:
        """Process one event, then timers that are due.  Reconfigure never has outputs."""
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

    # --- actions; the docstrings appear in the rendered table ---
    def _send(self, submit: Submit, now: float) -> list[EcpOutput]:
        """Send the payload with the next number, start the ack timer."""
        return self._transmit_new(submit.payload, now)

    def _send_waiting(self, _: Tick, now: float) -> list[EcpOutput]:
        """Send the oldest queued payload with the next number, start the ack timer."""
        return self._transmit_new(self._queue.popleft(), now)

    def _enqueue(self, submit: Submit, _: float) -> list[EcpOutput]:
        """Queue the payload."""
        self._queue.append(submit.payload)
        return []

    def _reject(self, submit: Submit, _: float) -> list[EcpOutput]:
        """Report the payload as undelivered."""
        self.counters.refused += 1
        return [Undelivered(submit.payload)]

    def _pause(self, _: Ecpdu, now: float) -> list[EcpOutput]:
        """Report delivery, start the gap."""
        self._acked = True
        self.unacknowledged_since = None
        self.deadline = now + self._gap
        return [Acknowledged(self._outstanding.payload)]

    def _resend(self, _: Tick, now: float) -> list[EcpOutput]:
        """Send the identical ECPDU again, start the ack timer."""
        self.counters.retransmissions += 1
        return self._transmit(now)

    def _give_up(self, _: Tick, now: float) -> list[EcpOutput]:
        """Report the payload as undelivered, start a longer gap, which an acknowledgement ends."""
        self.counters.failures += 1
        if self.unacknowledged_since is None:
            self.unacknowledged_since = now
        self.deadline = now + max(self._gap, self._silence * self.operational.response_wait)
        return [Undelivered(self._outstanding.payload)]

    def _rest(self, _: Tick, __: float) -> list[EcpOutput]:
        """Nothing."""
        self.deadline = None
        return []

    def _drop_waiting(self, _: Reset, __: float) -> list[EcpOutput]:
        """Report queued payloads as undelivered."""
        dropped: list[EcpOutput] = [Undelivered(payload) for payload in self._queue]
        self._queue.clear()
        return dropped

    def _drop_and_pause(self, reset: Reset, now: float) -> list[EcpOutput]:
        """Report queued payloads as undelivered, start the gap."""
        self.deadline = now + self._gap
        return self._drop_waiting(reset, now)

    def _drop_all(self, reset: Reset, now: float) -> list[EcpOutput]:
        """Report the payload being sent and queued ones as undelivered, start the gap."""
        self.deadline = now + self._gap
        return [Undelivered(self._outstanding.payload), *self._drop_waiting(reset, now)]

    def _count_stray(self, _: Ecpdu, __: float) -> list[EcpOutput]:
        """Count the ACK."""
        self.counters.stray += 1
        return []

    # --- shared by actions ---
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
            # The station has received the ECPDU only now, so the gap begins anew.
            (_PAUSING, EcpInput.LATE_ACK): (_pause, _PAUSING),
            (_PAUSING, EcpInput.STRAY_ACK): (_count_stray, _PAUSING),
            (_PAUSING, EcpInput.PAUSED): (_rest, _IDLE),
            (_PAUSING, EcpInput.PAUSED_WAITING): (_send_waiting, _WAITING),
            (_PAUSING, EcpInput.RESET): (_drop_and_pause, _PAUSING),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """Rows of the sending half's table, for the documentation."""
    return EcpEndpoint.TABLE.rows()


def _after(sequence: int) -> int:
    """The next number; 0 is skipped."""
    return sequence + 1 if sequence < LAST_SEQUENCE else 1


def _before(sequence: int) -> int:
    """The number before ``sequence``."""
    return sequence - 1 if sequence > 0 else LAST_SEQUENCE
