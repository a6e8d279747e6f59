"""Frames in flight to the old switch of a VM: for some seconds it forwards them to the new one.

A remote gate is enough for frames that come in by another port.  Between two switches most frames in flight come in by
the very trunk that they have to go back through, and OpenFlow sends no frame out of its ingress port.  So there is a
*detour* beside the gate, which clears ``in_port``; the switch ends it by a timeout.

A VSI has one detour at most.  With two, each could lead to the switch of the other while a change is under way, and
frames would loop.  With one, a frame that is sent back meets a switch whose gate leads elsewhere, or one that has not
changed yet, and that one drops it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, difference
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.copies import GUARD_SECONDS
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.reservation import Demand, Owner, Reservations, in_tables

#: Seconds after its timeout in which a switch removes a rule, and seconds to wait for a missing confirmation.
_MARGIN, _MAX_INSTALL = 2.0, 60.0


class _Detour(NamedTuple):
    dpid: int
    binding: VsiBinding
    rules: RuleSet
    seconds: int

    @property
    def reservation(self) -> Owner:
        return "detour", self.binding.vsi_index

    @property
    def demand(self) -> Demand:
        return Demand(self.dpid, self.reservation, in_tables(Counter(key.table for key in self.rules)))


class InFlight:
    """Detours of all VSIs.

    Attributes:
        new: VSIs whose detours have no timer yet; :meth:`planned` starts it.
    """

    def __init__(
        self, seconds: int, ledger: Reservations, rules: Callable[[int, int, Installation, int], RuleSet]
    ) -> None:
        """
        Args:
            seconds: duration of a detour; 0: there are none.
            rules: detour of a program from one switch to another for some seconds; none if there is no path.
        """
        self._seconds = seconds
        self._ledger = ledger
        self._rules = rules
        self._detours: dict[Vsi, _Detour] = {}
        self._agenda: DeadlineQueue[Vsi] = DeadlineQueue()
        self.new: set[Vsi] = set()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds; None: there is no detour."""
        return self._agenda.deadline

    def has(self, vsi: Vsi) -> bool:
        """True if a switch may have a detour of a VSI."""
        return vsi in self._detours

    def moved(
        self, vsi: Vsi, owner: Attachment | None, program: Installation | None, shield: RuleSet | None = None
    ) -> dict[int, RuleChange]:
        """Move the detour of a VSI that is about to be at another port, or at none.

        Args:
            shield: rules of the switch that it leaves in place of a detour; None: there are none.

        Returns:
            The change of each switch that is concerned, for the same change as the gates.
        """
        if not self._seconds and shield is None and vsi not in self._detours:
            return {}
        before = self._detours.pop(vsi, None)
        # While a detour exists, the next one starts at the same switch: frames in flight are still on their way there.
        after = self._detour(before.dpid if before else home(vsi), owner, program, shield)
        if before is not None:
            self._ledger.release(before.dpid, before.reservation)
        if after is not None and self._ledger.reserve(after.demand) is None:
            self._detours[vsi] = after
            self.new.add(vsi)
        else:
            # No path, or no rules left in the budget: frames in flight are lost, but a move must not fail for that.
            after = None
            self._agenda.set(vsi, None)
        change = difference(before.rules if before else {}, after.rules if after else {})
        return {found.dpid: change for found in (before, after) if found is not None}

    def foresee(
        self, vsi: Vsi, owner: Attachment, program: Installation, shield: RuleSet | None
    ) -> tuple[int, RuleChange] | None:
        """Return the change of :meth:`moved` and its switch, for a VSI that has no detour; None: there is none."""
        after = self._detour(home(vsi), owner, program, shield)
        if after is None or self._ledger.shortage(after.demand) is not None:
            return None
        return after.dpid, difference({}, after.rules)

    def planned(self, now: float) -> None:
        """Start the timers of new detours: their changes have just been sent, and the confirmations may be lost."""
        for vsi in self.new & self._detours.keys():
            self._agenda.set(vsi, now + self._detours[vsi].seconds + _MAX_INSTALL)
        self.new.clear()

    def confirmed(self, vsi: Vsi, now: float) -> None:
        """Restart the timer of a detour: all switches have confirmed its change, so the rule's own timeout runs."""
        if vsi in self._detours:
            self.new.discard(vsi)
            self._agenda.set(vsi, now + self._detours[vsi].seconds + _MARGIN)

    def tick(self, now: float) -> None:
        """Remove the detours that the switches have ended by themselves."""
        for vsi in self._agenda.due(now):
            ended = self._detours.pop(vsi)
            # The switch sends no flow-removed message for a detour, so this timer alone releases the budget.  It runs
            # longer than the rule: a budget released early could be exceeded in the switch.
            self._ledger.release(ended.dpid, ended.reservation)

    def cookies(self, dpid: int) -> Iterator[int]:
        """Cookies of detours that a switch may have, and may have ended already."""
        for standing in self._detours.values():
            # A comparison must neither install an ended detour again nor remove one that still forwards frames.
            if standing.dpid == dpid:
                yield cookie(CookieKind.DETOUR, standing.binding.vsi_index, standing.binding.generation)

    def _detour(
        self, dpid: int | None, owner: Attachment | None, program: Installation | None, shield: RuleSet | None
    ) -> _Detour | None:
        if dpid is None or owner is None or program is None:
            return None
        if shield is not None:
            # What is under way has been copied, and would come twice.
            return _Detour(dpid, program.binding, shield, GUARD_SECONDS)
        if not self._seconds:
            return None
        rules = self._rules(dpid, owner.port.dpid, program, self._seconds)
        return _Detour(dpid, program.binding, rules, self._seconds) if rules else None


def home(vsi: Vsi) -> int | None:
    """Datapath id of the switch where a VSI is active; None: there is none."""
    return vsi.owner.port.dpid if vsi.owner is not None else None
