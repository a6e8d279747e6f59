"""Recovery from a lost store: switches that may hold rules which are in use although no record explains them.

A new store holds :data:`UNKNOWN`, and so does one that takes the place of a lost one.  Unexplained rules stay for a
grace time in which the stations of their switch associate their VSIs again.  The record stays as long, so that a
controller that is restarted meanwhile grants the whole time again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgpack

from ryu_apps.evb.record_kinds import RECOVERING

#: The key of the record of switches whose grace time has ended since the store was new.
KEY = RECOVERING.key()
#: The records of a new store.
UNKNOWN: dict[str, bytes | None] = {KEY: msgpack.packb([])}


class Patience(Enum):
    """Rules without a record that a switch keeps."""

    NONE = "none"
    """The past of all switches is known."""
    WAYS = "ways to VSIs of other switches"
    """Its own stations have had their time, those of another switch have not."""
    ALL = "all"
    """Its stations may yet claim them."""


class Recovery:
    """Grace times of the switches."""

    def __init__(self, dpids: Iterable[int], records: Mapping[str, bytes] | None, complete: bool) -> None:
        """
        Args:
            dpids: the switches of the fabric.
            records: as written before the controller was restarted; None if they are lost.
            complete: all records could be used.
        """
        self._dpids = frozenset(dpids)
        self.restore(records, complete)

    def restore(self, records: Mapping[str, bytes] | None, complete: bool) -> None:
        """Begin anew with other records, before a switch has connected; arguments as of the constructor."""
        self._marked = records is not None and KEY in records
        known = _switches(records[KEY]) if records is not None and KEY in records else frozenset[int]()
        lost = records is None or self._marked or not complete
        self._waiting = set(self._dpids - known) if lost else set[int]()
        self._until: dict[int, float] = {}

    def in_grace(self, dpid: int) -> bool:
        """True if rules of a switch that no record explains may be in use."""
        return dpid in self._waiting

    def patience(self, dpid: int) -> Patience:
        """Return which rules without a record a switch keeps."""
        if self.in_grace(dpid):
            return Patience.ALL
        return Patience.NONE if self.over else Patience.WAYS

    def is_last(self, dpid: int) -> bool:
        """Return True if no other switch has stations that may yet claim rules."""
        return self._waiting <= {dpid}

    @property
    def over(self) -> bool:
        """True if the grace times of all switches have ended."""
        return not self._waiting

    def begin_grace(self, dpid: int, until: float) -> float:
        """Begin the grace time of a switch whose stations can be heard; returns its end, monotonic seconds."""
        return self._until.setdefault(dpid, until)

    def postpone(self, dpid: int, seconds: float) -> float | None:
        """Extend the grace time by a time in which no station could be heard; returns its end (None: not begun)."""
        if dpid not in self._until:
            return None
        self._until[dpid] += seconds
        return self._until[dpid]

    def cancel_grace(self, dpid: int) -> None:
        """Cancel the grace time of a switch whose stations cannot be heard any more; later it begins anew."""
        self._until.pop(dpid, None)

    def end_grace(self, dpid: int) -> dict[str, bytes | None] | None:
        """End the grace time of a switch; returns the changes of the store, None: there are none."""
        if dpid not in self._waiting:
            return None
        self._waiting.discard(dpid)
        self._until.pop(dpid, None)
        if not self._marked:
            return None
        return {KEY: msgpack.packb(sorted(self._dpids - self._waiting)) if self._waiting else None}


def _switches(record: bytes) -> frozenset[int]:
    """Switches whose grace time had ended; none if the record cannot be read."""
    try:
        return frozenset(map(int, msgpack.unpackb(record)))
    except (ValueError, TypeError, msgpack.UnpackException):
        return frozenset()
