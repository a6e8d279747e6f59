"""Timers follow from the agreed exponents by the standard's formulas."""

from __future__ import annotations

import pytest

from ryu_apps.evb.protocol.timers import Operational, agree
from ryu_apps.evb.topology.evb_settings import Timers

LLDPAD_DEFAULTS = Operational(r=3, rte=8, rwd=20, rka=20)


@pytest.mark.parametrize(
    ("exponent", "seconds"),
    [
        (8, 0.00256),
        (10, 0.0102),
        (12, 0.041),
        (14, 0.164),
        (15, 0.328),
        (16, 0.655),
        (17, 1.31),
        (18, 2.62),
        (19, 5.24),
        (20, 10.5),
        (21, 21.0),
        (22, 42.0),
        (23, 84.0),
    ],
)
def test_exponents_count_in_units_of_ten_microseconds(exponent: int, seconds: float) -> None:
    timers = Operational(r=0, rte=exponent, rwd=exponent, rka=exponent)

    assert timers.ack_timer == pytest.approx(seconds, rel=0.01)
    assert timers.resource_wait_delay == timers.reinit_keep_alive == timers.ack_timer


@pytest.mark.parametrize(
    ("timer", "seconds"),
    [
        ("ack_timer", 2.56e-3),
        ("transmissions", 4),
        ("resource_wait_delay", 10.486),
        ("response_wait", 15.756),
        ("reinit_keep_alive", 10.486),
        ("keep_alive_timeout", 15.756),
    ],
)
def test_the_defaults_of_lldpad_give_what_was_measured(timer: str, seconds: float) -> None:
    assert getattr(LLDPAD_DEFAULTS, timer) == pytest.approx(seconds, abs=1e-3)


def test_response_wait_at_rwd_17_is_just_short_of_two_seconds() -> None:
    assert Operational(r=3, rte=8, rwd=17, rka=17).response_wait == pytest.approx(1.993, abs=1e-3)


def test_each_number_is_the_larger_of_the_two_proposals() -> None:
    ours, theirs = Timers(r=3, rte=10, rwd=17, rka=20), Timers(r=5, rte=8, rwd=18, rka=17)

    assert agree(ours, theirs) == agree(theirs, ours) == Operational(r=5, rte=10, rwd=18, rka=20)


def test_the_largest_exponent_is_about_six_hours() -> None:
    assert Operational(r=7, rte=31, rwd=31, rka=31).ack_timer == pytest.approx(6 * 3600, rel=0.01)
