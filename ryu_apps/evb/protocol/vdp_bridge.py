"""Bridge VDP machine (802.1Q clause 41): one VSI at one port.  Knows no frames, no switch, no clock.

It decides *when* something is asked, answered, kept and dropped; its owner decides *whether* and
does it.  The owner validates and stages or activates on :class:`Decide`, then feeds
:class:`Granted` or :class:`Denied`; it withdraws on :class:`ReleaseVsi`, then feeds
:class:`Released`.  An answer that comes too late is ignored: it never resurrects a VSI.

Three rules that lldpad is unforgiving about live here: *Keep* is sent only if the VSI is really
associated, never to a keep-alive, and an error answer always carries a non-zero error type.
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
    "LAPSED",
    "Announce",
    "Decide",
    "Denied",
    "Forget",
    "Granted",
    "Recalled",
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
"""The reason of an :class:`Announce` when the station has not been heard in time."""


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Request:
    """The station asks.

    Attributes:
        mode: what for.
        changed: the VSI type or the filter info is not that of the request being decided or, if
            none is, of the association in force.
        apart: to the station it is about another VSI than the association in force (another VSI type or
            manager), so that refusing it does not end that one.
    """

    mode: VdpMode
    changed: bool = False
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """What :class:`Decide` asked for is done and confirmed.

    ``attempt`` is the number of that :class:`Decide`; None stands for the last one.
    """

    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """What :class:`Decide` asked for cannot be had.

    Attributes:
        error: why; not SUCCESS.
        hard: repeating the request is pointless.
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
    """What :class:`ReleaseVsi` asked for is done and confirmed."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The VSI has to leave this port: it moved, or an operator or the VSI manager says so."""

    reason: str


VdpEvent = Request | Granted | Denied | Released | Recalled | Tick


# --- outputs ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Decide:
    """Validate the request and do what the mode needs; a later one replaces an earlier one.

    ``attempt`` numbers the decisions of this machine from 1.
    """

    mode: VdpMode
    attempt: int


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the station's request of this mode.

    With ``status.keep`` the association in force stays and whatever the refused attempt has
    begun is to be undone by the owner.
    """

    mode: VdpMode
    status: ResponseStatus


@dataclass(frozen=True, slots=True)
class Announce:
    """Send an unsolicited De-Associate; ``reason`` is for operators."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseVsi:
    """Withdraw all that was begun or done for this VSI at this port."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is left; the record can be dropped."""


VdpOutput = Decide | Respond | Announce | ReleaseVsi | Forget


# --- the machine --------------------------------------------------------------------------------
class VsiState(Enum):
    """Where a VSI stands; the names are the rendered table's."""

    ABSENT = "absent"
    DECIDING = "deciding"
    HELD = "held"
    RELEASING = "releasing"


class VdpInput(Enum):
    """What an event amounts to, after the guards; the names are the rendered table's."""

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
    RECALLED = "recalled"
    RELEASED = "released"
    RELEASED_ASKED = "released, request waiting"
    RELEASED_DEASSOCIATED = "released, De-Associate waiting"


_ABSENT, _DECIDING, _HELD, _RELEASING = VsiState


