"""Queue of the deadlines of many small machines."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Outdated heap entries that are tolerated regardless of the number of items.
_SLACK = 64


class DeadlineQueue(Generic[K]):
    """One deadline for each item, in monotonic seconds.

    Moving a deadline costs one push: keep-alives move it with every frame.  The old entry stays in the heap until
    it is at the top or the heap is compacted; removing it at once would take a search through the heap.
    """

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0

    def set(self, item: K, deadline: float | None) -> None:
        """Replace the deadline of ``item``; None removes it."""
        if deadline is None:
            self._due.pop(item, None)
        elif self._due.get(item) != deadline:
            self._due[item] = deadline
            self._order += 1
            heapq.heappush(self._heap, (deadline, self._order, item))
            self._compact()

    def due(self, now: float) -> Iterator[K]:
        """Remove and return the items whose deadline has passed, the earliest first."""
        while (first := self.deadline) is not None and first <= now:
            item = heapq.heappop(self._heap)[2]
            del self._due[item]
            yield item

    def _compact(self) -> None:
        """Bound the outdated entries: those far in the future would never reach the top of the heap."""
        if len(self._heap) > _SLACK + 4 * len(self._due):
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    @property
    def deadline(self) -> float | None:
        """The earliest deadline, None without items."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
