"""Events that one port causes very often are logged a few times a second, with a number for the rest."""

from __future__ import annotations

import logging

import pytest

from ryu_apps.evb.event_catalogue.base import Repetitions
from ryu_apps.evb.event_catalogue.switches import SwitchConnected
from ryu_apps.evb.event_catalogue.vsis import VdpRefused, VsiActive
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.status import VdpError
from ryu_apps.event_log import BURST, EventLog
from ryu_apps.rate_limit import RateLimit

NOISY, QUIET = PortId(1, 1), PortId(1, 2)


@pytest.fixture
def journal(caplog: pytest.LogCaptureFixture) -> EventLog:
    caplog.set_level(logging.INFO)
    return EventLog(logging.getLogger("journal"))


def refused(port: PortId) -> VdpRefused:
    return VdpRefused(port, "vsi", "unknown", VdpError.OTHER_FAILURE)


def test_a_flood_of_refusals_is_some_lines_and_a_number(journal: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5000):
        journal.write(refused(NOISY), number / 1000)
    journal.tick(6.0)
    assert len(caplog.messages) <= 5 * 11
    repeated = [entry.detail["repeated"] for _, entry in journal.entries if "repeated" in entry.detail]
    told = [entry for _, entry in journal.entries if "reason" in entry.detail]
    assert sum(repeated) + len(told) == 5000  # type: ignore[arg-type]


def test_other_ports_and_other_kinds_are_told_meanwhile(journal: EventLog) -> None:
    for _ in range(1000):
        journal.write(refused(NOISY), 0.0)
    others = [refused(QUIET), VsiActive(NOISY, "vsi"), SwitchConnected(1)]
    for event in others:
        journal.write(event, 0.1)
    assert [entry for _, entry in journal.entries][-3:] == others


def test_what_happens_to_many_vsis_at_once_is_told_of_each(journal: EventLog) -> None:
    for number in range(BURST):
        journal.write(VsiActive(NOISY, str(number)), 0.0)
    assert len(journal.entries) == BURST


def test_the_number_is_told_although_nothing_follows(journal: EventLog) -> None:
    assert journal.deadline is None
    for _ in range(100):
        journal.write(refused(NOISY), 5.0)
    assert journal.deadline == 6.0
    journal.tick(6.0)
    assert journal.entries[-1] == (6.0, Repetitions(VdpRefused, 90, 1, NOISY))
    assert journal.deadline is None


def test_no_more_than_so_many_keys_are_remembered() -> None:
    bursts: RateLimit[int] = RateLimit(most=100)
    assert [bursts.passes(key, 0.0) for key in range(200)] == [0] * 100 + [None] * 100
    assert list(bursts.over(1.0)) == []
    assert bursts.passes(-1, 1.0) == 0


def test_a_key_whose_period_is_over_makes_room() -> None:
    bursts: RateLimit[int] = RateLimit(most=2)
    told = [bursts.passes(key, now) for key, now in ((1, 0.0), (2, 0.5), (3, 0.9), (3, 1.0), (1, 1.1), (1, 1.5))]
    assert told == [0, 0, None, 0, None, 0]


def test_what_was_held_back_is_told_with_the_next_that_passes_or_when_the_period_is_over() -> None:
    bursts: RateLimit[str] = RateLimit(period=60.0)
    assert [bursts.passes("a", now) for now in (0.0, 1.0, 59.0, 60.0, 61.0)] == [0, None, None, 2, None]
    assert bursts.deadline == 120.0
    assert list(bursts.over(120.0)) == [("a", 1)]
    assert bursts.deadline is None
