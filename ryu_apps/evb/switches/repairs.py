"""Comparisons of switches that something else has changed: at once, but with pauses in between.

A program that deletes rules in a loop causes one comparison a second.  Changes that only might concern our rules, and
turn out not to, lengthen the pause each time.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds from the beginning of one comparison to the next, and their maximum after comparisons without a difference.
PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(slots=True)
class _Plan:
    begun: float = float("-inf")
    pause: float = PAUSE
    due: float | None = None
    open: bool = False


class Repairs:
    """Comparisons of all switches after changes by something else."""

    def __init__(self) -> None:
        self._plans: dict[int, _Plan] = {}

    def plan(self, dpid: int, now: float, certain: bool) -> float:
        """Return the time of the next comparison; ``certain``: a rule of ours is known to be gone or altered."""
        plan = self._plans.setdefault(dpid, _Plan())
        due = max(now, plan.begun + (PAUSE if certain else plan.pause))
        plan.due = due if plan.due is None else min(plan.due, due)
        return plan.due

    def begin(self, dpid: int, now: float) -> None:
        """Record the beginning of a comparison."""
        plan = self._plans.setdefault(dpid, _Plan())
        plan.begun, plan.due, plan.open = now, None, True

    def end(self, dpid: int, changed: int) -> bool:
        """Record the end of a comparison that changed so many rules; returns True if the switch had been altered."""
        plan = self._plans.setdefault(dpid, _Plan())
        repaired, plan.open = plan.open, False
        if repaired:
            plan.pause = PAUSE if changed else min(2 * plan.pause, LONGEST_PAUSE)
        return repaired and changed > 0

    def forget(self, dpid: int) -> None:
        """Remove a switch that has disconnected; it is read when it returns."""
        self._plans.pop(dpid, None)
