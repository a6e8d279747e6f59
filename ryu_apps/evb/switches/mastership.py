"""Mastership of one switch: which role this bridge has there, as a table (OpenFlow 1.3, 6.3.5).

A connection is EQUAL at first and may write like any other, so nothing is sent before the switch has granted MASTER.
What it has granted it takes back as soon as another controller is MASTER.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.events.switch import ControllerRole, RoleShown
from ryu_apps.evb.protocol.table import DocumentedRow, TransitionTable

#: Seconds after which a request that was not answered is repeated, and seconds between two questions to a switch that
#: has granted MASTER: not every switch says when it has taken that back.
_REPEAT, _LOOK = 10.0, 5.0


class MastershipState(Enum):
    """States of a bridge at a switch."""

    ABSENT = "absent"
    """The switch is not connected."""
    ASKED = "asked"
    """MASTER was requested."""
    MASTER = "master"
    """It was granted."""
    UNFENCED = "unfenced"
    """The switch does not know roles, and is served without one."""
    LEARNING = "learning"
    """Another controller is newer; the switch was asked for its generation."""
    ASIDE = "aside"
    """Another controller is newer; SLAVE was requested as soon as its generation was known."""


class MastershipInput(Enum):
    """Answers of the switch, and decisions about all switches."""

    CONNECTED = "connected"
    GRANTED = "reply MASTER"
    SLAVE = "reply SLAVE"
    EQUAL = "reply EQUAL"
    DEMOTED = "role status or OFPBRC_IS_SLAVE"
    STALE = "OFPRRFC_STALE"
    UNSUPPORTED = "another error"
    TICK = "no answer, or time to look"
    RENEWED = "new generation"
    SUPERSEDED = "superseded"


class Do(Enum):
    """Actions without a value."""

    SERVE = "serve the switch"
    RETREAT = "stop serving the switch"


@dataclass(frozen=True, slots=True)
class Ask:
    """Request a role."""

    role: ControllerRole


@dataclass(frozen=True, slots=True)
class Learnt:
    """The newest generation that the switch knows; None: it does not say."""

    generation: int | None


MastershipOutput = Do | Ask | Learnt


class Mastership:
    """This bridge at one switch.

    Attributes:
        state: read by status; only the table changes it.
        deadline: time of the next :attr:`MastershipInput.TICK`, monotonic seconds; None: no timer runs.
    """

    def __init__(self) -> None:
        self.state = MastershipState.ABSENT
        self.deadline: float | None = None

    @property
    def serving(self) -> bool:
        """True if the switch may be changed and its stations answered."""
        return self.state in (MastershipState.MASTER, MastershipState.UNFENCED)

    def feed(self, given: MastershipInput, event: RoleShown | None, now: float) -> list[MastershipOutput]:
        """Take one input.

        Args:
            event: the reply that it is about, if it is about one.
            now: monotonic seconds.
        """
        return self.TABLE.step(self, given, event, now)

    def shown(self, event: RoleShown, now: float) -> list[MastershipOutput]:
        """Take the reply to a request."""
        return self.feed(_REPLIES[event.role], event, now)

    # --- actions ---
    def _ask(self, role: ControllerRole, now: float) -> list[MastershipOutput]:
        self.deadline = now + _REPEAT
        return [Ask(role)]

    def _request(self, event: object, now: float) -> list[MastershipOutput]:
        """request MASTER"""
        return self._ask(ControllerRole.MASTER, now)

    def _serve(self, event: object, now: float) -> list[MastershipOutput]:
        """serve the switch"""
        self.deadline = now + _LOOK
        return [Do.SERVE]

    def _serve_unfenced(self, event: object, now: float) -> list[MastershipOutput]:
        """serve the switch without a role"""
        self.deadline = None
        return [Do.SERVE]

    def _look(self, event: object, now: float) -> list[MastershipOutput]:
        """ask for role and generation"""
        return self._ask(ControllerRole.NOCHANGE, now)

    def _settle(self, event: object, now: float) -> list[MastershipOutput]:
        """look again later"""
        self.deadline = now + _LOOK
        return []

    def _retreat(self, event: object, now: float) -> list[MastershipOutput]:
        """stop serving the switch, ask for its generation"""
        return [Do.RETREAT, *self._ask(ControllerRole.NOCHANGE, now)]

    def _learn(self, event: object, now: float) -> list[MastershipOutput]:
        """compare generations"""
        self.deadline = None
        return [Learnt(event.generation if isinstance(event, RoleShown) else None)]

    def _leave(self, event: object, now: float) -> list[MastershipOutput]:
        """stop serving the switch, request SLAVE"""
        return [Do.RETREAT, *self._ask(ControllerRole.SLAVE, now)]

    def _submit(self, event: object, now: float) -> list[MastershipOutput]:
        """request SLAVE"""
        return self._ask(ControllerRole.SLAVE, now)

    def _rest(self, event: object, now: float) -> list[MastershipOutput]:
        """nothing"""
        self.deadline = None
        return []

    def _nothing(self, event: object, now: float) -> list[MastershipOutput]:
        """nothing"""
        return []

    TABLE: ClassVar[TransitionTable[Mastership, MastershipState, MastershipInput, MastershipOutput]]


_S, _I, _M = MastershipState, MastershipInput, Mastership
_REPLIES = {
    ControllerRole.MASTER: _I.GRANTED,
    ControllerRole.SLAVE: _I.SLAVE,
    ControllerRole.EQUAL: _I.EQUAL,
    ControllerRole.NOCHANGE: _I.EQUAL,
}
Mastership.TABLE = TransitionTable(
    "mastership",
    {
        (_S.ABSENT, _I.CONNECTED): (_M._request, _S.ASKED),
        (_S.ABSENT, _I.SUPERSEDED): (_M._submit, _S.ASIDE),
        (_S.ASKED, _I.GRANTED): (_M._serve, _S.MASTER),
        (_S.ASKED, _I.SLAVE): (_M._look, _S.LEARNING),
        (_S.ASKED, _I.DEMOTED): (_M._nothing, _S.ASKED),
        (_S.ASKED, _I.EQUAL): (_M._nothing, _S.ASKED),
        (_S.ASKED, _I.STALE): (_M._look, _S.LEARNING),
        (_S.ASKED, _I.UNSUPPORTED): (_M._serve_unfenced, _S.UNFENCED),
        (_S.ASKED, _I.TICK): (_M._request, _S.ASKED),
        (_S.ASKED, _I.RENEWED): (_M._request, _S.ASKED),
        (_S.ASKED, _I.SUPERSEDED): (_M._submit, _S.ASIDE),
        (_S.MASTER, _I.GRANTED): (_M._settle, _S.MASTER),
        (_S.MASTER, _I.SLAVE): (_M._retreat, _S.LEARNING),
        (_S.MASTER, _I.DEMOTED): (_M._retreat, _S.LEARNING),
        # The switch has lost the role, by a restart perhaps.  If another bridge were MASTER, it would have said SLAVE.
        (_S.MASTER, _I.EQUAL): (_M._request, _S.MASTER),
        (_S.MASTER, _I.STALE): (_M._retreat, _S.LEARNING),
        (_S.MASTER, _I.UNSUPPORTED): (_M._settle, _S.MASTER),
        (_S.MASTER, _I.TICK): (_M._look, _S.MASTER),
        (_S.MASTER, _I.SUPERSEDED): (_M._leave, _S.ASIDE),
        (_S.UNFENCED, _I.GRANTED): (_M._nothing, _S.UNFENCED),
        (_S.UNFENCED, _I.SLAVE): (_M._nothing, _S.UNFENCED),
        (_S.UNFENCED, _I.DEMOTED): (_M._retreat, _S.LEARNING),
        (_S.UNFENCED, _I.EQUAL): (_M._nothing, _S.UNFENCED),
        (_S.UNFENCED, _I.STALE): (_M._retreat, _S.LEARNING),
        (_S.UNFENCED, _I.UNSUPPORTED): (_M._nothing, _S.UNFENCED),
        (_S.UNFENCED, _I.SUPERSEDED): (_M._leave, _S.ASIDE),
        (_S.LEARNING, _I.GRANTED): (_M._learn, _S.LEARNING),
        (_S.LEARNING, _I.SLAVE): (_M._learn, _S.LEARNING),
        (_S.LEARNING, _I.DEMOTED): (_M._nothing, _S.LEARNING),
        (_S.LEARNING, _I.EQUAL): (_M._learn, _S.LEARNING),
        (_S.LEARNING, _I.STALE): (_M._nothing, _S.LEARNING),
        (_S.LEARNING, _I.UNSUPPORTED): (_M._learn, _S.LEARNING),
        (_S.LEARNING, _I.TICK): (_M._look, _S.LEARNING),
        (_S.LEARNING, _I.RENEWED): (_M._request, _S.ASKED),
        (_S.LEARNING, _I.SUPERSEDED): (_M._submit, _S.ASIDE),
        (_S.ASIDE, _I.GRANTED): (_M._learn, _S.ASIDE),
        (_S.ASIDE, _I.SLAVE): (_M._learn, _S.ASIDE),
        (_S.ASIDE, _I.DEMOTED): (_M._nothing, _S.ASIDE),
        (_S.ASIDE, _I.EQUAL): (_M._learn, _S.ASIDE),
        (_S.ASIDE, _I.STALE): (_M._look, _S.ASIDE),
        (_S.ASIDE, _I.UNSUPPORTED): (_M._rest, _S.ASIDE),
        (_S.ASIDE, _I.TICK): (_M._submit, _S.ASIDE),
        (_S.ASIDE, _I.SUPERSEDED): (_M._submit, _S.ASIDE),
    },
)


def documented_rows() -> Iterator[DocumentedRow]:
    """The table for the manual."""
    return Mastership.TABLE.rows()
