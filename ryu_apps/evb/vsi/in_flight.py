"""Frames that are under way to where a VM was: for some seconds its last switch passes them on.

A gate's way to another switch is enough for what comes in by another port.  Between two switches most of what is under
way comes by the very trunk it has to go back, and OpenFlow sends nothing out of the port it came in by.  So
there is a *detour* beside the gate, which forgets that port; the switch itself ends it.

A VSI has one detour at most.  With two, whoever is told late might lead one switch to the other and back, and both
would send on.  With one, a frame that is sent back meets a switch that sends it elsewhere, or one that has
not been told yet, and that one drops it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.flow.plan import RuleSet, difference
from ryu_apps.evb.flow.rule import Action, RuleChange
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.gate import detour
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.vsi.registry import Attachment, Installation, Vsi
from ryu_apps.evb.vsi.reservation import Owner, RuleBudget

#: Seconds that a switch may take to notice that a rule has to end; and to be told of it, if nobody says that it was.
_MARGIN, _PATIENCE = 2.0, 60.0


class _Detour(NamedTuple):
    dpid: int
    binding: VsiBinding
    rules: RuleSet

    @property
    def promise(self) -> Owner:
        return "detour", self.binding.vsi_index


class InFlight:
    """The detours of all VSIs."""

    def __init__(self, seconds: int, ledger: RuleBudget, way: Callable[[int, int], Action | None]) -> None:
        """
        Args:
            seconds: how long a detour stands; 0: there are none.
            way: from one switch towards another, None if there is none.
        """
        self._seconds = seconds
        self._ledger = ledger
        self._way = way
        self._detours: dict[Vsi, _Detour] = {}
        self._agenda: DeadlineQueue[Vsi] = DeadlineQueue()
        self._new: set[Vsi] = set()

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`, monotonic seconds; None: no detour stands."""
        return self._agenda.deadline

    def moved(self, vsi: Vsi, owner: Attachment | None, program: Installation | None) -> dict[int, RuleChange]:
        """A VSI is about to be elsewhere, or nowhere: what that means for the switch where it was, if anything."""
        before = self._detours.pop(vsi, None)
        after = self._detour(before.dpid if before else _home(vsi), owner, program)
        if before is not None:
            self._ledger.release(before.dpid, before.promise)
        if after is not None and self._ledger.promise(after.dpid, after.promise, len(after.rules)):
            self._detours[vsi] = after
            self._new.add(vsi)
        else:
            after = None
            self._agenda.set(vsi, None)
        change = difference(before.rules if before else {}, after.rules if after else {})
        return {found.dpid: change for found in (before, after) if found is not None}

    def sent(self, now: float) -> None:
        """What :meth:`moved` said has just been sent: when it arrives nobody knows until somebody says that it has."""
        for vsi in self._new & self._detours.keys():
            self._agenda.set(vsi, now + self._seconds + _PATIENCE)
        self._new.clear()

    def confirmed(self, vsi: Vsi, now: float) -> None:
        """All switches have what :meth:`moved` said."""
        if vsi in self._detours:
            self._new.discard(vsi)
            self._agenda.set(vsi, now + self._seconds + _MARGIN)

    def tick(self, now: float) -> None:
        """Forget what the switches have ended."""
        for vsi in self._agenda.due(now):
            over = self._detours.pop(vsi)
            self._ledger.release(over.dpid, over.promise)

    def cookies(self, dpid: int) -> Iterator[int]:
        """Of the rules that a switch may have, and may have ended."""
        for one in self._detours.values():
            if one.dpid == dpid:
                yield cookie(CookieKind.DETOUR, one.binding.vsi_index, one.binding.generation)

    def _detour(self, dpid: int | None, owner: Attachment | None, program: Installation | None) -> _Detour | None:
        if dpid is None or owner is None or program is None or not self._seconds:
            return None
        way = self._way(dpid, owner.port.dpid)
        rules = detour(way, program.binding, self._seconds) if way is not None else {}
        return _Detour(dpid, program.binding, rules) if rules else None


def _home(vsi: Vsi) -> int | None:
    return vsi.owner.port.dpid if vsi.owner is not None else None
