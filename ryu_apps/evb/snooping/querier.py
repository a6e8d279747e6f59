"""The querier of one VLAN for one version of IP: asks everybody at intervals, unless somebody else does.

Its queries bear an address that never wins an election (0.0.0.0, RFC 4541 2.1.1), so it gives way to
any other querier instead of comparing addresses (RFC 3376 6.6.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.snooping.listener import Aging
from ryu_apps.evb.snooping.timers import MembershipTimers


@dataclass(slots=True)
class _Other:
    """A router that asks."""

    since: float
    until: float
    timers: MembershipTimers


class Querier:
    """One querier; silent until :meth:`begin`."""

    def __init__(self, timers: MembershipTimers, on: bool) -> None:
        """
        Args:
            on: whether it asks at all; it listens in any case.
        """
        self.timers = timers
        self.on = on
        self.sent = 0
        self._since: float | None = None
        self._next: float | None = None
        self._other: _Other | None = None

    def begin(self, now: float) -> None:
        """There is somebody to ask; once is enough."""
        if self.on and self._since is None:
            self._since = self._next = now

    def heard(self, now: float, timers: MembershipTimers | None = None) -> None:
        """Somebody else has asked.

        Args:
            timers: those that the query tells of; None: it is of a version that does not tell.
        """
        announced = timers or self.timers
        since = now if self._other is None else self._other.since
        self._other = _Other(since, now + announced.other_querier_present_interval, announced)

    @property
    def state(self) -> str:
        """``other`` asks, ``self`` does, or nobody: ``off``."""
        if self._other is not None:
            return "other"
        return "self" if self._since is not None else "off"

    @property
    def aging(self) -> Aging | None:
        """Since when memberships age, None if they do not."""
        if self._other is not None:
            return Aging(self._other.since, self._other.timers.group_membership_interval)
        return None if self._since is None else Aging(self._since, self.timers.group_membership_interval)

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`tick`."""
        return self._next if self._other is None else self._other.until

    def tick(self, now: float) -> bool:
        """Whether to ask everybody now."""
        if self._other is not None and self._other.until <= now:
            # Whoever takes over begins as if it had just been started.
            self._other, self.sent = None, 0
            if self.on:
                self._since = self._next = now
        if self._other is not None or self._next is None or self._next > now:
            return False
        self.sent += 1
        starting = self.sent < self.timers.robustness
        self._next = now + (self.timers.startup_query_interval if starting else self.timers.query_interval)
        return True
