"""The table of a sweep for people: its lines, their order, and how figures are written."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.sweep.intervals import MedianInterval, median_interval
from ryu_apps.testbed.sweep.record import Row
from ryu_apps.testbed.sweep.summary import groups, interval_text, summary

NAMES = ("rules", "ladder")


def row(rules: str, ladder: str = "a", *, migration: int = 1, failures: str = "", blackout: str = "10") -> Row:
    values = {"rules": rules, "ladder": ladder, "migration": str(migration), "failures": failures}
    return Row({**values, "blackout_ms": blackout}, NAMES)


def test_points_are_in_the_order_of_numbers_and_words_come_behind() -> None:
    rows = [row("none"), row("100"), row("9", "b"), row("9"), row("few")]
    assert [group.key for group in groups(rows)] == [
        ("9", "a"),
        ("9", "b"),
        ("100", "a"),
        ("few", "a"),
        ("none", "a"),
    ]


def test_the_migrations_of_a_scenario_with_several_are_lines_of_their_own() -> None:
    rows = [row("9", migration=2, blackout="30"), row("9", blackout="10"), row("9", migration=2, blackout="50")]
    head, lines = summary(NAMES, rows, ["blackout_ms"])
    assert head == ["rules", "ladder", "migration", "moves", "failed", "blackout_ms"]
    assert lines == [["9", "a", "1", "1", "0", "10 [-]"], ["9", "a", "2", "2", "0", "40 [-]"]]
    assert [group.label for group in groups(rows)] == [
        "rules=9, ladder=a, migration 1",
        "rules=9, ladder=a, migration 2",
    ]


def test_failures_are_counted_and_a_figure_that_nothing_has_is_a_dash() -> None:
    rows = [row("9", failures="lost"), row("9", blackout=""), row("10", blackout="")]
    head, lines = summary(NAMES, rows, ["blackout_ms"])
    assert head == ["rules", "ladder", "moves", "failed", "blackout_ms"]
    assert lines == [["9", "a", "2", "1", "10 [-]"], ["10", "a", "1", "0", "-"]]


def test_a_label_leaves_out_what_is_on_the_axis() -> None:
    (group,) = groups([row("9")])
    assert group.label == "rules=9, ladder=a"
    assert group.label_without(["rules"]) == "ladder=a"
    assert group.label_without(NAMES) == "all"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "-"),
        (MedianInterval(1, 12.0), "12 [-]"),
        (MedianInterval(6, 12.345, 9.876, 1234.5, 0.97), "12.3 [9.88, 1234]"),
        (MedianInterval(6, 0.01234, -1000.4, 999.9, 0.97), "0.0123 [-1000, 1000]"),
    ],
)
def test_figures_have_three_digits_or_all_of_a_whole_number(found: MedianInterval | None, words: str) -> None:
    assert interval_text(found) == words


def test_the_interval_of_two_values_is_missing_and_its_coverage_none() -> None:
    found = median_interval([4.0, 2.0])
    assert (found.count, found.median, found.low, found.high, found.coverage) == (2, 3.0, None, None, 0.0)
