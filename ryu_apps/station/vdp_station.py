"""Station VDP machine (802.1Q clause 41): one VSI of a hypervisor, without frames or clock.

Sends the request, compares the answer entry by entry as lldpad does, repeats the request each reinit keep
alive, and ends the VSI at a refusal, without an answer, or at a De-Associate of the bridge.  Like lldpad it
takes a *Keep* answer to an Associate for an association, whatever was in force before, so that tests detect a
bridge that sends Keep at a wrong moment.

``station`` has many of these machines behind one uplink.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.protocol.table import DocumentedRow, Tick, TransitionTable
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.vdp import Association, RequestStatus, ResponseStatus, VdpMode
from ryu_apps.station.vdp_station_events import (
    Notice,
    RequestOutcome,
    ResponseReceived,
    Resume,
    Send,
    StationRequest,
    Suspend,
    VdpStationEvent,
    VdpStationOutput,
)


class VsiStationState(Enum):
    """State of the VSI; the values appear in the rendered table."""

    NEW = "new"
    ASKING = "asking"
    HELD = "held"
    KEEPING = "keep-alive sent"
    LEAVING = "leaving"
    SUSPENDED = "suspended"
    ENDED = "ended"


class VdpStationInput(Enum):
    """Input of the table, selected by the guards; the values appear in the rendered table."""

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
        state: see :class:`VsiStationState`.
        request: the last request, repeated as keep-alive.
        in_force: the mode granted last, None without association.
        operational: agreed timers; may be assigned, a running timer keeps its deadline.
        deadline: time to feed :class:`Tick`, None if no timer runs.
    """

    __slots__ = ("_unanswered", "deadline", "in_force", "operational", "request", "state")

    def __init__(self, association: Association, operational: Operational) -> None:
        """
        Args:
            association: identity, filter and hints of the VSI; its mode is not used.
            operational: timers to begin with.
        """
        self.state = _NEW
        self.request = association
        self.in_force: VdpMode | None = None
        self.operational = operational
        self.deadline: float | None = None
        # A changed filter or S bit, asked for while nothing can be sent, has the mode that is in force.
        self._unanswered = False

    def feed(self, event: VdpStationEvent, now: float) -> list[VdpStationOutput]:
        """Process one event.

        Raises:
            ProtocolError: a request while another is unanswered, or for a lower mode than is in force.
        """
        given = self._input(event, now)
        return [] if given is None else self.TABLE.step(self, given, event, now)

    # --- guards: from event to input ---
    def _input(self, event: VdpStationEvent, now: float) -> VdpStationInput | None:
        match event:
            case StationRequest(mode):
                return self._ask_input(mode)
            case ResponseReceived(association):
                return self._heard_input(association)
            case Suspend():
                return VdpStationInput.SUSPENDED
            case Resume():
                return self._resume_input()
            case Tick():
                return self._tick_input(now)

    def _ask_input(self, mode: VdpMode) -> VdpStationInput:
        if mode is VdpMode.DEASSOCIATE:
            return VdpStationInput.LEFT
        return VdpStationInput.ASKED if mode >= (self.in_force or mode) else VdpStationInput.FALLEN

    def _heard_input(self, heard: Association) -> VdpStationInput:
        if not isinstance(heard.status, ResponseStatus):
            return VdpStationInput.WITHDRAWN if heard.MODE is VdpMode.DEASSOCIATE else VdpStationInput.STRAY
        if not self._answers(heard):
            return VdpStationInput.STRAY
        if heard.status.success and heard.MODE is self.request.MODE:
            return VdpStationInput.GRANTED if self._matches(heard) else VdpStationInput.MISMATCHED
        keep = heard.status.keep and self.request.MODE is VdpMode.ASSOCIATE
        return VdpStationInput.KEPT if keep and not heard.status.success else VdpStationInput.REFUSED

    def _answers(self, heard: Association) -> bool:
        """True for an answer to the last request: its mode, or De-Associate, which may be a refusal of any mode."""
        awaited = (self.request.MODE, VdpMode.DEASSOCIATE)
        same_format = heard.filter_info.format == self.request.filter_info.format
        return self.state in _AWAITING and heard.MODE in awaited and same_format

    def _matches(self, heard: Association) -> bool:
        return self.request.filter_info.covers(heard.filter_info)

    def _resume_input(self) -> VdpStationInput:
        if self.request.MODE is VdpMode.DEASSOCIATE:
            return VdpStationInput.RESUMED_LEAVING
        held = self.in_force is self.request.MODE and not self._unanswered
        return VdpStationInput.RESUMED_HELD if held else VdpStationInput.RESUMED_ASKING

    def _tick_input(self, now: float) -> VdpStationInput | None:
        if self.deadline is None or now < self.deadline:
            return None
        return VdpStationInput.DUE if self.state is _HELD else VdpStationInput.UNANSWERED

    # --- actions; the docstrings appear in the rendered table ---
    def _ask(self, ask: StationRequest, now: float) -> list[VdpStationOutput]:
        """Send the request, start the response wait."""
        self._asked(ask)
        return self._send(now)

    def _remember(self, ask: StationRequest, _: float) -> list[VdpStationOutput]:
        """Keep the request for Resume."""
        self._asked(ask)
        return []

    def _repeat(self, _: Tick | Resume, now: float) -> list[VdpStationOutput]:
        """Send the last request again, start the response wait."""
        return self._send(now)

    def _hold(self, heard: ResponseReceived, now: float) -> list[VdpStationOutput]:
        """Keep the values that the bridge filled in, notify the hypervisor, start the reinit keep alive."""
        self._take_over(heard, now)
        return [self._notice(RequestOutcome.GRANTED, heard)]

    def _hold_on(self, heard: ResponseReceived, now: float) -> list[VdpStationOutput]:
        """Start the reinit keep alive."""
        self._take_over(heard, now)
        return []

    def _hold_refused(self, heard: ResponseReceived, now: float) -> list[VdpStationOutput]:
        """Notify the hypervisor, continue as associated, start the reinit keep alive."""
        self._stay(now)
        return [self._notice(RequestOutcome.KEPT, heard)]

    def _leave(self, _: ResponseReceived | StationRequest, now: float) -> list[VdpStationOutput]:
        """Send a De-Associate, start the response wait."""
        self.request = self.request.as_mode(VdpMode.DEASSOCIATE, self.request.status)
        return self._send(now)

    def _end_left(self, heard: ResponseReceived, _: float) -> list[VdpStationOutput]:
        """Notify the hypervisor."""
        return self._end(RequestOutcome.LEFT, heard)

    def _end_refused(self, heard: ResponseReceived, _: float) -> list[VdpStationOutput]:
        """Notify the hypervisor."""
        return self._end(RequestOutcome.REFUSED, heard)

    def _end_mismatched(self, heard: ResponseReceived, _: float) -> list[VdpStationOutput]:
        """Notify the hypervisor."""
        return self._end(RequestOutcome.MISMATCHED, heard)

    def _end_withdrawn(self, heard: ResponseReceived, _: float) -> list[VdpStationOutput]:
        """Notify the hypervisor."""
        return self._end(RequestOutcome.WITHDRAWN, heard)

    def _end_unanswered(self, _: Tick, __: float) -> list[VdpStationOutput]:
        """Notify the hypervisor."""
        return self._end(RequestOutcome.TIMED_OUT, None)

    def _wait(self, _: Suspend, __: float) -> list[VdpStationOutput]:
        """Stop the timer."""
        self.deadline = None
        return []

    def _ignore(self, _: VdpStationEvent, __: float) -> list[VdpStationOutput]:
        """Nothing."""
        return []

    # --- shared by actions ---
    def _asked(self, ask: StationRequest) -> None:
        status = self.request.status
        if isinstance(status, RequestStatus):
            status = replace(status, suspended=ask.suspended)
        self.request = self.request.as_mode(ask.mode, status, ask.filter_info)
        self._unanswered = True

    def _send(self, now: float) -> list[VdpStationOutput]:
        self.deadline = now + self.operational.response_wait
        return [Send(self.request)]

    def _take_over(self, heard: ResponseReceived, now: float) -> None:
        filled_in = heard.association.filter_info
        self.request = self.request.as_mode(self.request.MODE, self.request.status, filled_in)
        self._stay(now)

    def _stay(self, now: float) -> None:
        self.in_force = self.request.MODE
        self._unanswered = False
        self.deadline = now + self.operational.reinit_keep_alive

    def _end(self, outcome: RequestOutcome, heard: ResponseReceived | None) -> list[VdpStationOutput]:
        self.deadline = None
        self.in_force = None
        return [self._notice(outcome, heard)]

    def _notice(self, outcome: RequestOutcome, heard: ResponseReceived | None) -> Notice:
        status = heard.association.status if heard else None
        answer = status if isinstance(status, ResponseStatus) else None
        return Notice(outcome, self.request.MODE, self.request, answer)

    # --- the table ---
    TABLE: ClassVar[TransitionTable[VsiStation, VsiStationState, VdpStationInput, VdpStationOutput]] = TransitionTable(
        "VDP station",
        {
            (_NEW, VdpStationInput.ASKED): (_ask, _ASKING),
            (_NEW, VdpStationInput.LEFT): (_leave, _LEAVING),
            (_NEW, VdpStationInput.STRAY): (_ignore, _NEW),
            (_NEW, VdpStationInput.WITHDRAWN): (_ignore, _NEW),
            (_ASKING, VdpStationInput.LEFT): (_leave, _LEAVING),
            (_ASKING, VdpStationInput.GRANTED): (_hold, _HELD),
            (_ASKING, VdpStationInput.KEPT): (_hold_refused, _HELD),
            (_ASKING, VdpStationInput.REFUSED): (_end_refused, _ENDED),
            (_ASKING, VdpStationInput.MISMATCHED): (_end_mismatched, _ENDED),
            (_ASKING, VdpStationInput.STRAY): (_ignore, _ASKING),
            (_ASKING, VdpStationInput.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_ASKING, VdpStationInput.UNANSWERED): (_end_unanswered, _ENDED),
            (_ASKING, VdpStationInput.SUSPENDED): (_wait, _SUSPENDED),
            (_HELD, VdpStationInput.ASKED): (_ask, _ASKING),
            (_HELD, VdpStationInput.LEFT): (_leave, _LEAVING),
            (_HELD, VdpStationInput.STRAY): (_ignore, _HELD),
            (_HELD, VdpStationInput.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_HELD, VdpStationInput.DUE): (_repeat, _KEEPING),
            (_HELD, VdpStationInput.SUSPENDED): (_wait, _SUSPENDED),
            (_KEEPING, VdpStationInput.ASKED): (_ask, _ASKING),
            (_KEEPING, VdpStationInput.LEFT): (_leave, _LEAVING),
            (_KEEPING, VdpStationInput.GRANTED): (_hold_on, _HELD),
            (_KEEPING, VdpStationInput.KEPT): (_leave, _LEAVING),
            (_KEEPING, VdpStationInput.REFUSED): (_end_refused, _ENDED),
            (_KEEPING, VdpStationInput.MISMATCHED): (_end_mismatched, _ENDED),
            (_KEEPING, VdpStationInput.STRAY): (_ignore, _KEEPING),
            (_KEEPING, VdpStationInput.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_KEEPING, VdpStationInput.UNANSWERED): (_end_unanswered, _ENDED),
            (_KEEPING, VdpStationInput.SUSPENDED): (_wait, _SUSPENDED),
            (_LEAVING, VdpStationInput.LEFT): (_ignore, _LEAVING),
            (_LEAVING, VdpStationInput.GRANTED): (_end_left, _ENDED),
            (_LEAVING, VdpStationInput.REFUSED): (_end_left, _ENDED),
            (_LEAVING, VdpStationInput.MISMATCHED): (_end_left, _ENDED),
            (_LEAVING, VdpStationInput.STRAY): (_ignore, _LEAVING),
            (_LEAVING, VdpStationInput.WITHDRAWN): (_end_left, _ENDED),
            (_LEAVING, VdpStationInput.UNANSWERED): (_end_unanswered, _ENDED),
            (_LEAVING, VdpStationInput.SUSPENDED): (_wait, _SUSPENDED),
            (_SUSPENDED, VdpStationInput.ASKED): (_remember, _SUSPENDED),
            (_SUSPENDED, VdpStationInput.LEFT): (_remember, _SUSPENDED),
            # A frame that was in flight when the link went down.
            (_SUSPENDED, VdpStationInput.STRAY): (_ignore, _SUSPENDED),
            (_SUSPENDED, VdpStationInput.WITHDRAWN): (_end_withdrawn, _ENDED),
            (_SUSPENDED, VdpStationInput.SUSPENDED): (_ignore, _SUSPENDED),
            (_SUSPENDED, VdpStationInput.RESUMED_ASKING): (_repeat, _ASKING),
            (_SUSPENDED, VdpStationInput.RESUMED_HELD): (_repeat, _KEEPING),
            (_SUSPENDED, VdpStationInput.RESUMED_LEAVING): (_repeat, _LEAVING),
            (_ENDED, VdpStationInput.STRAY): (_ignore, _ENDED),
            (_ENDED, VdpStationInput.WITHDRAWN): (_ignore, _ENDED),
        },
    )


def documented_rows() -> Iterator[DocumentedRow]:
    """Rows of the machine's table, for the documentation."""
    return VsiStation.TABLE.rows()
