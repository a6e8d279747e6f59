"""Figures of one move, and their form in a record.  Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

TRIGGERS = ("single", "dual")


class RowKey(NamedTuple):
    """Moves that differ in nothing but the trigger and the round; suspension in seconds."""

    service: str
    live: int
    ladder: str
    suspension: float

    def __str__(self) -> str:
        return f"{self.service}, {self.live} live, {self.ladder}, suspended for {self.suspension:g} s"


class CellKey(NamedTuple):
    """One move of one round."""

    row: RowKey
    trigger: str
    round: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of one move.  Times in milliseconds; None where nothing was done or nothing can be measured.

    Attributes:
        service, live, ladder, suspension, trigger, round: the move; ``live`` connections before it, ``suspension``
            in seconds as asked for.
        suspended_ms: from the final suspend to Associate, as it was.
        stage_ms to fix_up_ms: see ``measurement.timeline.BridgeFigures``.
        messages, round_trips: VDP requests, answers and unsolicited De-Associates; answered requests.
        kinds: different log events of the bridge about the move.
        survived, broken: of what was live, and of what came between staging and Associate.
        trespassed: what policy should have stopped and did not.
        dropped: frames sent after the VM was resumed, until every connection had carried one, that did not arrive.
        retransmitted: TCP segments that were sent again in that time.
        silence_ms: from the VM's resumption to the first octet over the connection that waited longest.
        contexts_left, contexts_moved: TCP contexts of the VM in the proxy of the source's switch and of the
            destination's, after the move.
        load: the machine's load average over a minute.
    """

    service: str
    live: int
    ladder: str
    suspension: float
    trigger: str
    round: int
    suspended_ms: float
    stage_ms: float
    rules: int
    carried: int
    early: int
    associate_ms: float
    fixed_up: int
    fix_up_ms: float | None
    messages: int
    round_trips: int
    kinds: int
    survived: int
    broken: int
    trespassed: int
    dropped: int | None = None
    retransmitted: int | None = None
    silence_ms: float | None = None
    contexts_left: int | None = None
    contexts_moved: int | None = None
    load: float = 0.0

    @property
    def row(self) -> RowKey:
        """Its row of the tables."""
        return RowKey(self.service, self.live, self.ladder, self.suspension)

    @property
    def key(self) -> CellKey:
        """Its place in a record."""
        return CellKey(self.row, self.trigger, self.round)

    @property
    def until_fixed_up(self) -> float:
        """Milliseconds from Associate until all state is in force; 0 if Associate had nothing to bring."""
        return self.fix_up_ms or 0.0

    def as_json(self) -> dict[str, Any]:
        """For ``json.dump``; times to a hundredth of a millisecond."""
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def cells_from_json(entries: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """Read what :meth:`Cell.as_json` has made.

    Raises:
        TypeError: an entry has other members.
    """
    return [Cell(**entry) for entry in entries]
