"""The standbys, as the leader sees them: each reports, once in a while, the last beat that it has seen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import msgpack

from ryu_apps.evb.record_kinds import MEMBER

#: Beats whose time is remembered, seconds after which a member that has reported nothing is not listed any more, and
#: members that are listed at most.
_BEATS, _FORGET, _MOST = 256, 60.0, 100
#: Seconds since its last report for which a standby counts as alive.
_ALIVE = 3.0


@dataclass(frozen=True, slots=True)
class Report:
    """The record of a standby.

    Attributes:
        generation: of the leader that it follows.
        beat: number of the last renewal that it has seen.
        switches: number of switches that are connected to it.
        version: of its program.
    """

    generation: int
    beat: int
    switches: int
    version: str

    def encoded(self) -> bytes:
        """Return the record."""
        octets: bytes = msgpack.packb([MEMBER.schema, self.generation, self.beat, self.switches, self.version])
        return octets


@dataclass(frozen=True, slots=True)
class StandbyStatus:
    """One standby.

    Attributes:
        lag: seconds by which it was behind when it last reported; None: more than the leader remembers.
        heard: seconds since then.
        switches: number of switches that are connected to it.
        version: of its program.
    """

    name: str
    lag: float | None
    heard: float
    switches: int
    version: str


class Standbys:
    """The standbys of one leader."""

    def __init__(self, generation: int) -> None:
        """
        Args:
            generation: of the leader.
        """
        self._generation = generation
        self._sent: deque[tuple[int, float]] = deque(maxlen=_BEATS)
        self._reports: dict[str, tuple[Report, float | None, float]] = {}

    def renewed(self, beat: int, now: float) -> None:
        """Note the time at which a beat was confirmed."""
        self._sent.append((beat, now))

    def reported(self, name: str, record: bytes | None, now: float) -> None:
        """Take the record of a standby; one that cannot be read, or is about another leader, is left out."""
        report = _decoded(record or b"")
        if report is None or report.generation != self._generation:
            return
        if name not in self._reports and len(self._reports) >= _MOST:
            return
        seen = next((sent for beat, sent in self._sent if beat > report.beat), None)
        oldest = self._sent[0][0] if self._sent else 0
        lag = (0.0 if seen is None else now - seen) if report.beat >= oldest - 1 else None
        self._reports[name] = report, lag, now

    def better(self, switches: int, now: float) -> str:
        """Return the name of a standby that reaches more switches than the leader; empty: there is none.

        Args:
            switches: number of those that the leader reaches.
        """
        alive = [standby for standby in self.status(now) if standby.heard < _ALIVE and standby.switches > switches]
        return max(alive, key=lambda standby: standby.switches).name if alive else ""

    def status(self, now: float) -> tuple[StandbyStatus, ...]:
        """All that have reported lately, by name."""
        return tuple(
            StandbyStatus(name, lag, now - heard, report.switches, report.version)
            for name, (report, lag, heard) in sorted(self._reports.items())
            if now - heard < _FORGET
        )


def _decoded(record: bytes) -> Report | None:
    try:
        schema, generation, beat, switches, version = msgpack.unpackb(record)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
    known = schema == MEMBER.schema and all(isinstance(number, int) for number in (generation, beat, switches))
    return Report(generation, beat, switches, version) if known and isinstance(version, str) else None
