"""Verdicts on one trigger against two, each from figures by a rule.  Pure.

The manual prints the rules as they are written here; of each table of rules the first that holds decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from ryu_apps.testbed.matrix.cells import TRIGGERS, Cell, RowKey
from ryu_apps.testbed.matrix.record import rows_of

#: Milliseconds: Linux' least retransmission timeout (TCP_RTO_MIN); a connection that waits less has lost no segment.
SHORTEST_TIMEOUT = 200.0
#: A time below this part of another one is much shorter.
MUCH_SHORTER = 0.5
#: A delay beyond this factor is one.
DELAYED = 1.2
#: Milliseconds: differences below are the machine's.
NOTICEABLE = 5.0


class Spread(NamedTuple):
    """Median and range of a figure over the rounds of a cell."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Compute the spread of the values that were measured; None if none was."""
        known = [float(value) for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None

    def is_below(self, other: Spread, factor: float) -> bool:
        """True if its median is below a part of the other's, noticeably, and the ranges do not meet."""
        noticeable = other.median - self.median >= NOTICEABLE
        return noticeable and self.median < factor * other.median and self.highest < other.lowest


class TriggerPair(NamedTuple):
    """The rounds of a row with one trigger and with two."""

    single: Sequence[Cell]
    dual: Sequence[Cell]

    def spreads(self, figure: Callable[[Cell], float | None]) -> tuple[Spread | None, Spread | None]:
        """Compute the spread of a figure for each trigger."""
        return Spread.of(map(figure, self.single)), Spread.of(map(figure, self.dual))

    def total(self, figure: Callable[[Cell], int]) -> int:
        """Sum of a figure over all rounds of both."""
        return sum(map(figure, (*self.single, *self.dual)))


class VerdictRule(NamedTuple):
    """A verdict, the condition in words, and the condition."""

    verdict: str
    condition: str
    holds: Callable[[TriggerPair], bool]


def _is_shorter(figure: Callable[[Cell], float | None], pair: TriggerPair, factor: float) -> bool:
    single, dual = pair.spreads(figure)
    return single is not None and dual is not None and dual.is_below(single, factor)


def _swapped(pair: TriggerPair) -> TriggerPair:
    return TriggerPair(pair.dual, pair.single)


def _until_fixed_up(cell: Cell) -> float:
    return cell.until_fixed_up


def _answer(cell: Cell) -> float:
    return cell.associate_ms


def _saves_a_timeout(pair: TriggerPair) -> bool:
    single, dual = pair.spreads(lambda cell: cell.silence_ms)
    if single is None or dual is None:
        return False
    return single.median >= SHORTEST_TIMEOUT and dual.median < MUCH_SHORTER * single.median


NOTHING, TWO_EARLIER, ONE_EARLIER, EQUAL = "nothing to fix up", "two triggers earlier", "one trigger earlier", "equal"
BROKEN = "broken"

FIX_UP_RULES = (
    VerdictRule(
        BROKEN,
        "a connection or membership broke, or something passed that policy forbids, in any round",
        lambda pair: pair.total(lambda cell: cell.broken + cell.trespassed) > 0,
    ),
    VerdictRule(
        NOTHING,
        "in no round was there state that came after the staging",
        lambda pair: pair.total(lambda cell: cell.early + cell.fixed_up) == 0,
    ),
    VerdictRule(
        TWO_EARLIER,
        f"with two triggers the median of the fix-up is below {MUCH_SHORTER:g} times that with one, and the ranges"
        f" do not meet, and it is {NOTICEABLE:g} ms or more",
        lambda pair: _is_shorter(_until_fixed_up, pair, MUCH_SHORTER),
    ),
    VerdictRule(
        ONE_EARLIER,
        "the other way round",
        lambda pair: _is_shorter(_until_fixed_up, _swapped(pair), MUCH_SHORTER),
    ),
    VerdictRule(EQUAL, "otherwise", lambda pair: True),
)

NOT_MEASURED, NOT_FELT = "no connections", "not felt"
TWO_SPARE, ONE_SPARES = "two triggers spare a timeout", "one trigger spares a timeout"

COST_RULES = (
    VerdictRule(
        NOT_MEASURED,
        "the service has no connections, or none was live",
        lambda pair: None in pair.spreads(lambda cell: cell.silence_ms),
    ),
    VerdictRule(
        TWO_SPARE,
        f"the median of the longest silence is {SHORTEST_TIMEOUT:g} ms or more with one trigger, Linux' least"
        f" retransmission timeout, and below {MUCH_SHORTER:g} times that with two: TCP doubles its timeout each time",
        _saves_a_timeout,
    ),
    VerdictRule(ONE_SPARES, "the other way round", lambda pair: _saves_a_timeout(_swapped(pair))),
    VerdictRule(NOT_FELT, "otherwise", lambda pair: True),
)

TWO_DELAY, ONE_DELAYS = "two triggers delay the answer", "one trigger delays the answer"

ANSWER_RULES = (
    VerdictRule(
        TWO_DELAY,
        f"with two triggers the median from Associate to its answer is more than {DELAYED:g} times that with one,"
        f" the ranges do not meet, and it is {NOTICEABLE:g} ms or more",
        lambda pair: _is_shorter(_answer, _swapped(pair), 1.0 / DELAYED),
    ),
    VerdictRule(ONE_DELAYS, "the other way round", lambda pair: _is_shorter(_answer, pair, 1.0 / DELAYED)),
    VerdictRule(EQUAL, "otherwise", lambda pair: True),
)


class Verdicts(NamedTuple):
    """Verdicts of a row on the fix-up, on its cost to connections, and on the answer to Associate."""

    fix_up: str
    cost: str
    answer: str


def decide(rules: Sequence[VerdictRule], pair: TriggerPair) -> str:
    """Return the verdict of the first rule that holds."""
    return next(rule.verdict for rule in rules if rule.holds(pair))


def pairs(cells: Sequence[Cell]) -> dict[RowKey, TriggerPair]:
    """The rows that were measured with one trigger and with two."""
    return {
        row: TriggerPair(*(found[trigger] for trigger in TRIGGERS))
        for row, found in rows_of(cells).items()
        if set(found) == set(TRIGGERS)
    }


def verdicts(cells: Sequence[Cell]) -> dict[RowKey, Verdicts]:
    """The verdicts on every row that has both triggers."""
    rules = FIX_UP_RULES, COST_RULES, ANSWER_RULES
    return {row: Verdicts(*(decide(table, pair) for table in rules)) for row, pair in pairs(cells).items()}


class Disagreement(NamedTuple):
    """A verdict that a run does not share with the record."""

    row: RowKey
    about: str
    recorded: str
    found: str

    def __str__(self) -> str:
        return f"{self.row}: {self.about}: recorded {self.recorded!r}, now {self.found!r}"


def disagreements(recorded: Mapping[RowKey, Verdicts], found: Mapping[RowKey, Verdicts]) -> list[Disagreement]:
    """List the verdicts that differ, of rows that both have."""
    return [
        Disagreement(row, about, before, now)
        for row in found
        if row in recorded
        for about, before, now in zip(Verdicts._fields, recorded[row], found[row], strict=True)
        if before != now
    ]
