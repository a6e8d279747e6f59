"""The querier of a VLAN: asks when it is on and nobody else does."""

from __future__ import annotations

from ryu_apps.evb.snooping.listener import Aging
from ryu_apps.evb.snooping.querier import Querier
from ryu_apps.evb.snooping.timers import MembershipTimers


def asked(querier: Querier, until: float) -> list[float]:
    """Times of its queries in a period."""
    times = []
    while (due := querier.deadline) is not None and due <= until:
        if querier.tick(due):
            times.append(due)
    return times


def test_it_begins_with_short_intervals() -> None:
    querier = Querier(MembershipTimers(), on=True)
    assert querier.deadline is None
    querier.begin(10.0)
    assert asked(querier, 400.0) == [10.0, 41.25, 166.25, 291.25]
    assert querier.aging == Aging(10.0, 260.0)


def test_switched_off_it_never_asks_and_nothing_ages() -> None:
    querier = Querier(MembershipTimers(), on=False)
    querier.begin(10.0)
    assert (querier.deadline, querier.aging, querier.state) == (None, None, "off")


def test_it_is_silent_while_another_one_asks_and_takes_over_when_that_is_gone() -> None:
    querier = Querier(MembershipTimers(), on=True)
    querier.begin(0.0)
    querier.heard(5.0)
    assert querier.state == "other"
    assert asked(querier, 259.0) == []
    assert querier.tick(100.0) is False
    querier.heard(200.0)
    assert querier.deadline == 455.0
    assert asked(querier, 460.0) == [455.0]
    assert (querier.state, querier.aging) == ("self", Aging(455.0, 260.0))


def test_another_one_makes_memberships_age_by_its_own_timers_and_only_as_long_as_it_is_there() -> None:
    querier = Querier(MembershipTimers(), on=False)
    querier.heard(5.0, MembershipTimers(robustness=3, query_interval=20.0))
    querier.heard(25.0, MembershipTimers(robustness=3, query_interval=20.0))
    assert querier.aging == Aging(5.0, 70.0)
    querier.tick(25.0 + 65.0)
    assert querier.aging is None
    assert querier.deadline is None
