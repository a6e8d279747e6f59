"""The querier of one VLAN for one version of IP: general queries at intervals, unless another querier is present.

Its queries have a source address that never wins an election (0.0.0.0, RFC 4541 2.1.1), so it stops for any
other querier instead of comparing addresses (RFC 3376 6.6.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.snooping.listener import Aging
from ryu_apps.evb.snooping.timers import MembershipTimers


@dataclass(slots=True)
class _Other:
    """Another querier of the VLAN, usually a multicast router."""

    since: float
    until: float
    timers: MembershipTimers


class Querier:
    """One querier; it sends no query before :meth:`begin`."""

    def __init__(self, timers: MembershipTimers, on: bool) -> None:
        """
        Args:
            on: send queries; other queriers are tracked in any case.
        """
        self.timers = timers
        self.on = on
        self.sent = 0
        self._since: float | None = None
        self._next: float | None = None
        self._other: _Other | None = None

    def begin(self, now: float) -> None:
        """Begin with queries, when the first VSI is snooped; later calls have no effect."""
        if self.on and self._since is None:
            self._since = self._next = now

    def heard(self, now: float, timers: MembershipTimers | None = None) -> None:
        """Record a query of another querier.

        Args:
            timers: timers in the query; None for a version without them.
        """
        announced = timers or self.timers
        since = now if self._other is None else self._other.since
        self._other = _Other(since, now + announced.other_querier_present_interval, announced)

    @property
    def state(self) -> str:
        """The active querier: ``other``, ``self`` or, without one, ``off``."""
        if self._other is not None:
            return "other"
        return "self" if self._since is not None else "off"

    @property
    def aging(self) -> Aging | None:
        """Start and interval of the aging of memberships; None without a querier."""
        if self._other is not None:
            return Aging(self._other.since, self._other.timers.group_membership_interval)
        return None if self._since is None else Aging(self._since, self.timers.group_membership_interval)

    @property
    def deadline(self) -> float | None:
        """Time to call :meth:`tick`, None if no timer runs."""
        return self._next if self._other is None else self._other.until

    def tick(self, now: float) -> bool:
        """Process timers; True if a general query is due."""
        if self._other is not None and self._other.until <= now:
            # A querier that takes over begins with the startup queries (RFC 3376 8.7).
            self._other, self.sent = None, 0
            if self.on:
                self._since = self._next = now
        if self._other is not None or self._next is None or self._next > now:
            return False
        self.sent += 1
        starting = self.sent < self.timers.robustness
        self._next = now + (self.timers.startup_query_interval if starting else self.timers.query_interval)
        return True
