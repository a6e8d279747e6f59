"""Complexity and configuration of one trigger and of two: counts from protocol tables, cells and policies."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.testbed.matrix.cells import Cell
from ryu_apps.testbed.matrix.run import FIRST_TYPE, policy_text
from ryu_apps.testbed.matrix.workload import Workload
from ryu_apps.vcm.move_events import Ladder
from ryu_apps.vcm.move_tables import TABLES

SINGLE_SIMPLER, DUAL_SIMPLER, AS_SIMPLE, MIXED = "single is simpler", "dual is simpler", "equal", "mixed"
SIMPLER_RULE = (
    'Simpler is what needs less of something and more of nothing; "mixed" is less of one thing and more of another.'
)


class LadderComplexity(NamedTuple):
    """Medians over the cells of a ladder and a trigger, and the size of the cluster manager's machine.

    Attributes:
        messages, round_trips, kinds: see ``cells.Cell``.
        states, transitions: of the machine that has the ladder's order.
    """

    messages: float
    round_trips: float
    kinds: float
    states: int
    transitions: int

    def __str__(self) -> str:
        return (
            f"{self.messages:g} messages, {self.round_trips:g} round trips, {self.kinds:g} kinds of events,"
            f" {self.states} states, {self.transitions} transitions"
        )


def complexity(cells: Sequence[Cell]) -> LadderComplexity:
    """Count for cells of one ladder and one trigger; there is at least one."""
    rows = list(TABLES[Ladder(cells[0].ladder)].rows())
    return LadderComplexity(
        median(cell.messages for cell in cells),
        median(cell.round_trips for cell in cells),
        median(cell.kinds for cell in cells),
        len({state for row in rows for state in (row.state, row.next)}),
        len(rows),
    )


def simpler(single: Sequence[float], dual: Sequence[float]) -> str:
    """Compare counts of the same things by :data:`SIMPLER_RULE`."""
    fewer = any(mine < other for mine, other in zip(single, dual, strict=True))
    more = any(mine > other for mine, other in zip(single, dual, strict=True))
    return {(True, False): SINGLE_SIMPLER, (False, True): DUAL_SIMPLER, (False, False): AS_SIMPLE}.get(
        (fewer, more), MIXED
    )


def configuration_lines(workload: type[Workload], trigger: str) -> int:
    """Number of lines that a VSI type needs for a service with a trigger: one less if the trigger is the default."""
    text = policy_text(workload, trigger, 0, FIRST_TYPE)
    shorter = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("trigger:"))
    found, _ = load_policies([("type.yaml", shorter)], SECTIONS)
    assert found is not None, shorter
    (made,) = found.types.values()
    return len((shorter if made.trigger.value == trigger else text).splitlines())


class StateShares(NamedTuple):
    """Per cent of the rules of state that go at Pre-Associate with RR, at the source's trigger and after Associate."""

    staged: float
    early: float
    late: float

    def __str__(self) -> str:
        return (
            f"{self.staged:.0f} % staged, {self.early:.0f} % at the source's trigger, {self.late:.0f} % after Associate"
        )

    @property
    def relies_on(self) -> str:
        """The step that brings most."""
        words = ("Pre-Associate with RR", "the source's trigger", "Associate")
        return words[self.index(max(self))]


def shares(cells: Sequence[Cell]) -> StateShares | None:
    """Compute the shares over all cells of a trigger; None if none had state."""
    sums = [
        sum(brought) for brought in zip(*((cell.carried, cell.early, cell.fixed_up) for cell in cells), strict=True)
    ]
    total = sum(sums)
    return StateShares(*(100.0 * brought / total for brought in sums)) if total else None
