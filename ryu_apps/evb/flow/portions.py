"""Work on thousands of rules in portions, so that it holds up nothing else."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Rules of a portion: to compose one takes some 15 us, to compare it 5 us.
PORTION = 50


def in_parts(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Yield items in portions."""
    rest = iter(items)
    while part := tuple(islice(rest, PORTION)):
        yield part


def go_on(work: Iterator[int]) -> bool:
    """Do the next portion of work, which yields the number of rules of each of its steps; returns False at its end."""
    done = 0
    while done < PORTION:
        step = next(work, None)
        if step is None:
            return False
        # A step without rules is work too: thousands of them would be one portion otherwise.
        done += max(step, 1)
    return True


def finish(work: Generator[int, None, T]) -> T:
    """Do all work in one go; returns its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
