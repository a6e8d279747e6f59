"""A thread that wakes too late knows by how much."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ryu.lib import hub

from ryu_apps.process.waiting import NAP, SOON, TOLERANCE, Watch


class Clock:
    """Time passes when somebody waits, or when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.late, self.ring_after = 100.0, 0.0, None
        self.during: Callable[[], None] = lambda: None
        self.noticed: list[float] = []
        self.watch = Watch(self, notice=self.noticed.append)
        self.ring = self.watch.ring
        monkeypatch.setattr(self.watch._bell, "wait", self._wait)

    def __call__(self) -> float:
        return self.now

    def _wait(self, patience: float) -> None:
        if self.ring_after is not None:
            self.now += self.ring_after
            self.ring()
        else:
            self.now += patience
        self.now += self.late
        self.during()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_in_time_is_nothing_missed(clock: Clock) -> None:
    assert clock.watch.wait(100.2) == 0.0
    assert clock.now == pytest.approx(100.2)


def test_it_never_sleeps_longer_than_a_nap(clock: Clock) -> None:
    assert clock.watch.wait(None) == 0.0
    assert clock.now == pytest.approx(100.0 + NAP)


def test_a_little_late_is_usual(clock: Clock) -> None:
    clock.late = TOLERANCE - 0.01
    assert clock.watch.wait(100.1) == 0.0


def test_a_stop_is_missed_whole(clock: Clock) -> None:
    clock.late = 10.0
    assert clock.watch.wait(None) == pytest.approx(10.0)


def test_of_each_wait_is_noticed_by_how_much_it_ended_late(clock: Clock) -> None:
    clock.watch.wait(None)
    clock.late = TOLERANCE / 2
    clock.watch.wait(clock.now + 0.05)
    # Work between two waits is not a late end of one.
    clock.now, clock.late = clock.now + 2.0, 3.0
    clock.watch.wait(None)
    assert clock.noticed == pytest.approx([0.0, TOLERANCE / 2, 3.0])


def test_a_bell_that_is_heard_late_counts_from_the_ring(clock: Clock) -> None:
    clock.ring_after, clock.late = 0.05, 3.0
    assert clock.watch.wait(None) == pytest.approx(3.0)


def test_what_is_done_between_two_waits_is_missed_too(clock: Clock) -> None:
    clock.watch.wait(None)
    clock.now += 2.0
    assert clock.watch.wait(None) == pytest.approx(2.0)


def test_an_event_right_after_a_stop_comes_behind_the_report_of_it(clock: Clock) -> None:
    """The hub may run the thread that reads from a switch before the one that waits."""
    reports: list[float] = []
    clock.during = lambda: reports.append(clock.watch.missed())
    clock.late = 10.0
    assert clock.watch.wait(None) == 0.0
    assert reports == [pytest.approx(10.0)]


def test_what_was_done_before_a_wait_is_reported_to_an_event_in_it(clock: Clock) -> None:
    clock.watch.wait(None)
    clock.now += 2.0
    reports: list[float] = []
    clock.during = lambda: reports.append(clock.watch.missed())
    assert clock.watch.wait(100.0) == 0.0
    assert reports == [pytest.approx(2.0)]


def test_time_in_which_input_was_read_is_not_missed(clock: Clock) -> None:
    clock.watch.wait(None)
    clock.now += 2.0
    clock.watch.listened()
    assert clock.watch.missed() == 0.0


def test_a_real_bell_ends_a_real_wait() -> None:
    watch = Watch()
    hub.spawn_after(0.01, watch.ring)
    assert watch.wait(None) == 0.0


def test_who_waits_is_woken_once_for_all_that_happens_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[tuple[float, Callable[[], None]]] = []
    watch = Watch(schedule=lambda seconds, action: later.append((seconds, action)))

    def happens(patience: float) -> None:
        for _ in range(3):
            watch.ring_soon()
        assert [seconds for seconds, _ in later] == [SOON] and not watch._bell.is_set()
        later[0][1]()
        assert watch._bell.is_set()
        watch.ring_soon()
        assert len(later) == 2

    monkeypatch.setattr(watch._bell, "wait", happens)
    watch.wait(None)
    assert len(later) == 2


def test_who_does_not_wait_is_not_woken_for_what_it_does_itself() -> None:
    """A flip that is prepared 5 ms after a Pre-Associate has a bell rung 4 ms later, amid the Associate."""
    later: list[tuple[float, Callable[[], None]]] = []
    watch = Watch(schedule=lambda seconds, action: later.append((seconds, action)))
    watch.ring_soon()
    assert later == []


def test_a_bell_that_was_to_ring_soon_and_is_heard_late_counts_from_then(clock: Clock) -> None:
    clock.ring_after, clock.late, clock.ring = 0.05, 3.0, clock.watch.ring_soon
    assert clock.watch.wait(None) == pytest.approx(3.0 - SOON)


def test_a_real_bell_rings_soon() -> None:
    watch = Watch()
    hub.spawn_after(0.01, watch.ring_soon)
    assert watch.wait(None) == 0.0 and watch._bell.is_set()
