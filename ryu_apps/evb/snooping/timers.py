"""How often is asked and how long an answer counts: the variables of RFC 3376 8 and RFC 3810 9, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MembershipTimers:
    """Seconds, and two counts.

    Attributes:
        robustness: how many messages may be lost, and one more.
        query_interval: between general queries.
        query_response_interval: in which answers to a general query come.
        last_member_query_interval: in which the answer to a specific query comes, and between two of them.
        last_member_query_count: specific queries before nobody is believed to be there.
    """

    robustness: int = 2
    query_interval: float = 125.0
    query_response_interval: float = 10.0
    last_member_query_interval: float = 1.0
    last_member_query_count: int = 2

    @property
    def group_membership_interval(self) -> float:
        """How long a report counts."""
        return self.robustness * self.query_interval + self.query_response_interval

    @property
    def other_querier_present_interval(self) -> float:
        """How long after its last query another querier is believed to be there."""
        return self.robustness * self.query_interval + self.query_response_interval / 2

    @property
    def startup_query_interval(self) -> float:
        """Between the first general queries, of which there are ``robustness``."""
        return self.query_interval / 4
