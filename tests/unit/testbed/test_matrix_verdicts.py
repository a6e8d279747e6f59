"""From figures to verdicts: each rule is met and missed, and a run that disagrees with the record is reported."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ryu_apps.cli.matrix import BROKEN, DISAGREES, judge
from ryu_apps.testbed.matrix.cells import Cell, RowKey
from ryu_apps.testbed.matrix.paper import agreement, benefit
from ryu_apps.testbed.matrix.record import MatrixRecord, UnreadableRecord, open_record, read_record
from ryu_apps.testbed.matrix.verdicts import Spread, Verdicts, disagreements, verdicts

FAST = "minimize-latency"
PLAIN = Cell("firewall", 10, FAST, 0.2, "single", 1, 200.0, 5.0, 40, 20, 0, 2.0, 2, 100.0, 5, 2, 12, 11, 0, 0)
ROW = RowKey("firewall", 10, FAST, 0.2)
MACHINE = {"cores": 2, "kernel": "6.1", "date": "2026-01-01"}


def rounds(trigger: str, **figures: Sequence[object]) -> list[Cell]:
    """A cell for each round; the figures are lists of the rounds' values."""
    return [
        replace(PLAIN, trigger=trigger, round=number, **dict(zip(figures, values, strict=True)))  # type: ignore[arg-type]
        for number, values in enumerate(zip(*figures.values(), strict=True), 1)
    ]


def verdict(single: dict[str, Sequence[object]], dual: dict[str, Sequence[object]]) -> Verdicts:
    return verdicts([*rounds("single", **single), *rounds("dual", **dual)])[ROW]


@pytest.mark.parametrize(
    ("single", "dual", "words"),
    [
        ([100.0, 90.0, 110.0], [40.0, 30.0, 50.0], "two triggers earlier"),
        ([100.0, 90.0, 110.0], [None, None, None], "two triggers earlier"),
        ([100.0, 90.0, 110.0], [60.0, 55.0, 65.0], "equal"),  # not below half
        ([100.0, 45.0, 110.0], [40.0, 30.0, 50.0], "equal"),  # the ranges meet
        ([4.0, 4.1, 4.2], [1.0, 1.1, 1.2], "equal"),  # too little on any machine
        ([40.0, 30.0, 50.0], [100.0, 90.0, 110.0], "one trigger earlier"),
    ],
)
def test_the_fix_up_is_earlier_by_half_and_beyond_the_ranges(
    single: Sequence[object], dual: Sequence[object], words: str
) -> None:
    assert verdict({"fix_up_ms": single}, {"fix_up_ms": dual}).fix_up == words


def test_nothing_to_fix_up_needs_that_no_round_had_any_state() -> None:
    nothing = {"fixed_up": [0, 0], "fix_up_ms": [None, None]}
    assert verdict(nothing, nothing).fix_up == "nothing to fix up"
    assert verdict(nothing, {**nothing, "early": [0, 2]}).fix_up == "equal"


@pytest.mark.parametrize("figure", ["broken", "trespassed"])
def test_a_row_that_broke_in_any_round_has_no_other_verdict(figure: str) -> None:
    assert verdict({"fixed_up": [0, 0], figure: [0, 1]}, {"fixed_up": [0, 0]}).fix_up == "broken"


@pytest.mark.parametrize(
    ("single", "dual", "words"),
    [
        ([240.0, 230.0, 900.0], [30.0, 20.0, 40.0], "two triggers spare a timeout"),
        ([199.0, 30.0, 250.0], [30.0, 20.0, 40.0], "not felt"),  # no timeout in the median
        ([450.0, 430.0, 900.0], [240.0, 20.0, 900.0], "not felt"),  # not below half
        ([30.0, 20.0, 40.0], [240.0, 230.0, 900.0], "one trigger spares a timeout"),
        ([None, None, None], [None, None, None], "no connections"),
    ],
)
def test_a_cost_is_felt_from_a_retransmission_timeout_on(
    single: Sequence[object], dual: Sequence[object], words: str
) -> None:
    assert verdict({"silence_ms": single}, {"silence_ms": dual}).cost == words


@pytest.mark.parametrize(
    ("single", "dual", "words"),
    [
        ([40.0, 41.0, 42.0], [50.0, 51.0, 52.0], "two triggers delay the answer"),
        ([50.0, 51.0, 52.0], [40.0, 41.0, 42.0], "one trigger delays the answer"),
        ([40.0, 41.0, 42.0], [47.0, 48.0, 49.0], "equal"),  # within 1.2 times
        ([2.0, 2.1, 2.2], [4.0, 4.1, 4.2], "equal"),
        ([40.0, 41.0, 50.5], [50.0, 51.0, 52.0], "equal"),
    ],
)
def test_an_answer_is_delayed_from_a_fifth_on(single: Sequence[object], dual: Sequence[object], words: str) -> None:
    assert verdict({"associate_ms": single}, {"associate_ms": dual}).answer == words


