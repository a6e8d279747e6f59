"""Flips of staged programs, prepared while the engine has nothing else to do."""

from __future__ import annotations

from collections.abc import Container, Mapping

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.events.effect import Prepare
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.model import Phase
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.flips import Flips
from ryu_apps.evb.vsi.prepared_flips import ROOM
from ryu_apps.evb.vsi.registry import Attachment

#: Seconds without a move or a new program after which flips are prepared, and between two portions of them.
PAUSE = 0.005
#: Flips of one portion.
PORTION = 2


class FlipPreparation:
    """Prepares the flips of the programs that were staged last.

    What a move has outdated is prepared again: a VSI that comes or goes changes the floods of all others in its VLAN.
    The announcement of the VSI at its new place is built with its flip.

    Attributes:
        deadline: time at which to call :meth:`tick`, monotonic seconds; None: there is nothing to prepare.
    """

    def __init__(self, flips: Flips, announcer: Announcer, effects: EffectSink, up: Container[int]) -> None:
        self._flips = flips
        self._announcer = announcer
        self._effects = effects
        self._up = up
        self._staged: dict[Attachment, None] = {}
        self._changed = False
        self._version = 0
        self.deadline: float | None = None

    def staged(self, attachment: Attachment) -> None:
        """Note an attachment whose program is staged."""
        self._staged.pop(attachment, None)
        self._staged[attachment] = None
        if len(self._staged) > ROOM:
            del self._staged[next(iter(self._staged))]
        self._changed = True

    def retire(self, attachment: Attachment) -> None:
        """Forget an attachment that was noted."""
        self._staged.pop(attachment, None)

    def staged_at(self, port: PortId) -> bool:
        """True if a port has an attachment that was noted."""
        return any(attachment.port == port for attachment in self._staged)

    @property
    def newest(self) -> Attachment | None:
        """The attachment that was noted last; None: there is none."""
        return next(reversed(self._staged), None)

    def planned(self, now: float) -> None:
        """Set the deadline after an event."""
        if not self._staged:
            return
        version, self._version = self._version, self._flips.version
        if self._changed or version != self._version:
            self.deadline = now + PAUSE
        self._changed = False

    def tick(self, now: float) -> None:
        """Prepare some flips, those of the newest programs first."""
        if self.deadline is None or self.deadline > now:
            return
        self.deadline = None
        prepared = 0
        for attachment in reversed(list(self._staged)):
            if prepared == PORTION:
                self.deadline = now + PAUSE
                return
            prepared += self._prepare(attachment)

    def foresee(self, attachment: Attachment) -> Mapping[int, RuleChange] | None:
        """Return the changes of the flip of an attachment by datapath id, for a question.

        None: they cannot be known beforehand, or there is no program to flip to.
        """
        program = attachment.holding.program
        return None if program is None else self._flips.foresee(attachment, program)

    def _prepare(self, attachment: Attachment) -> bool:
        """Prepare the flip of an attachment; returns False if there is nothing to do for it."""
        program = attachment.holding.program
        waits = attachment.present and program is not None and program.phase is Phase.STAGED
        if program is None or not waits:
            del self._staged[attachment]
            return False
        if self._flips.is_prepared(attachment, program):
            return False
        if (changes := self._flips.prepare(attachment, program)) is None:
            del self._staged[attachment]
            return True
        self._announcer.prepare(program.binding)
        for dpid, change in changes.items():
            if dpid in self._up:
                self._effects.put(Prepare(dpid, change))
        return True
