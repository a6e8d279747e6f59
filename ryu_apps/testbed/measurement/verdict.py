"""Expectations of figures, and what is not as expected, in words.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BeforeValidator

from ryu_apps.evb.policy.validate import Strict
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.evidence import MoveOutcome


# A function, since on Python 3.13 an enumeration does not look like one of a single argument.
def _outcome(value: object) -> MoveOutcome:
    for outcome in MoveOutcome:
        if value in (outcome, outcome.value):
            return outcome
    words = ", ".join(outcome.value for outcome in MoveOutcome)
    raise ValueError(f"one of {words} was expected, not {value!r}")


class Expectation(Strict):
    """Expectations beyond the counters that must be 0; an attribute that is left out is not checked.

    Attributes:
        outcome: how the move ends.
        error: VDP error code of a refusal.
        lost: most datagrams that may be lost, both directions together.
        blackout_ms: longest gap allowed in either direction.
    """

    outcome: Annotated[MoveOutcome, BeforeValidator(_outcome)] = MoveOutcome.COMPLETED
    error: int | None = None
    lost: int | None = None
    blackout_ms: float | None = None


#: Verdict on figures without failures.
ALL_MET = "all must-be-zero counters are 0; all expectations met"
#: Figures that must be 0 in every move -> what another value means.
MUST_BE_ZERO = {
    "gates_staged": "gate rules were there before Associate",
    "leaked_from_staged": "frames left the staged port before Associate",
    "leaked_to_staged": "frames reached the staged port before Associate",
    "wrongly_passed": "datagrams passed that policy blocks",
    "wrongly_blocked": "datagrams were lost that policy lets through, and the VM was not under way",
    "rules_left": "rules were left where the VM is not",
}


def failures(figures: Figures, expect: Expectation) -> list[str]:
    """Return what is not as it has to be, in words; empty for a success."""
    return list(_failures(figures, expect))


def _failures(figures: Figures, expect: Expectation) -> Iterator[str]:
    for name, meaning in MUST_BE_ZERO.items():
        if getattr(figures, name):
            yield f"{getattr(figures, name)} {meaning}"
    yield from (f"stream {broken}" for broken in figures.streams_broken)
    if figures.outcome is not expect.outcome:
        yield f"{figures.outcome.value} instead of {expect.outcome.value} {figures.reason}".rstrip()
    if expect.error is not None and figures.error != expect.error:
        yield f"VDP error {figures.error} instead of {expect.error}"
    if expect.lost is not None and figures.lost > expect.lost:
        yield f"{figures.lost} datagrams lost, {expect.lost} allowed"
    if expect.blackout_ms is not None and (figures.blackout_ms or 0.0) > expect.blackout_ms:
        yield f"blackout of {figures.blackout_ms:.0f} ms, {expect.blackout_ms:.0f} allowed"
    if figures.outcome is MoveOutcome.COMPLETED and not figures.rules_staged:
        yield "nothing was staged"
