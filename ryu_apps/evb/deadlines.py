"""When to look at what: deadlines of many small machines in one place."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

#: Entries of the past that are tolerated however few items there are.
_SLACK = 64


class DeadlineQueue(Generic[K]):
    """One deadline an item, in monotonic seconds; cheap to move, so keep-alives may move it often."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0

    def set(self, item: K, deadline: float | None) -> None:
        """Look at ``item`` at ``deadline``, and at no other time; None: not at all."""
        if deadline is None:
            self._due.pop(item, None)
        elif self._due.get(item) != deadline:
            self._due[item] = deadline
            self._order += 1
            heapq.heappush(self._heap, (deadline, self._order, item))
            self._compact()

    def due(self, now: float) -> Iterator[K]:
        """Take out the items whose time has come, the earliest first."""
        while (first := self.deadline) is not None and first <= now:
            item = heapq.heappop(self._heap)[2]
            del self._due[item]
            yield item

    def _compact(self) -> None:
        """Deadlines that were moved are only dropped from the top; far ones must not pile up below it."""
        if len(self._heap) > _SLACK + 4 * len(self._due):
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    @property
    def deadline(self) -> float | None:
        """The next time anything is due."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
