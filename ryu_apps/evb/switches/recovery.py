"""A bridge whose past is lost: which switches may hold rules that are in use though no record explains them.

A store that has just been made holds :data:`UNKNOWN`, and so does one that takes the place of a lost one.  Such rules
stay until the stations of their switch have had the time to claim what they still use; the mark stays as long, so that
a controller that dies meanwhile is patient again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgpack

#: The key of the record of switches whose past is known again, since the store was new.
KEY = "recovering"
#: What a new store begins with.
UNKNOWN: dict[str, bytes | None] = {KEY: msgpack.packb([])}


class Recovery:
    """Which switches are still waited for."""

    def __init__(self, dpids: Iterable[int], records: Mapping[str, bytes] | None, complete: bool) -> None:
        """
        Args:
            dpids: the switches of the fabric.
            records: what an earlier life saved; None if that is not known.
            complete: all records could be used.
        """
        self._marked = records is not None and KEY in records
        self._dpids = frozenset(dpids)
        known = _switches(records[KEY]) if records is not None and KEY in records else frozenset[int]()
        lost = records is None or self._marked or not complete
        self._waiting = set(self._dpids - known) if lost else set[int]()
        self._until: dict[int, float] = {}

    def patient(self, dpid: int) -> bool:
        """Whether rules of a switch that no record explains may be in use."""
        return dpid in self._waiting

    @property
    def over(self) -> bool:
        """Whether no switch is waited for."""
        return not self._waiting

    def heard(self, dpid: int, until: float) -> float:
        """The stations of a switch can be heard; when what they have not claimed by then may go, monotonic seconds."""
        return self._until.setdefault(dpid, until)

    def postpone(self, dpid: int, seconds: float) -> float | None:
        """Nobody was heard for so long: what :meth:`heard` has said is that much later; None: it has said nothing."""
        if dpid not in self._until:
            return None
        self._until[dpid] += seconds
        return self._until[dpid]

    def deaf(self, dpid: int) -> None:
        """They cannot be heard any more; when they can again, they have the whole time again."""
        self._until.pop(dpid, None)

    def done(self, dpid: int) -> dict[str, bytes | None] | None:
        """The time of a switch is over; what is to be written, None: nothing."""
        if dpid not in self._waiting:
            return None
        self._waiting.discard(dpid)
        self._until.pop(dpid, None)
        if not self._marked:
            return None
        return {KEY: msgpack.packb(sorted(self._dpids - self._waiting)) if self._waiting else None}


def _switches(record: bytes) -> frozenset[int]:
    """Those whose past is known; a record that cannot be read knows none."""
    try:
        return frozenset(map(int, msgpack.unpackb(record)))
    except (ValueError, TypeError, msgpack.UnpackException):
        return frozenset()
