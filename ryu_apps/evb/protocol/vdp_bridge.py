"""Bridge VDP machine (802.1Q clause 41): one VSI at one port, without frames, switches or clock.

The machine has the states and timers of the protocol; its owner makes the decisions.  On :class:`Decide` the
owner validates and stages or activates, then feeds :class:`Granted` or :class:`Denied`; on
:class:`ReleaseVsi` it withdraws, then feeds :class:`Released`.  A late result is ignored: it must not
re-establish a VSI.

lldpad requires three rules: *Keep* is sent only for a VSI that is associated, never in answer to a
keep-alive, and a refusal always has a non-zero error type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Tick, TransitionTable
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpError, VdpMode

__all__ = [
    "ELSEWHERE",
    "LAPSED",
    "Announce",
    "BridgeDeassociate",
    "Decide",
    "Denied",
    "Forget",
    "Granted",
    "ReleaseVsi",
    "Released",
    "Request",
    "Respond",
    "Tick",
    "VdpBridge",
    "VsiState",
    "documented_rows",
]

SUCCESS = ResponseStatus(VdpError.SUCCESS)
LAPSED = "keep-alive timeout"
"""Reason of an :class:`Announce` after toutKA without keep-alive."""
ELSEWHERE = "associated in another pod"
"""Reason of a :class:`BridgeDeassociate` of a VSI that another pod has."""


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Request:
    """A request of the station.

    Attributes:
        mode: requested mode.
        changed: VSI type or filter info differ from the request being decided or, without one, from the
            association in force.
        apart: to the station this is another VSI than the association in force (another VSI type or manager), so
            that a refusal does not end that association.
    """

    mode: VdpMode
    changed: bool = False
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The request of a :class:`Decide` is carried out and confirmed.

    ``attempt`` is the number of that :class:`Decide`; None for the last one.
    """

    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The request of a :class:`Decide` is refused.

    Attributes:
        error: error type; not SUCCESS.
        hard: the same request will be refused again.
        attempt: as in :class:`Granted`.

    Raises:
        ValueError: the error is SUCCESS, which stations would take for a grant.
    """

    error: VdpError
    hard: bool = False
    attempt: int | None = None

    def __post_init__(self) -> None:
        if self.error is VdpError.SUCCESS:
            raise ValueError("a denial needs an error type other than SUCCESS")


@dataclass(frozen=True, slots=True)
class Released:
    """The withdrawal after a :class:`ReleaseVsi` is carried out and confirmed."""


@dataclass(frozen=True, slots=True)
class BridgeDeassociate:
    """The bridge ends the VSI at this port: it has moved, or an operator or the VSI manager ends it."""

    reason: str


VdpEvent = Request | Granted | Denied | Released | BridgeDeassociate | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Decide:
    """Validate the request and carry it out; a later Decide replaces an earlier one.

    ``attempt`` numbers the decisions of this machine from 1.
    """

    mode: VdpMode
    attempt: int


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the station's request of this mode.

    With ``status.keep`` the association in force stays, and the owner undoes what the refused attempt has begun.
    """

    mode: VdpMode
    status: ResponseStatus