class VdpBridge:
    """One VSI at one port.

    Attributes:
        state: where it stands.
        in_force: the mode the station was last granted, None if nothing is.
        wanted: the mode of the request that is not answered yet, None if all are.
        operational: agreed timers; may be assigned, timers already running keep their time.
        deadline: when to feed :class:`Tick`, None if nothing is awaited.
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
        """A machine that carries on where an earlier life of the bridge granted ``mode``."""
        machine = cls(operational)
        machine.state = VsiState.HELD
        machine.in_force = mode
        machine._restart_keep_alive(now)
        return machine

    def restart_keep_alive(self, now: float) -> None:
        """The station could not be heard: its silence until now does not count."""
        if self.state is VsiState.HELD:
            self._restart_keep_alive(now)

    def postpone(self, seconds: float) -> None:
        """Nothing could be heard for so long: what is awaited may come later by that."""
        if self.deadline is not None:
            self.deadline += seconds

    def feed(self, event: VdpEvent, now: float) -> list[VdpOutput]:
        """Take one event.

        Raises:
            ProtocolError: the owner fed an event that has no meaning now.
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
            case Recalled():
                return VdpInput.RECALLED
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
        """Whether a verdict about this attempt (None: the last) would count."""
        return self.state is VsiState.DECIDING and attempt in (None, self.attempt)

    def _keeps(self) -> bool:
        """Whether a refusal leaves the station associated; only then may it be told so."""
        return self.in_force is VdpMode.ASSOCIATE and (self.wanted is VdpMode.ASSOCIATE or self._apart)

    # --- actions: the table's verbs ---
    def _decide(self, request: Request, now: float) -> list[VdpOutput]:
        """Ask the owner, start the resource wait."""
        self._apart = request.apart
        return self._ask(request.mode, now)

    def _decide_waiting(self, _: Released, now: float) -> list[VdpOutput]:
        """Ask the owner about the request that waited, start the resource wait."""
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
        # Also if nothing was in force: staging may be half done.
        return [self._answer(status), *self._withdraw()]

    def _lapse(self, _: Tick, __: float) -> list[VdpOutput]:
        """Announce a De-Associate, release."""
        return [Announce(LAPSED), *self._withdraw()]

    def _recall(self, recalled: Recalled, _: float) -> list[VdpOutput]:
        """Announce a De-Associate, release."""
        self.wanted = None
        return [Announce(recalled.reason), *self._withdraw()]

    def _release(self, request: Request, _: float) -> list[VdpOutput]:
        """Release; the answer waits for it."""
        self.wanted = request.mode
        return self._withdraw()

    def _remember(self, request: Request, _: float) -> list[VdpOutput]:
        """Remember the request; the last one counts."""
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

    # --- what actions share ---
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
            (_ABSENT, VdpInput.DEASSOCIATED): (_confirm_unknown, _ABSENT),
            (_ABSENT, VdpInput.STALE_ANSWER): (_ignore, _ABSENT),
            (_DECIDING, VdpInput.ASKED): (_decide, _DECIDING),
            (_DECIDING, VdpInput.REPEATED): (_ignore, _DECIDING),
            (_DECIDING, VdpInput.DEASSOCIATED): (_release, _RELEASING),
            (_DECIDING, VdpInput.GRANTED): (_grant, _HELD),
            (_DECIDING, VdpInput.DENIED): (_refuse, _RELEASING),
            (_DECIDING, VdpInput.DENIED_KEPT): (_refuse_and_keep, _HELD),
            (_DECIDING, VdpInput.STALE_ANSWER): (_ignore, _DECIDING),
            (_DECIDING, VdpInput.OVERDUE): (_give_up, _RELEASING),
            (_DECIDING, VdpInput.OVERDUE_KEPT): (_give_up_and_keep, _HELD),
            (_DECIDING, VdpInput.RECALLED): (_recall, _RELEASING),
            (_HELD, VdpInput.ASKED): (_decide, _DECIDING),
            (_HELD, VdpInput.REPEATED): (_refresh, _HELD),
            (_HELD, VdpInput.DEASSOCIATED): (_release, _RELEASING),
            (_HELD, VdpInput.STALE_ANSWER): (_ignore, _HELD),
            (_HELD, VdpInput.LAPSED): (_lapse, _RELEASING),
            (_HELD, VdpInput.RECALLED): (_recall, _RELEASING),
            (_RELEASING, VdpInput.ASKED): (_remember, _RELEASING),
            (_RELEASING, VdpInput.DEASSOCIATED): (_remember, _RELEASING),
            (_RELEASING, VdpInput.STALE_ANSWER): (_ignore, _RELEASING),
            (_RELEASING, VdpInput.RECALLED): (_ignore, _RELEASING),
            (_RELEASING, VdpInput.RELEASED): (_forget, _ABSENT),
            (_RELEASING, VdpInput.RELEASED_ASKED): (_decide_waiting, _DECIDING),
            (_RELEASING, VdpInput.RELEASED_DEASSOCIATED): (_confirm_release, _ABSENT),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """The machine's table in words, for the documentation."""
    return VdpBridge.TABLE.rows()
