"""Alarms, metrics and the journal are told when the engine has nothing to do, in order, and before anybody reads."""

from __future__ import annotations

import logging

import pytest

from ryu_apps.evb.alarm_table import TABLE
from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import AlarmRaised
from ryu_apps.evb.event_catalogue.switches import SwitchAwaited, SwitchConnected
from ryu_apps.evb.event_catalogue.vsis import UnsolicitedDeassociate, VsiActive
from ryu_apps.evb.protocol.vdp_bridge import LAPSED
from ryu_apps.event_log import EventLog
from ryu_apps.metrics.bridge import Metrics
from ryu_apps.observers import MOST, PATIENCE, PORTION, QUIET, Observers
from tests.worlds.bridge import HV1, S1, World

#: Seconds for which a switch is awaited until that is an alarm.
(WAIT,) = (row.after for row in TABLE if row.event is SwitchAwaited)


@pytest.fixture
def observers(caplog: pytest.LogCaptureFixture) -> Observers:
    caplog.set_level(logging.INFO)
    alarms = Alarms()
    return Observers(EventLog(logging.getLogger("bridge")), Metrics(BridgeQueries(World().engine), alarms), alarms)


def active(number: int) -> VsiActive:
    return VsiActive(HV1, f"vsi{number}")


def kept(observers: Observers) -> list[LogEvent]:
    """Read the journal."""
    return [happened for _, happened in observers.journal.entries]


def test_nothing_is_told_while_the_engine_is_at_work(observers: Observers, caplog: pytest.LogCaptureFixture) -> None:
    observers.note([active(1)], 10.0)
    observers.note([], 10.003)
    observers.tick(10.005)
    assert caplog.messages == []
    assert observers.deadline == pytest.approx(10.003 + QUIET)
    observers.tick(10.003 + QUIET)
    assert len(caplog.messages) == 1
    assert observers.deadline is None


def test_an_engine_that_is_always_at_work_delays_nothing_for_long(
    observers: Observers, caplog: pytest.LogCaptureFixture
) -> None:
    observers.note([active(1)], 10.0)
    for number in range(1, 100):
        observers.note([], 10.0 + number * QUIET / 2)
    assert observers.deadline == pytest.approx(10.0 + PATIENCE)
    observers.tick(10.0 + PATIENCE)
    assert len(caplog.messages) == 1


def test_who_reads_misses_nothing(observers: Observers) -> None:
    observers.note([active(1)], 10.0)
    assert kept(observers) == [active(1)]
    observers.note([SwitchAwaited(S1)], 11.0)
    observers.note([], 11.002)
    assert observers.alarms.deadline == 11.0 + WAIT
    observers.note([UnsolicitedDeassociate(HV1, "vsi1", LAPSED)], 12.0)
    text = b"".join(observers.metrics.exposition().parts).decode()
    assert 'evb_keepalive_expired_total{dp_id="0x1",dp_name="s1"} 1.0' in text


def test_times_of_the_store_and_records_not_saved_are_in_a_scrape(observers: Observers) -> None:
    for seconds, failed in ((0.004, False), (0.75, True), (2.0, False)):
        observers.note_store(seconds, failed)
    text = b"".join(observers.metrics.exposition().parts).decode()
    assert 'evb_store_seconds_bucket{le="0.005"} 1.0' in text and 'evb_store_seconds_bucket{le="1.0"} 2.0' in text
    assert "evb_store_seconds_sum 2.754" in text and "evb_store_errors_total 1.0" in text


def test_events_are_told_in_order_with_their_times(observers: Observers) -> None:
    for number in range(3):
        observers.note([active(2 * number), active(2 * number + 1)], 10.0 + number)
    assert [(at, happened.vsi) for at, happened in observers.journal.entries] == [
        (10.0 + number // 2, f"vsi{number}") for number in range(6)
    ]


def test_other_work_is_done_between_two_portions(observers: Observers, caplog: pytest.LogCaptureFixture) -> None:
    observers.note(map(active, range(2 * PORTION + 1)), 10.0)
    told = []
    while observers.deadline is not None and observers.deadline <= 11.0:
        observers.tick(11.0)
        told.append(len(caplog.messages))
    assert told == [PORTION, 2 * PORTION, 2 * PORTION + 1]


def test_not_more_is_kept_than_there_is_room_for(observers: Observers, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MOST):
        observers.note([active(number)], number)
    assert caplog.messages == []
    observers.note([active(MOST)], MOST)
    assert len(caplog.messages) == 1 and "vsi0" in caplog.messages[0]
    assert kept(observers) == list(map(active, range(MOST + 1)))


def test_an_alarm_comes_behind_all_that_has_happened_before(observers: Observers) -> None:
    observers.note([SwitchAwaited(S1)], 10.0)
    observers.tick(10.0 + QUIET)
    observers.note(map(active, range(PORTION + 1)), 10.0 + WAIT)
    for _ in range(2):
        observers.tick(11.0 + WAIT)
    happened = kept(observers)
    assert isinstance(happened[-1], AlarmRaised) and happened[-2] == active(PORTION)


def test_a_switch_that_connects_in_time_is_no_alarm_although_that_is_told_late(observers: Observers) -> None:
    observers.note([SwitchAwaited(S1)], 10.0)
    observers.tick(10.0 + QUIET)
    observers.note([SwitchConnected(S1)], 9.99 + WAIT)
    observers.tick(10.0 + WAIT)
    assert not any(isinstance(happened, AlarmRaised) for happened in kept(observers))
