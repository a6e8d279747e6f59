"""Station VDP machine (802.1Q clause 41): one VSI as its hypervisor sees it.

Asks, compares the answer entry by entry as lldpad does, repeats the request each reinit keep alive,
and gives the VSI up when it is refused, left without an answer or told to.  Like lldpad it takes a
*Keep* answer to an Associate for an association, whatever was in force before: a bridge that
says Keep at the wrong moment is to be found out.

Knows no frames and no clock; ``station`` puts many of these behind one uplink.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Table, Tick
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.filter_info import NULL_VID, Entry, FilterInfo
from ryu_apps.evb.wire.vdp import Association, RequestStatus, ResponseStatus, VdpMode

__all__ = [
    "Ask",
    "Heard",
    "Notice",
    "Outcome",
    "Resume",
    "Send",
    "Suspend",
    "Tick",
    "VsiStation",
    "VsiStationState",
    "documented_rows",
]


# --- events -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Ask:
    """The hypervisor wants the VSI in this mode; modes may rise or stay until De-Associate.

    ``filter_info`` is another filter than before, None the same.  ``suspended``: the VM does not run
    here any more, and its requests say so from now on (S bit).
    """

    mode: VdpMode
    filter_info: FilterInfo | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """The bridge sent an association TLV with this VSI's identity."""

    association: Association


@dataclass(frozen=True, slots=True)
class Suspend:
    """Nothing can be sent: the link is down or no bridge is known."""


@dataclass(frozen=True, slots=True)
class Resume:
    """It can again; whatever stands is asked anew."""


Event = Ask | Heard | Suspend | Resume | Tick


# --- outputs ------------------------------------------------------------------------------------
class Outcome(Enum):
    """What became of a request or of the VSI."""

    GRANTED = "granted"
    KEPT = "refused, still associated"
    REFUSED = "refused"
    MISMATCHED = "answer does not match the request"
    TIMED_OUT = "no answer"
    WITHDRAWN = "withdrawn by the bridge"
    LEFT = "de-associated"


@dataclass(frozen=True, slots=True)
class Send:
    """Queue this request for the bridge now."""

    association: Association


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell the hypervisor.

    Attributes:
        outcome: what happened.
        mode: of the request that was answered, or in force when the VSI ended.
        association: the VSI as it stands: VIDs filled in by the bridge, if it did.
        status: the bridge's answer, None if there was none.
    """

    outcome: Outcome
    mode: VdpMode
    association: Association
    status: ResponseStatus | None = None


Output = Send | Notice


# --- the machine --------------------------------------------------------------------------------
class VsiStationState(Enum):
    """Where the VSI stands; the names are the rendered table's."""

    NEW = "new"
    ASKING = "asking"
    HELD = "held"
    KEEPING = "keep-alive sent"
    LEAVING = "leaving"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Input(Enum):
    """What an event amounts to, after the guards; the names are the rendered table's."""

    ASKED = "ask"
    FALLEN = "ask for a lower mode"
    LEFT = "ask to de-associate"
    GRANTED = "answered: success"
    KEPT = "answered: Keep to an Associate"
    REFUSED = "answered: error"
    MISMATCHED = "answered: entries differ"
    STRAY = "TLV that answers nothing"
    WITHDRAWN = "unsolicited De-Associate"
    UNANSWERED = "response wait over"
    DUE = "reinit keep alive over"
    SUSPENDED = "suspend"
    RESUMED_ASKING = "resume, request not answered"
    RESUMED_HELD = "resume, held"
    RESUMED_LEAVING = "resume, leaving"


_NEW, _ASKING, _HELD, _KEEPING, _LEAVING, _SUSPENDED, _ENDED = VsiStationState
_AWAITING = (_ASKING, _KEEPING, _LEAVING)


