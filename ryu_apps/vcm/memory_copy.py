"""Copying the disk and the memory of a VM that runs: rounds that shrink, and what is left for the suspend.

A round sends what has been written to since the round before it began.  Pure arithmetic; who copies takes the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Most rounds, of memory that does not settle.
MOST_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class CopySettings:
    """Settings of copies.

    Attributes:
        mib_s: rate at which memory is sent, MiB/s.
        downtime: seconds in which the last pages have to be sent; the rounds end when they can be.
    """

    mib_s: float
    downtime: float = 0.05


@dataclass(frozen=True, slots=True)
class CopyRound:
    """One round: MiB that it sends, 0 if they are not known, and seconds that this takes."""

    mib: float
    seconds: float

    def __str__(self) -> str:
        time = f"{1000 * self.seconds:.4g} ms"
        return f"{self.mib:.4g} MiB in {time}" if self.mib else time


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """A whole copy.

    Attributes:
        rounds: of memory, while the VM runs.
        last: the last pages, while it is suspended.
        disk_rounds: of its disk, before those of memory; none if both nodes reach it.
        last_blocks: of the disk, while it is suspended.
    """

    rounds: tuple[CopyRound, ...]
    last: CopyRound = CopyRound(0.0, 0.0)
    disk_rounds: tuple[CopyRound, ...] = ()
    last_blocks: CopyRound = CopyRound(0.0, 0.0)

    @property
    def seconds(self) -> float:
        """Time of all rounds, without the last pages and blocks."""
        return sum(piece.seconds for piece in (*self.disk_rounds, *self.rounds))

    def with_disk(self, disk: CopyPlan) -> CopyPlan:
        """The same behind a copy of the disk: from its last round on, what the VM writes goes to both disks."""
        return replace(self, disk_rounds=disk.rounds, last_blocks=disk.last)


def copy_of_span(seconds: float) -> CopyPlan:
    """A copy of which only the time is known; nothing is left for the suspend."""
    return CopyPlan((CopyRound(0.0, seconds),))


def plan_copy(memory_mib: float, dirty_mib_s: float, settings: CopySettings) -> CopyPlan:
    """The rounds of a VM.

    They end when the rest can be sent within the downtime, when a round would not be smaller than the one before it
    (the VM writes as fast as it is copied), or after :data:`MOST_ROUNDS`.

    Args:
        memory_mib: memory of the VM, or its disk.
        dirty_mib_s: rate at which it writes to pages, or blocks, that it has not written to in the same round, MiB/s.
    """
    rounds: list[CopyRound] = []
    left = memory_mib
    while len(rounds) < MOST_ROUNDS:
        rounds.append(CopyRound(left, left / settings.mib_s))
        dirtied = min(memory_mib, dirty_mib_s * rounds[-1].seconds)
        if dirtied / settings.mib_s <= settings.downtime or dirtied >= left:
            left = dirtied
            break
        left = dirtied
    return CopyPlan(tuple(rounds), CopyRound(left, left / settings.mib_s))