@dataclass(frozen=True, slots=True)
class Announce:
    """Send an unsolicited De-Associate; ``reason`` is for operators."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseVsi:
    """Withdraw everything that was installed or reserved for this VSI at this port."""


@dataclass(frozen=True, slots=True)
class Forget:
    """The VSI has no state any more; the record can be deleted."""


VdpOutput = Decide | Respond | Announce | ReleaseVsi | Forget


# --- the machine --------------------------------------------------------------------------------
class VsiState(Enum):
    """State of a VSI; the values appear in the rendered table."""

    ABSENT = "absent"
    DECIDING = "deciding"
    HELD = "held"
    RELEASING = "releasing"


class VdpInput(Enum):
    """Input of the table, selected by the guards; the values appear in the rendered table."""

    ASKED = "new request"
    REPEATED = "same request again"
    DEASSOCIATED = "De-Associate"
    GRANTED = "granted"
    DENIED = "denied"
    DENIED_KEPT = "denied, still associated"
    STALE_ANSWER = "late grant or denial"
    OVERDUE = "resource wait delay over"
    OVERDUE_KEPT = "resource wait delay over, still associated"
    LAPSED = "toutKA over"
    BRIDGE_DEASSOCIATE = "bridge de-associates"
    RELEASED = "released"
    RELEASED_ASKED = "released, request waiting"
    RELEASED_DEASSOCIATED = "released, De-Associate waiting"


_ABSENT, _DECIDING, _HELD, _RELEASING = VsiState


class VdpBridge:
    """One VSI at one port.

    Attributes:
        state: see :class:`VsiState`.
        in_force: the mode granted last, None without association.
        wanted: the mode of the unanswered request, None if all are answered.
        operational: agreed timers; may be assigned, a running timer keeps its deadline.
        deadline: time to feed :class:`Tick`, None if no timer runs.
    """

    __slots__ = ("_apart", "attempt", "deadline", "in_force", "operational", "state", "wanted")

    def __init__(self, operational: Operational) -> None:
        self.operational = operational
        self._apart = False
        self.state = VsiState.ABSENT
        self.in_force: VdpMode | None = None
        self.wanted: VdpMode | None = None
        self.attempt = 0
        self.deadline: float | None = None

    @classmethod
    def resumed(cls, operational: Operational, mode: VdpMode, now: float) -> VdpBridge:
        """A machine for a VSI to which ``mode`` was granted before a restart of the bridge."""
        machine = cls(operational)
        machine.state = VsiState.HELD
        machine.in_force = mode
        machine._restart_keep_alive(now)
        return machine

    def decide_again(self) -> None:
        """Take back that the mode in force was granted: it may not have been answered, and is decided anew.

        However long that takes: the station may rely on it.
        """
        self.state, self.wanted, self.deadline = VsiState.DECIDING, self.in_force, None
        self.attempt += 1

    def restart_keep_alive(self, now: float) -> None:
        """Begin toutKA anew, after a period in which no frame could be received."""
        if self.state is VsiState.HELD:
            self._restart_keep_alive(now)

    def postpone(self, seconds: float) -> None:
        """Extend the timer by a period in which no frame could be received."""
        if self.deadline is not None:
            self.deadline += seconds

    def feed(self, event: VdpEvent, now: float) -> list[VdpOutput]:
        """Process one event.

        Raises:
            ProtocolError: the event is not permitted in this state.
        """
        given = self._input(event, now)
        return [] if given is None else self.TABLE.step(self, given, event, now)

    # --- guards: from event to input ---
    def _input(self, event: VdpEvent, now: float) -> VdpInput | None:
        match event:
            case Request():
                return self._request_input(event)
            case Granted(attempt):
                return VdpInput.GRANTED if self.awaits(attempt) else VdpInput.STALE_ANSWER
            case Denied(attempt=attempt):
                if not self.awaits(attempt):
                    return VdpInput.STALE_ANSWER
                return VdpInput.DENIED_KEPT if self._keeps() else VdpInput.DENIED
            case Released():
                return self._released_input()
            case BridgeDeassociate():
                return VdpInput.BRIDGE_DEASSOCIATE
            case Tick():
                return self._tick_input(now)

    def _request_input(self, request: Request) -> VdpInput:
        if request.mode is VdpMode.DEASSOCIATE:
            return VdpInput.DEASSOCIATED
        current = self.wanted if self.state is VsiState.DECIDING else self.in_force
        same = request.mode is current and not request.changed
        return VdpInput.REPEATED if same else VdpInput.ASKED

    def _released_input(self) -> VdpInput:
        if self.wanted is None:
            return VdpInput.RELEASED
        return VdpInput.RELEASED_DEASSOCIATED if self.wanted is VdpMode.DEASSOCIATE else VdpInput.RELEASED_ASKED

    def _tick_input(self, now: float) -> VdpInput | None:
        if self.deadline is None or now < self.deadline:
            return None
        if self.state is VsiState.HELD:
            return VdpInput.LAPSED
        return VdpInput.OVERDUE_KEPT if self._keeps() else VdpInput.OVERDUE

    def awaits(self, attempt: int | None) -> bool:
        """True if the result of this attempt (None: the last) is awaited."""
        return self.state is VsiState.DECIDING and attempt in (None, self.attempt)

    def is_overdue(self, now: float) -> bool:
        """True if a request has waited for its decision for too long."""
        return self.state is VsiState.DECIDING and self.deadline is not None and now >= self.deadline

    def _keeps(self) -> bool:
        """True if the station stays associated after a refusal; only then may the answer have Keep."""
        return self.in_force is VdpMode.ASSOCIATE and (self.wanted is VdpMode.ASSOCIATE or self._apart)

    # --- actions; the docstrings appear in the rendered table ---
    def _decide(self, request: Request, now: float) -> list[VdpOutput]:
        """Request a decision, start the resource wait."""
        self._apart = request.apart
        return self._ask(request.mode, now)

    def _decide_waiting(self, _: Released, now: float) -> list[VdpOutput]:
        """Request a decision about the waiting request, start the resource wait."""
        assert self.wanted is not None
        return self._ask(self.wanted, now)

    def _ask(self, mode: VdpMode, now: float) -> list[VdpOutput]:
        self.wanted = mode
        self.attempt += 1
        self.deadline = now + self.operational.resource_wait_delay
        return [Decide(mode, self.attempt)]

    def _refresh(self, request: Request, now: float) -> list[VdpOutput]:
        """Answer success, restart toutKA."""
        self._restart_keep_alive(now)
        return [Respond(request.mode, SUCCESS)]

    def _grant(self, _: Granted, now: float) -> list[VdpOutput]:
        """Answer success, start toutKA."""
        self.in_force = self.wanted
        self._restart_keep_alive(now)
        return [self._answer(SUCCESS)]

    def _refuse(self, denied: Denied, _: float) -> list[VdpOutput]:
        """Answer the error, release."""
        return self._refuse_and_release(ResponseStatus(denied.error, hard=denied.hard))

    def _refuse_and_keep(self, denied: Denied, now: float) -> list[VdpOutput]:
        """Answer the error with Keep, restart toutKA."""
        self._restart_keep_alive(now)
        return [self._answer(ResponseStatus(denied.error, hard=denied.hard, keep=True))]

    def _give_up(self, _: Tick, __: float) -> list[VdpOutput]:
        """Answer 'insufficient resources', release."""
        return self._refuse_and_release(ResponseStatus(VdpError.INSUFFICIENT_RESOURCES))

    def _give_up_and_keep(self, _: Tick, now: float) -> list[VdpOutput]:
        """Answer 'insufficient resources' with Keep, restart toutKA."""
        self._restart_keep_alive(now)
        return [self._answer(ResponseStatus(VdpError.INSUFFICIENT_RESOURCES, keep=True))]

    def _refuse_and_release(self, status: ResponseStatus) -> list[VdpOutput]:
        # Also without association: rules of an unfinished staging may be installed.
        return [self._answer(status), *self._withdraw()]

    def _lapse(self, _: Tick, __: float) -> list[VdpOutput]:
        """Announce a De-Associate, release."""
        return [Announce(LAPSED), *self._withdraw()]

    def _deassociate(self, ordered: BridgeDeassociate, _: float) -> list[VdpOutput]:
        """Announce a De-Associate, release."""
        self.wanted = None
        return [Announce(ordered.reason), *self._withdraw()]

    def _release(self, request: Request, _: float) -> list[VdpOutput]:
        """Release; the answer follows the release."""
        self.wanted = request.mode
        return self._withdraw()

    def _remember(self, request: Request, _: float) -> list[VdpOutput]:
        """Keep the request for after the release; a later one replaces it."""
        self.wanted = request.mode
        return []

    def _confirm_release(self, _: Released, __: float) -> list[VdpOutput]:
        """Answer the De-Associate with success, forget."""
        return [self._answer(SUCCESS), Forget()]

    def _confirm_unknown(self, request: Request, _: float) -> list[VdpOutput]:
        """Answer success, forget."""
        return [Respond(request.mode, SUCCESS), Forget()]

    def _forget(self, _: Released, __: float) -> list[VdpOutput]:
        """Forget."""
        return [Forget()]

    def _ignore(self, _: VdpEvent, __: float) -> list[VdpOutput]:
        """Nothing."""
        return []

    # --- shared by actions ---
    def _answer(self, status: ResponseStatus) -> Respond:
        assert self.wanted is not None
        mode, self.wanted = self.wanted, None
        return Respond(mode, status)

    def _withdraw(self) -> list[VdpOutput]:
        self.in_force = None
        self.deadline = None
        return [ReleaseVsi()]

    def _restart_keep_alive(self, now: float) -> None:
        self.deadline = now + self.operational.keep_alive_timeout

    # --- the table ---
    TABLE: ClassVar[TransitionTable[VdpBridge, VsiState, VdpInput, VdpOutput]] = TransitionTable(
        "VDP bridge",
        {
            (_ABSENT, VdpInput.ASKED): (_decide, _DECIDING),
            # Without an answer the station would wait for its response timer: it may not know that the VSI has ended.
            (_ABSENT, VdpInput.DEASSOCIATED): (_confirm_unknown, _ABSENT),
            (_ABSENT, VdpInput.STALE_ANSWER): (_ignore, _ABSENT),
            (_DECIDING, VdpInput.ASKED): (_decide, _DECIDING),
            # The answer to the request answers its repetition as well.
            (_DECIDING, VdpInput.REPEATED): (_ignore, _DECIDING),
            (_DECIDING, VdpInput.DEASSOCIATED): (_release, _RELEASING),
            (_DECIDING, VdpInput.GRANTED): (_grant, _HELD),
            (_DECIDING, VdpInput.DENIED): (_refuse, _RELEASING),
            (_DECIDING, VdpInput.DENIED_KEPT): (_refuse_and_keep, _HELD),
            (_DECIDING, VdpInput.STALE_ANSWER): (_ignore, _DECIDING),
            (_DECIDING, VdpInput.OVERDUE): (_give_up, _RELEASING),
            (_DECIDING, VdpInput.OVERDUE_KEPT): (_give_up_and_keep, _HELD),
            (_DECIDING, VdpInput.BRIDGE_DEASSOCIATE): (_deassociate, _RELEASING),
            (_HELD, VdpInput.ASKED): (_decide, _DECIDING),
            (_HELD, VdpInput.REPEATED): (_refresh, _HELD),
            (_HELD, VdpInput.DEASSOCIATED): (_release, _RELEASING),
            (_HELD, VdpInput.STALE_ANSWER): (_ignore, _HELD),
            (_HELD, VdpInput.LAPSED): (_lapse, _RELEASING),
            (_HELD, VdpInput.BRIDGE_DEASSOCIATE): (_deassociate, _RELEASING),
            # A request during the release is decided after it: rules of both must not be in the switches at once.
            (_RELEASING, VdpInput.ASKED): (_remember, _RELEASING),
            (_RELEASING, VdpInput.DEASSOCIATED): (_remember, _RELEASING),
            (_RELEASING, VdpInput.STALE_ANSWER): (_ignore, _RELEASING),
            (_RELEASING, VdpInput.BRIDGE_DEASSOCIATE): (_ignore, _RELEASING),
            (_RELEASING, VdpInput.RELEASED): (_forget, _ABSENT),
            (_RELEASING, VdpInput.RELEASED_ASKED): (_decide_waiting, _DECIDING),
            (_RELEASING, VdpInput.RELEASED_DEASSOCIATED): (_confirm_release, _ABSENT),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """Rows of the machine's table, for the documentation."""
    return VdpBridge.TABLE.rows()