class VsiStation:
    """One VSI at one station.

    Attributes:
        state: where it stands.
        request: what was asked last and is repeated as keep-alive.
        in_force: the mode granted last, None if none is.
        operational: agreed timers; may be assigned, timers already running keep their time.
        deadline: when to feed :class:`Tick`, None if nothing is awaited.
    """

    __slots__ = ("deadline", "in_force", "operational", "request", "state")

    def __init__(self, association: Association, operational: Operational) -> None:
        """
        Args:
            association: identity, filter and hints of the VSI; its mode does not matter.
            operational: timers to begin with.
        """
        self.state = _NEW
        self.request = association
        self.in_force: VdpMode | None = None
        self.operational = operational
        self.deadline: float | None = None

    def feed(self, event: Event, now: float) -> list[Output]:
        """Take one event.

        Raises:
            ProtocolError: asked while a request is not answered, or for a lower mode than is in force.
        """
        given = self._input(event, now)
        return [] if given is None else self.TABLE.step(self, given, event, now)

    # --- guards: from event to input ---
    def _input(self, event: Event, now: float) -> Input | None:
        match event:
            case Ask(mode):
                return self._ask_input(mode)
            case Heard(association):
                return self._heard_input(association)
            case Suspend():
                return Input.SUSPENDED
            case Resume():
                return self._resume_input()
            case Tick():
                return self._tick_input(now)

    def _ask_input(self, mode: VdpMode) -> Input:
        if mode is VdpMode.DEASSOCIATE:
            return Input.LEFT
        return Input.ASKED if mode >= (self.in_force or mode) else Input.FALLEN

    def _heard_input(self, heard: Association) -> Input:
        if not isinstance(heard.status, ResponseStatus):
            return Input.WITHDRAWN if heard.MODE is VdpMode.DEASSOCIATE else Input.STRAY
        if not self._answers(heard):
            return Input.STRAY
        if heard.status.success and heard.MODE is self.request.MODE:
            return Input.GRANTED if self._matches(heard) else Input.MISMATCHED
        keep = heard.status.keep and self.request.MODE is VdpMode.ASSOCIATE
        return Input.KEPT if keep and not heard.status.success else Input.REFUSED

    def _answers(self, heard: Association) -> bool:
        """A refusal may come as a De-Associate TLV; any other mode answers an older request."""
        awaited = (self.request.MODE, VdpMode.DEASSOCIATE)
        same_format = heard.filter_info.format == self.request.filter_info.format
        return self.state in _AWAITING and heard.MODE in awaited and same_format

    def _matches(self, heard: Association) -> bool:
        ours, theirs = self.request.filter_info.entries, heard.filter_info.entries
        return len(ours) == len(theirs) and all(map(_acceptable, ours, theirs))

    def _resume_input(self) -> Input:
        if self.request.MODE is VdpMode.DEASSOCIATE:
            return Input.RESUMED_LEAVING
        return Input.RESUMED_HELD if self.in_force is self.request.MODE else Input.RESUMED_ASKING

    def _tick_input(self, now: float) -> Input | None:
        if self.deadline is None or now < self.deadline:
            return None
        return Input.DUE if self.state is _HELD else Input.UNANSWERED

    # --- actions: the table's verbs ---
    def _ask(self, ask: Ask, now: float) -> list[Output]:
        """Send the request, start the response wait."""
        self._asked(ask)
        return self._send(now)

    def _remember(self, ask: Ask, _: float) -> list[Output]:
        """Remember the request."""
        self._asked(ask)
        return []

    def _repeat(self, _: Tick | Resume, now: float) -> list[Output]:
        """Send the last request again, start the response wait."""
        return self._send(now)

    def _hold(self, heard: Heard, now: float) -> list[Output]:
        """Take over what the bridge filled in, tell, start the reinit keep alive."""
        self._take_over(heard, now)
        return [self._notice(Outcome.GRANTED, heard)]

    def _hold_on(self, heard: Heard, now: float) -> list[Output]:
        """Start the reinit keep alive."""
        self._take_over(heard, now)
        return []

    def _hold_refused(self, heard: Heard, now: float) -> list[Output]:
        """Tell, go on as associated, start the reinit keep alive."""
        self._stay(now)
        return [self._notice(Outcome.KEPT, heard)]

    def _leave(self, _: Heard | Ask, now: float) -> list[Output]:
        """Send a De-Associate, start the response wait."""
        self.request = self.request.as_mode(VdpMode.DEASSOCIATE, self.request.status)
        return self._send(now)

    def _end_left(self, heard: Heard, _: float) -> list[Output]:
        """Tell."""
        return self._end(Outcome.LEFT, heard)

    def _end_refused(self, heard: Heard, _: float) -> list[Output]:
        """Tell."""
        return self._end(Outcome.REFUSED, heard)

    def _end_mismatched(self, heard: Heard, _: float) -> list[Output]:
        """Tell."""
        return self._end(Outcome.MISMATCHED, heard)

    def _end_withdrawn(self, heard: Heard, _: float) -> list[Output]:
        """Tell."""
        return self._end(Outcome.WITHDRAWN, heard)

    def _end_unanswered(self, _: Tick, __: float) -> list[Output]:
        """Tell."""
        return self._end(Outcome.TIMED_OUT, None)

    def _wait(self, _: Suspend, __: float) -> list[Output]:
        """Stop the timer."""
        self.deadline = None
        return []

    def _ignore(self, _: Event, __: float) -> list[Output]:
        """Nothing."""
        return []

    # --- what actions share ---
    def _asked(self, ask: Ask) -> None:
        status = self.request.status
        if ask.suspended and isinstance(status, RequestStatus):
            status = replace(status, suspended=True)
        self.request = self.request.as_mode(ask.mode, status, ask.filter_info)

    def _send(self, now: float) -> list[Output]:
        self.deadline = now + self.operational.response_wait
        return [Send(self.request)]

    def _take_over(self, heard: Heard, now: float) -> None:
        filled_in = heard.association.filter_info
        self.request = self.request.as_mode(self.request.MODE, self.request.status, filled_in)
        self._stay(now)

    def _stay(self, now: float) -> None:
        self.in_force = self.request.MODE
        self.deadline = now + self.operational.reinit_keep_alive

    def _end(self, outcome: Outcome, heard: Heard | None) -> list[Output]:
        self.deadline = None
        self.in_force = None
        return [self._notice(outcome, heard)]

    def _notice(self, outcome: Outcome, heard: Heard | None) -> Notice:
        status = heard.association.status if heard else None
        answer = status if isinstance(status, ResponseStatus) else None
        return Notice(outcome, self.request.MODE, self.request, answer)

    # --- the table ---
    TABLE: ClassVar[Table[VsiStation, VsiStationState, Input, Output]] = Table(
        "VDP station",
        {
            (_NEW, Input.ASKED): (_ask, _ASKING),
            (_NEW, Input.LEFT): (_leave, _LEAVING),
            (_NEW, Input.STRAY): (_ignore, _NEW),
            (_NEW, Input.WITHDRAWN): (_ignore, _NEW),
            (_ASKING, Input.LEFT): (_leave, _LEAVING),
            (_ASKING, Input.GRANTED): (_hold, _HELD),
            (_ASKING, Input.KEPT): (_hold_refused, _HELD),
            (_ASKING, Input.REFUSED): (_end_refused, _ENDED),
            (_ASKING, Input.MISMATCHED): (_end_mismatched, _ENDED),
            (_ASKING, Input.STRAY): (_ignore, _ASKING),
            (_ASKING, Input.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_ASKING, Input.UNANSWERED): (_end_unanswered, _ENDED),
            (_ASKING, Input.SUSPENDED): (_wait, _SUSPENDED),
            (_HELD, Input.ASKED): (_ask, _ASKING),
            (_HELD, Input.LEFT): (_leave, _LEAVING),
            (_HELD, Input.STRAY): (_ignore, _HELD),
            (_HELD, Input.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_HELD, Input.DUE): (_repeat, _KEEPING),
            (_HELD, Input.SUSPENDED): (_wait, _SUSPENDED),
            (_KEEPING, Input.ASKED): (_ask, _ASKING),
            (_KEEPING, Input.LEFT): (_leave, _LEAVING),
            (_KEEPING, Input.GRANTED): (_hold_on, _HELD),
            (_KEEPING, Input.KEPT): (_leave, _LEAVING),
            (_KEEPING, Input.REFUSED): (_end_refused, _ENDED),
            (_KEEPING, Input.MISMATCHED): (_end_mismatched, _ENDED),
            (_KEEPING, Input.STRAY): (_ignore, _KEEPING),
            (_KEEPING, Input.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_KEEPING, Input.UNANSWERED): (_end_unanswered, _ENDED),
            (_KEEPING, Input.SUSPENDED): (_wait, _SUSPENDED),
            (_LEAVING, Input.LEFT): (_ignore, _LEAVING),
            (_LEAVING, Input.GRANTED): (_end_left, _ENDED),
            (_LEAVING, Input.REFUSED): (_end_left, _ENDED),
            (_LEAVING, Input.MISMATCHED): (_end_left, _ENDED),
            (_LEAVING, Input.STRAY): (_ignore, _LEAVING),
            (_LEAVING, Input.WITHDRAWN): (_end_left, _ENDED),
            (_LEAVING, Input.UNANSWERED): (_end_unanswered, _ENDED),
            (_LEAVING, Input.SUSPENDED): (_wait, _SUSPENDED),
            (_SUSPENDED, Input.ASKED): (_remember, _SUSPENDED),
            (_SUSPENDED, Input.LEFT): (_remember, _SUSPENDED),
            # What was under way when the link went down may still come.
            (_SUSPENDED, Input.STRAY): (_ignore, _SUSPENDED),
            (_SUSPENDED, Input.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_SUSPENDED, Input.SUSPENDED): (_ignore, _SUSPENDED),
            (_SUSPENDED, Input.RESUMED_ASKING): (_repeat, _ASKING),
            (_SUSPENDED, Input.RESUMED_HELD): (_repeat, _KEEPING),
            (_SUSPENDED, Input.RESUMED_LEAVING): (_repeat, _LEAVING),
            (_ENDED, Input.STRAY): (_ignore, _ENDED),
            (_ENDED, Input.WITHDRAWN): (_ignore, _ENDED),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """The machine's table in words, for the documentation."""
    return VsiStation.TABLE.rows()


def _acceptable(ours: Entry, theirs: Entry) -> bool:
    """Whether the bridge's entry may stand for ours: it may fill in a null VID and a PCP without PS."""
    same_vid = ours.vid in (NULL_VID, theirs.vid)
    same_priority = not ours.ps or (ours.ps, ours.pcp) == (theirs.ps, theirs.pcp)
    return (ours.mac, ours.group) == (theirs.mac, theirs.group) and same_vid and same_priority