def test_a_row_with_one_trigger_only_has_no_verdict() -> None:
    assert verdicts(rounds("single", fix_up_ms=[1.0])) == {}


def test_a_spread_leaves_out_what_was_not_measured() -> None:
    assert Spread.of([3.0, None, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert Spread.of([None]) is None


@pytest.mark.parametrize(
    ("said", "found", "grows", "words"),
    [
        ("No need", Verdicts("nothing to fix up", "not felt", "equal"), False, "holds"),
        ("No significant benefit", Verdicts("two triggers earlier", "not felt", "equal"), False, "holds"),
        (
            "No significant benefit",
            Verdicts("equal", "two triggers spare a timeout", "equal"),
            False,
            "does not hold",
        ),
        ("Value relative to # TCP context", Verdicts("two triggers earlier", "not felt", "equal"), True, "holds"),
        (
            "Value relative to # TCP context",
            Verdicts("two triggers earlier", "not felt", "equal"),
            False,
            "does not hold",
        ),
        ("Value relative to # TCP context", Verdicts("equal", "not felt", "equal"), True, "does not hold"),
        ("Possible benefit - unclear", Verdicts("equal", "not felt", "equal"), False, "answered"),
    ],
)
def test_the_words_of_the_paper_are_judged(said: str, found: Verdicts, grows: bool, words: str) -> None:
    assert agreement(said, benefit([found]), grows) == words


def test_a_benefit_is_that_of_most_rows() -> None:
    two = Verdicts("two triggers earlier", "two triggers spare a timeout", "equal")
    one = Verdicts("one trigger earlier", "one trigger spares a timeout", "equal")
    assert [benefit(rows) for rows in ([two, two, one], [two, one], [two, one._replace(fix_up="equal")], [])] == [
        *("felt by connections", "no benefit", "earlier, not felt", "no benefit")
    ]


def test_verdicts_that_differ_from_the_record_are_listed() -> None:
    before, now = Verdicts("equal", "not felt", "equal"), Verdicts("two triggers earlier", "not felt", "equal")
    other = ROW._replace(live=100)
    (found,) = disagreements({ROW: before}, {ROW: now, other: now})
    assert str(found) == (
        "firewall, 10 live, minimize-latency, suspended for 0.2 s: fix_up: recorded 'equal', now 'two triggers earlier'"
    )


def exit_status(now: list[Cell], recorded: list[Cell]) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    status = judge(MatrixRecord(MACHINE, now), MatrixRecord(MACHINE, recorded), console)
    assert isinstance(console.file, io.StringIO)
    return status, console.file.getvalue()


def test_a_run_that_disagrees_says_so_and_fails() -> None:
    recorded = [*rounds("single", fix_up_ms=[100.0]), *rounds("dual", fix_up_ms=[30.0])]
    other = [*rounds("single", fix_up_ms=[100.0]), *rounds("dual", fix_up_ms=[90.0])]
    assert exit_status(recorded, recorded) == (0, "")
    status, shown = exit_status(other, recorded)
    assert status == DISAGREES
    assert "recorded 'two triggers earlier', now 'equal'" in shown


def test_a_run_that_broke_something_fails_whatever_the_record_says() -> None:
    broken = [*rounds("single", broken=[7]), *rounds("dual", broken=[0])]
    status, shown = exit_status(broken, broken)
    assert status == BROKEN
    assert "single trigger, round 1: 7 broken" in shown


def test_a_record_is_read_as_it_was_written_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    record = open_record(path)
    record.cells += rounds("dual", fix_up_ms=[1.234567, None], silence_ms=[None, 3.0])
    record.incomplete.append("firewall-10: refused")
    record.write(path)
    again = open_record(path)
    assert again.keys == record.keys
    assert [cell.fix_up_ms for cell in again.cells] == [1.23, None]
    assert again.machine == record.machine
    assert again.incomplete == ["firewall-10: refused"]
    assert "2 moves in 2 rounds; 1 more were not completed" in again.conditions
    assert sorted(file.name for file in tmp_path.iterdir()) == ["matrix.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"cells": []}', '{"machine": {}, "incomplete": [], "cells": [{"service": "DNS"}]}']
)
def test_another_file_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(text)
    with pytest.raises(UnreadableRecord, match=r"matrix\.json is no record"):
        read_record(path)
