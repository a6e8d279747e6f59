"""Traces: what an entry comes to, days from a seed, files with mistakes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ryu_apps.vcm.trace import (
    DAY,
    Census,
    PlacementChange,
    TraceEntry,
    TraceError,
    TraceEvent,
    Width,
    day,
    read_trace,
    write_trace,
)

NODES = [f"hv{number}" for number in range(1, 13)]
WIDTH = Width(vms=40, moves=120, evacuations=6, failures=4, room=9)


def census(*entries: TraceEntry, nodes: list[str] = NODES[:3]) -> Census:
    made = Census(nodes)
    for entry in entries:
        made.apply(entry)
    return made


def arrive(vm: str, node: str) -> TraceEntry:
    return TraceEntry(0, TraceEvent.ARRIVE, vm, node)


def test_vms_come_go_and_move() -> None:
    now = census()
    assert now.apply(arrive("a", "hv1")) == [PlacementChange("a", None, "hv1")]
    assert now.apply(TraceEntry(1, TraceEvent.MIGRATE, "a", "hv2")) == [PlacementChange("a", "hv1", "hv2")]
    assert now.places == {"a": "hv2"}
    assert now.apply(TraceEntry(2, TraceEvent.DEPART, "a")) == [PlacementChange("a", "hv2", None)]
    assert now.places == {}


@pytest.mark.parametrize("what", [TraceEvent.EVACUATE, TraceEvent.FAIL])
def test_vms_that_must_leave_go_where_the_fewest_are(what: TraceEvent) -> None:
    now = census(arrive("a", "hv1"), arrive("b", "hv1"), arrive("c", "hv1"), arrive("d", "hv2"))
    dies = what is TraceEvent.FAIL
    assert now.apply(TraceEntry(1, what, "hv1")) == [
        PlacementChange("a", "hv1", "hv3", dies),
        PlacementChange("b", "hv1", "hv2", dies),
        PlacementChange("c", "hv1", "hv3", dies),
    ]
    assert now.serving == ["hv2", "hv3"]
    now.apply(TraceEntry(2, TraceEvent.RETURN, "hv1"))
    assert now.serving == ["hv1", "hv2", "hv3"]


def test_a_node_that_was_emptied_can_die() -> None:
    now = census(TraceEntry(0, TraceEvent.EVACUATE, "hv1"), TraceEntry(1, TraceEvent.FAIL, "hv1"))
    assert now.serving == ["hv2", "hv3"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (arrive("a", "hv2"), "a is there already, at hv1"),
        (arrive("b", "hv3"), "hv3 takes no VMs by then"),
        (arrive("b", "hv9"), "there is no node 'hv9'"),
        (TraceEntry(1, TraceEvent.DEPART, "b"), "there is no VM 'b' by then"),
        (TraceEntry(1, TraceEvent.MIGRATE, "a", "hv1"), "a is at hv1 already"),
        (TraceEntry(1, TraceEvent.MIGRATE, "a", "hv3"), "hv3 takes no VMs by then"),
        (TraceEntry(1, TraceEvent.EVACUATE, "hv3"), "hv3 is being emptied already"),
        (TraceEntry(1, TraceEvent.FAIL, "hv9"), "there is no node 'hv9'"),
        (TraceEntry(1, TraceEvent.RETURN, "hv1"), "hv1 was neither emptied nor has it died"),
    ],
)
def test_what_cannot_be_changes_nothing(entry: TraceEntry, reason: str) -> None:
    now = census(arrive("a", "hv1"), TraceEntry(0, TraceEvent.EVACUATE, "hv3"))
    before = now.places, now.serving
    with pytest.raises(TraceError, match=reason):
        now.apply(entry)
    assert (now.places, now.serving) == before


def test_the_last_node_cannot_be_emptied() -> None:
    now = census(arrive("a", "hv1"), nodes=["hv1"])
    with pytest.raises(TraceError, match="no node is left for the VMs of hv1"):
        now.apply(TraceEntry(1, TraceEvent.EVACUATE, "hv1"))
    assert now.serving == ["hv1"]


@pytest.mark.parametrize("seed", range(20))
def test_a_day_is_in_order_possible_and_as_wide_as_asked(seed: int) -> None:
    entries = day(seed, NODES, WIDTH)
    assert all(entry.at <= other.at for entry, other in pairwise(entries))
    assert entries[0].at >= 0 and entries[-1].at <= DAY
    now, most = Census(NODES), 0
    for entry in entries:
        now.apply(entry)
        most = max(most, len(now.places))
    times = {what: sum(entry.what is what for entry in entries) for what in TraceEvent}
    assert WIDTH.vms // 2 < most < 2 * WIDTH.vms
    assert times[TraceEvent.MIGRATE] == WIDTH.moves
    assert (times[TraceEvent.EVACUATE], times[TraceEvent.FAIL]) == (WIDTH.evacuations, WIDTH.failures)
    assert times[TraceEvent.RETURN] == WIDTH.evacuations + WIDTH.failures


def test_a_day_is_the_seeds() -> None:
    assert day(7, NODES, WIDTH) == day(7, NODES, WIDTH)
    assert day(7, NODES, WIDTH) != day(8, NODES, WIDTH)


def test_nothing_happens_where_nothing_can() -> None:
    entries = day(1, ["hv1"], Width(vms=4, moves=10, evacuations=3, failures=3, room=2))
    assert {entry.what for entry in entries} <= {TraceEvent.ARRIVE, TraceEvent.DEPART}
    assert day(1, NODES, Width(0, 5, 0, 0, 4)) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_file_says_what_was_written(seed: int) -> None:
    entries = day(seed, NODES, WIDTH)
    assert read_trace("day.csv", write_trace(entries), NODES) == (entries, [])


def test_every_mistake_has_its_line() -> None:
    text = """at,what,subject,node
