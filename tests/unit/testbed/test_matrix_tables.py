"""From measured moves to the founding paper's three tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.testbed.matrix.play import WORKLOADS
from ryu_apps.testbed.matrix.run import Cell
from ryu_apps.testbed.matrix.tables import as_text, configuration, single_or_dual, triggers

FAST, SAFE = "minimize-latency", "safest-exchange"
PLAIN = Cell("firewall", FAST, "single", 10, 5.0, 40, 20, 0, 2.0, 2, 100.0, 11, 0, 0)


def verdict(*cells: Cell) -> str:
    (row,) = single_or_dual(cells).rows
    return row[-1]


@pytest.mark.parametrize(
    ("single", "dual", "words"),
    [
        ({"fixed_up": 0, "fix_up_ms": None}, {"fixed_up": 0, "fix_up_ms": None}, "equal: nothing to fix up"),
        ({}, {"early": 2, "fixed_up": 0, "fix_up_ms": None}, "dual leaves 0 of 2 to Associate"),
        ({}, {"fix_up_ms": 40.0}, "dual is through 60.0 ms earlier"),
        ({}, {"fix_up_ms": 60.0}, "equal"),
        ({"fix_up_ms": 40.0}, {}, "equal"),
    ],
)
def test_what_a_second_trigger_is_worth(single: dict[str, object], dual: dict[str, object], words: str) -> None:
    cells = replace(PLAIN, **single), replace(PLAIN, trigger="dual", **dual)  # type: ignore[arg-type]
    assert verdict(*cells) == words


def test_a_row_shows_the_move_with_most_connections_and_least_latency() -> None:
    cells = [
        replace(PLAIN, live=1000, ladder=SAFE, rules=1),
        replace(PLAIN, live=1000, trigger="dual", rules=2),
        replace(PLAIN, live=100, rules=3),
        replace(PLAIN, live=1000, rules=4, broken=7, trespassed=8),
    ]
    (row,) = configuration(cells).rows
    assert row == (
        *("firewall", "1000", "Configure during", "4 rules, 20 of state in 5.0 ms", "2.0 ms"),
        *("Enable", "2 of state in 100.0 ms", "7", "8"),
    )


def test_both_ladders_tell_what_the_source_was_asked_for() -> None:
    dual = replace(PLAIN, trigger="dual", early=2, fixed_up=0, fix_up_ms=None)
    rows = triggers([PLAIN, dual, replace(dual, ladder=SAFE, early=0, fixed_up=3)]).rows
    assert [row[2:5] for row in rows] == [
        (FAST, "No significant benefit", "2 of state"),
        (SAFE, "No significant benefit", "nothing to do"),
    ]
    assert [row[-1] for row in rows] == ["gate in 2.0 ms", "gate in 2.0 ms, 3 of state"]


def test_every_row_has_the_words_of_the_paper() -> None:
    cells = [replace(PLAIN, service=workload.service, trigger="dual") for workload in WORKLOADS]
    words = [row[2] for row in configuration(cells).rows] + [row[3] for row in triggers(cells).rows]
    assert len(words) == 2 * len(WORKLOADS)
    assert "-" not in words


def test_a_table_is_a_list_table() -> None:
    text = as_text(single_or_dual([PLAIN]))
    assert text.startswith(".. list-table:: Single vs. dual trigger\n   :header-rows: 1\n\n   * - service\n")
    assert "\n   * - firewall\n     - 10\n" in text
