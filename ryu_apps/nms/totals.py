"""Totals of a VSI over all bridges where it was, of what each of them shows.

A bridge shows the total of a VSI, and the part of it that was given to it when the VSI came (``base``).  Whether that
is everything, a part or nothing depends on who has carried it, so the total of the NMS is made of increments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

#: Frames and octets from the VM, frames and octets to it.
Numbers = tuple[int, int, int, int]
NOTHING: Numbers = (0, 0, 0, 0)


class Reading(NamedTuple):
    """Totals of a VSI as a bridge shows them at one time.

    Attributes:
        port: where it is active; None: it is not any more.
        total: with ``base``.
        base: given to the bridge when the VSI came.
    """

    port: str | None
    total: Numbers
    base: Numbers


class VsiTotals(NamedTuple):
    """Totals of a VSI.

    Attributes:
        total: over all bridges.
        last: total of the bridge where it is active, or was last.
        known: last reading of each bridge.
    """

    total: Numbers = NOTHING
    last: Numbers = NOTHING
    known: Mapping[str, Reading] = {}

    def after(self, bridge: str, reading: Reading) -> VsiTotals:
        """Return the totals after another reading."""
        added = self._added(bridge, reading)
        total = _sum(self.total, added)
        active = [name for name, known in self.known.items() if known.port is not None]
        # As it leaves the only bridge where it is active, that shows what it has counted last.
        leaves = active == [bridge]
        last = reading.total if reading.port is not None or leaves else self.last
        return VsiTotals(total, last, {**self.known, bridge: reading})

    def _added(self, bridge: str, reading: Reading) -> Numbers:
        before = self.known.get(bridge)
        if before is not None and before.base == reading.base and _is_same(before, reading):
            grown = _difference(reading.total, before.total)
            # What a bridge counts last, after the VSI has gone on with its totals, has been counted with these.
            return NOTHING if reading.port is None and self._carries(bridge, reading.total) else grown
        if reading.port is None:
            # Of former times: what is active now has been given it, or not; that cannot be known any more.
            return NOTHING
        # A new account: what was carried is counted already, up to where it was last seen.
        return _difference(reading.total, _least(reading.base, self.last))

    def _carries(self, bridge: str, total: Numbers) -> bool:
        """True if another bridge has begun with at least this total."""
        others = (reading for name, reading in self.known.items() if name != bridge and reading.port is not None)
        return any(_least(total, reading.base) == total for reading in others)


def reading_of(written: Mapping[str, Any]) -> Reading | None:
    """Read an object of ``/evb/statistics``; None: its totals are not known yet.

    Raises:
        ValueError, TypeError, LookupError: it is none.
    """
    if written["from_vm"] is None or written["to_vm"] is None:
        return None
    from_vm, to_vm = written["from_vm"], written["to_vm"]
    port = written["port"]
    if port is not None and not isinstance(port, str):
        raise TypeError("a port that is no text")
    total = (*_count(from_vm), *_count(to_vm))
    return Reading(port, total, (*_count(from_vm["base"]), *_count(to_vm["base"])))


def _count(written: Mapping[str, Any]) -> tuple[int, int]:
    packets, octets = written["packets"], written["octets"]
    for number in (packets, octets):
        if not isinstance(number, int) or not 0 <= number < 1 << 63:
            raise ValueError(f"{number!r} is no count")
    return packets, octets


def _is_same(before: Reading, after: Reading) -> bool:
    """True if both readings are of one account: it has not ended between them, and only grown."""
    again = before.port is None and after.port is not None
    return not again and _least(before.total, after.total) == before.total


def _sum(first: Numbers, second: Numbers) -> Numbers:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]


def _difference(first: Numbers, second: Numbers) -> Numbers:
    found = [max(minuend - subtrahend, 0) for minuend, subtrahend in zip(first, second, strict=True)]
    return found[0], found[1], found[2], found[3]


def _least(first: Numbers, second: Numbers) -> Numbers:
    found = [min(pair) for pair in zip(first, second, strict=True)]
    return found[0], found[1], found[2], found[3]
