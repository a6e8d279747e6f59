"""When a switch is compared again because somebody else has changed it: at once, but not all the time.

Who deletes rules in a loop costs a comparison a second.  What only might be about us, and turns out not to be, is
looked at less and less often.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds from the beginning of one comparison to the next, and how many they may become if they are in vain.
PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(slots=True)
class _Plan:
    begun: float = float("-inf")
    pause: float = PAUSE
    due: float | None = None
    open: bool = False


class Repairs:
    """The comparisons of all switches that somebody has asked for by changing something."""

    def __init__(self) -> None:
        self._plans: dict[int, _Plan] = {}

    def plan(self, dpid: int, now: float, certain: bool) -> float:
        """When to begin, now or later; ``certain``: something of ours is gone or other than it was."""
        plan = self._plans.setdefault(dpid, _Plan())
        due = max(now, plan.begun + (PAUSE if certain else plan.pause))
        plan.due = due if plan.due is None else min(plan.due, due)
        return plan.due

    def begin(self, dpid: int, now: float) -> None:
        """One begins."""
        plan = self._plans.setdefault(dpid, _Plan())
        plan.begun, plan.due, plan.open = now, None, True

    def end(self, dpid: int, changed: int) -> bool:
        """A switch is as it should be, after so many rules were changed; whether somebody had altered it."""
        plan = self._plans.setdefault(dpid, _Plan())
        repaired, plan.open = plan.open, False
        if repaired:
            plan.pause = PAUSE if changed else min(2 * plan.pause, LONGEST_PAUSE)
        return repaired and changed > 0

    def forget(self, dpid: int) -> None:
        """A switch has gone; what it holds is read when it returns."""
        self._plans.pop(dpid, None)
