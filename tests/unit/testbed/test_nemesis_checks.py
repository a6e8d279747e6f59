"""Checks of the nemesis: what its witness and the journals of several bridges must not show."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ryu_apps.testbed.faults.journals import late_acts
from ryu_apps.testbed.faults.witness import INTERVAL, Passed

Event = tuple[float, str]


def journal(*events: Event) -> list[dict[str, object]]:
    return [{"t": when, "kind": kind, "vsi": "a"} for when, kind in events]


@pytest.mark.parametrize(
    ("first", "second", "late"),
    [
        ([(1, "lead.begun"), (2, "vdp.response")], [(3, "lead.begun"), (4, "vdp.response")], []),
        ([(1, "lead.begun"), (3.1, "vdp.response")], [(3, "lead.begun")], ["c1 while c2 leads: vdp.response of a"]),
        ([(1, "lead.begun"), (3.1, "vsi.active")], [(3, "lead.begun")], ["c1 while c2 leads: vsi.active of a"]),
        ([(1, "lead.begun"), (3.1, "flow.staged")], [(3, "lead.begun")], ["c1 while c2 leads: flow.staged of a"]),
        # A standby hears requests, and a former leader may lead again.
        ([(1, "lead.begun"), (3.1, "vdp.request"), (5, "lead.begun"), (6, "vsi.active")], [(3, "lead.begun")], []),
        # No member has begun to lead since the first event.
        ([(1, "vdp.response")], [(2, "vdp.response")], []),
    ],
)
def test_acts_of_a_former_leader_are_found(first: list[Event], second: list[Event], late: list[str]) -> None:
    assert late_acts({"c1": journal(*first), "c2": journal(*second)}) == late


def passed(sent: Iterable[tuple[int, str]] = (), received: Iterable[tuple[int, str]] = ()) -> Passed:
    found = Passed()
    for noted, frames in ((found.sent_from, sent), (found.received_at, received)):
        for number, place in frames:
            noted["vm"].setdefault(number, set()).add(place)
    return found


def test_frames_that_pass_elsewhere_are_found_in_both_directions() -> None:
    seen = passed(sent=[(1, "hv1"), (2, "hv2")], received=[(1, "hv1"), (5, "hv3")])
    assert seen.strangers({"vm": ["hv1"]}) == ["vm receives at hv3", "vm sends from hv2"]
    assert seen.strangers({"vm": ["hv1", "hv2", "hv3"]}) == []
    assert seen.frames == 4


@pytest.mark.parametrize(
    ("sent", "rounds"),
    [
        ([(1, "hv1"), (2, "hv2")], 0),
        ([(1, "hv1"), (1, "hv2"), (2, "hv2")], 1),
        ([(1, "hv1"), (1, "hv2"), (2, "hv1"), (2, "hv2"), (3, "hv2"), (4, "hv1"), (4, "hv2")], 2),
    ],
)
def test_the_time_with_two_gates_is_measured_in_rounds(sent: list[tuple[int, str]], rounds: int) -> None:
    assert passed(sent).longest_overlap() == pytest.approx(rounds * INTERVAL)
