"""Bounds on connections, and how often what they cause is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pytest

from ryu_apps.evb.event_catalogue.switches import UnknownSwitch
from ryu_apps.listening.admission import ConnectionLimit
from ryu_apps.listening.damper import INTERVAL, Damper
from ryu_apps.listening.sockets import origin


@dataclass(eq=False)
class Guest:
    origin: str


def crowd(inside: ConnectionLimit[Guest], of: str, count: int) -> list[Guest]:
    guests = [Guest(of) for _ in range(count)]
    for guest in guests:
        assert inside.enter(guest) is None
    return guests


def test_the_oldest_of_a_peer_makes_room_for_its_next() -> None:
    inside = ConnectionLimit[Guest](10, 3)
    other = crowd(inside, "b", 1)
    first, second, _ = crowd(inside, "a", 3)
    assert inside.enter(Guest("a")) is first
    assert inside.enter(Guest("a")) is second
    assert inside.enter(Guest("b")) is None
    assert len(inside) == 5 and other


def test_when_all_is_taken_who_has_most_makes_room() -> None:
    inside = ConnectionLimit[Guest](4, 3)
    (first, *_), _ = crowd(inside, "a", 3), crowd(inside, "b", 1)
    assert inside.enter(Guest("c")) is first
    assert len(inside) == 4


def test_what_is_served_is_not_given_up() -> None:
    inside = ConnectionLimit[Guest](2, 2)
    first, second = crowd(inside, "a", 2)
    inside.hold(first)
    third = Guest("a")
    assert inside.enter(third) is second
    inside.hold(third)
    late = Guest("a")
    assert inside.enter(late) is late
    inside.hold(first, yields=True)
    assert inside.enter(Guest("a")) is first


def test_the_newest_request_is_given_up_last() -> None:
    inside = ConnectionLimit[Guest](2, 2)
    first, second = crowd(inside, "a", 2)
    inside.hold(first)
    inside.hold(first, yields=True)
    assert inside.enter(Guest("a")) is second


def test_what_has_left_counts_no_longer_however_often_it_leaves() -> None:
    inside = ConnectionLimit[Guest](2, 2)
    first, second = crowd(inside, "a", 2)
    for _ in range(2):
        inside.leave(first)
    assert len(inside) == 1
    inside.hold(first)
    inside.leave(second)
    assert len(inside) == 0 and inside.make_room() is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("192.0.2.1", 4711), "192.0.2.1"),
        (("::ffff:192.0.2.1", 4711, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 4711, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 4711, 0, 2), "fe80::/64"),
        ("", "local"),
    ],
)
def test_one_peer(address: object, expected: str) -> None:
    assert origin(address) == expected


def test_what_happens_again_is_told_once_a_minute_with_how_often() -> None:
    now, told = 0.0, list[UnknownSwitch]()
    damper = Damper(told.append, lambda: now)
    for second in range(130):
        now = float(second)
        damper.happened(7, partial(UnknownSwitch, 7, "192.0.2.1"))
    assert [(event.kind, event.dpid) for event in told] == [("switch.unknown", 7)] * 3
    assert [event.times for event in told] == [1, INTERVAL, INTERVAL]


def test_any_number_of_subjects_are_told_of_a_bounded_number_of_times() -> None:
    told: list[UnknownSwitch] = []
    damper = Damper(told.append, lambda: 1.0)
    for dpid in range(5000):
        damper.happened(dpid, partial(UnknownSwitch, dpid, "192.0.2.1"))
        damper.happened(dpid, partial(UnknownSwitch, dpid, "192.0.2.1"))
    assert len(told) == 64
