"""Timers of group membership: the variables of RFC 3376 8 and RFC 3810 9, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MembershipTimers:
    """Timers in seconds, and two counts.

    Attributes:
        robustness: number of messages that may be lost, plus 1.
        query_interval: between general queries.
        query_response_interval: maximum response time of a general query.
        last_member_query_interval: maximum response time of a specific query, and the time between two of them.
        last_member_query_count: specific queries before a membership without answer ends.
    """

    robustness: int = 2
    query_interval: float = 125.0
    query_response_interval: float = 10.0
    last_member_query_interval: float = 1.0
    last_member_query_count: int = 2

    @property
    def group_membership_interval(self) -> float:
        """Seconds for which a report is valid."""
        return self.robustness * self.query_interval + self.query_response_interval

    @property
    def other_querier_present_interval(self) -> float:
        """Seconds after the last query of another querier until it is taken for absent."""
        return self.robustness * self.query_interval + self.query_response_interval / 2

    @property
    def startup_query_interval(self) -> float:
        """Seconds between the first general queries, of which there are ``robustness``."""
        return self.query_interval / 4