0,arrive,a,hv1
0,arrive,a,hv1
5,flee,a,
soon,depart,a,
nan,depart,a,
4,depart,b,
6,depart,a,hv2

7,migrate,a,
8,migrate,a
9,depart,,
3,depart,a,
10,depart,a,
2,arrive,z,hv1
"""
    entries, found = read_trace("day.csv", text, NODES)
    assert [(entry.at, entry.what) for entry in entries] == [(0, TraceEvent.ARRIVE), (3, TraceEvent.DEPART)]
    neither = "a number of seconds and one of arrive, depart, migrate, evacuate, fail, return were expected"
    assert [str(mistake) for mistake in found] == [
        "day.csv:3:1: a is there already, at hv1",
        f"day.csv:4:1: {neither}, not '5' and 'flee'",
        f"day.csv:5:1: {neither}, not 'soon' and 'depart'",
        "day.csv:6:1: nan is before the entry above it, or no time at all",
        "day.csv:7:1: there is no VM 'b' by then",
        "day.csv:8:1: depart names no node besides its subject",
        "day.csv:10:1: migrate names a node",
        "day.csv:11:1: 4 values were expected, at,what,subject,node: there are 3",
        "day.csv:12:1: there is no subject",
        "day.csv:14:1: there is no VM 'a' by then",
        "day.csv:15:1: 2 is before the entry above it, or no time at all",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "day.csv:1:1: the first line has to be 'at,what,subject,node'"),
        ("0,arrive,a,hv1\n", "day.csv:1:1: the first line has to be 'at,what,subject,node'"),
        ('at,what,subject,node\n0,arrive,"a"b,hv1\n', "day.csv:2:1: not comma-separated values: "),
    ],
)
def test_what_is_no_trace_is_said_to_be_none(text: str, reason: str) -> None:
    entries, found = read_trace("day.csv", text, NODES)
    assert entries == []
    assert [str(mistake)[: len(reason)] for mistake in found] == [reason]
