"""From measured moves to the tables of the manual, and the plan of the moves."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest

from ryu_apps.testbed.matrix.cells import Cell
from ryu_apps.testbed.matrix.complexity import complexity, configuration_lines, shares, simpler
from ryu_apps.testbed.matrix.play import WORKLOADS, all_cases
from ryu_apps.testbed.matrix.record import SHOWN, read_record
from ryu_apps.testbed.matrix.tables import (
    as_text,
    attributes,
    configuration,
    contexts,
    fix_up,
    groups,
    tables,
    triggers,
)
from ryu_apps.testbed.matrix.tcp import FirewallWorkload
from ryu_apps.testbed.matrix.verdicts import BROKEN, EQUAL, verdicts
from ryu_apps.vcm.move_events import Ladder
from ryu_apps.vcm.move_tables import TABLES

STATEFUL = ("firewall", "load balancer", "TCP proxy")
FAST, SAFE = "minimize-latency", "safest-exchange"
PLAIN = Cell("firewall", 10, FAST, 0.2, "single", 1, 200.0, 5.0, 40, 20, 0, 2.0, 2, 100.0, 5, 2, 12, 11, 0, 0)


def test_a_row_shows_the_move_with_most_connections_and_the_usual_suspension() -> None:
    cells = [
        replace(PLAIN, live=1000, ladder=SAFE, rules=1),
        replace(PLAIN, live=1000, trigger="dual", rules=2),
        replace(PLAIN, live=100, rules=3),
        replace(PLAIN, live=1000, suspension=5.0, rules=5),
        replace(PLAIN, live=1000, rules=4, broken=7, trespassed=8),
        replace(PLAIN, live=1000, rules=4, round=2, fix_up_ms=110.0),
    ]
    (row,) = configuration(cells).rows
    assert row == (
        *("firewall", "1000", "Configure during", "4 rules, 20 of state in 5.0 ms", "2.0 ms"),
        *("Enable", "2 of state in 105.0 (100.0 to 110.0) ms", "7", "8"),
    )


def test_both_ladders_show_the_work_of_the_source_and_its_benefit() -> None:
    dual = replace(PLAIN, trigger="dual", early=2, fixed_up=0, fix_up_ms=None)
    cells = [PLAIN, dual, replace(PLAIN, ladder=SAFE), replace(dual, ladder=SAFE, early=0, fixed_up=3, fix_up_ms=99.0)]
    rows = triggers(cells).rows
    assert [row[2:7] for row in rows] == [
        (FAST, "No significant benefit", "2 of state", "earlier, not felt", "holds"),
        (SAFE, "No significant benefit", "nothing to do", "no benefit", "holds"),
    ]
    assert [row[-1] for row in rows] == ["gate in 2.0 ms", "gate in 2.0 ms, 3 of state"]


def test_a_value_relative_to_the_number_of_connections_needs_a_fix_up_that_grows() -> None:
    few = replace(PLAIN, service="TCP proxy", fix_up_ms=10.0)
    dual = replace(few, trigger="dual", early=3, fixed_up=0, fix_up_ms=None)

    def word(most: float) -> str:
        (row,) = triggers([few, dual, replace(few, live=1000, fix_up_ms=most), replace(dual, live=1000)]).rows
        return row[6]

    assert [word(300.0), word(9.0)] == ["holds", "does not hold"]


def test_a_row_of_the_fix_up_has_costs_and_verdicts() -> None:
    single = replace(PLAIN, dropped=10, retransmitted=20, silence_ms=450.0)
    dual = replace(
        PLAIN, trigger="dual", early=2, fixed_up=0, fix_up_ms=None, dropped=0, retransmitted=0, silence_ms=9.0
    )
    still = [replace(cell, service="ACL", early=0, fixed_up=0, fix_up_ms=None) for cell in (single, dual)]
    (row,) = fix_up([single, dual, *still]).rows
    assert row == (
        *("firewall", "10", FAST, "0.2 s", "200.0 ms", "2.0 ms", "2.0 ms", "100.0 ms", "0.0 ms", "10 / 20", "0 / 0"),
        *("450.0 ms", "9.0 ms", "two triggers earlier; two triggers spare a timeout"),
    )


def test_complexity_is_counted_and_compared() -> None:
    dual = replace(PLAIN, trigger="dual", messages=7, round_trips=3, kinds=13)
    first, *_ = attributes([PLAIN, dual], [FirewallWorkload]).rows
    assert first[0] == f"Complexity, {FAST}"
    assert first[2].startswith("5 messages, 2 round trips, 12 kinds of events, ")
    assert first[5] == "single is simpler"


@pytest.mark.parametrize("ladder", Ladder)
def test_states_and_transitions_are_those_of_the_machine(ladder: Ladder) -> None:
    rows = list(TABLES[ladder].rows())
    found = complexity([replace(PLAIN, ladder=ladder.value)])
    assert found.transitions == len(rows)
    assert found.states == len({row.state for row in rows} | {row.next for row in rows})


@pytest.mark.parametrize(
    ("single", "dual", "words"),
    [
        ((5, 2), (7, 2), "single is simpler"),
        ((7, 2), (5, 2), "dual is simpler"),
        ((5, 2), (5, 2), "equal"),
        ((5, 3), (7, 2), "mixed"),
    ],
)
def test_simpler_is_less_of_something_and_more_of_nothing(
    single: tuple[int, ...], dual: tuple[int, ...], words: str
) -> None:
    assert simpler(single, dual) == words


def test_the_default_trigger_needs_no_line() -> None:
    assert configuration_lines(FirewallWorkload, "single") == configuration_lines(FirewallWorkload, "dual") + 1


def test_shares_of_state_name_the_step_that_brings_most() -> None:
    cells = [replace(PLAIN, carried=10, early=60, fixed_up=30), replace(PLAIN, carried=0, early=0, fixed_up=0)]
    found = shares(cells)
    assert found == (10.0, 60.0, 30.0)
    assert found is not None and found.relies_on == "the source's trigger"
    assert shares(cells[1:]) is None


def test_configured_groups_stand_beside_learned_ones_and_contexts_beside_pins() -> None:
    learned = replace(PLAIN, service="IGMP join", dropped=0)
    configured = replace(learned, service="IGMP join, NMS configured", associate_ms=7.0, dropped=3)
    assert groups([learned, configured]).rows == (("10", "5.0 ms", "5.0 ms", "2.0 ms", "7.0 ms", "0", "3"),)
    proxied = replace(PLAIN, service="TCP proxy", contexts_left=11, contexts_moved=0)
    assert contexts([proxied]).rows == (("10", "22", "0", "11"),)


def test_every_row_has_the_words_of_the_paper() -> None:
    cells = [
        replace(PLAIN, service=workload.service, trigger=trigger)
        for workload in WORKLOADS
        for trigger in ("single", "dual")
    ]
    words = [row[2] for row in configuration(cells).rows] + [row[3] for row in triggers(cells).rows]
    assert len(words) == 2 * len(WORKLOADS)
    assert "-" not in words


def test_a_table_is_a_list_table() -> None:
    text = as_text(configuration([PLAIN]))
    assert text.startswith(".. list-table:: Service configuration relative to migration\n   :header-rows: 1\n\n   * - ")
    assert "\n   * - firewall\n     - 10\n" in text


def test_a_plan_has_whole_rounds_and_suspends_longer_only_what_learns() -> None:
    plan = all_cases([10, 100], [0.2, 5.0], rounds=2)
    half = len(plan) // 2
    assert {case.round for case in plan[:half]} == {1}
    assert [case.key.row for case in plan[:half]] == [case.key.row for case in plan[half:]]
    assert len({case.key for case in plan}) == len(plan)
    assert {case.suspension for case in plan if case.workload.learns} == {0.2, 5.0}
    assert {case.suspension for case in plan if not case.workload.learns} == {0.2}


def test_cells_are_chosen_by_patterns() -> None:
    plan = all_cases([10, 100], [0.2, 5.0], patterns=["firewall-100-*-5", "DNS-*-dual-*"])
    assert sorted(case.name for case in plan) == [
        *(f"DNS-0-{ladder}-dual-0.2" for ladder in (FAST, SAFE)),
        *(f"firewall-100-{ladder}-{trigger}-5" for ladder in (FAST, SAFE) for trigger in ("dual", "single")),
    ]


def test_the_sentences_of_the_manual_about_its_record_hold() -> None:
    cells = read_record(SHOWN).cells
    assert (len(cells), sum(cell.survived for cell in cells)) == (948, 272_412)
    stateful = [cell for cell in cells if cell.service in STATEFUL and cell.live]
    lost = [cell.trigger for cell in stateful if cell.dropped]
    assert (lost.count("single"), lost.count("dual")) == (26, 4)
    assert (
        [cell.trigger for cell in stateful].count("dual") == [cell.trigger for cell in stateful].count("single") == 216
    )
    assert {answer.answer for answer in verdicts(cells).values()} == {EQUAL}
    assert round(max(cell.associate_ms for cell in stateful), 1) == 5.2
    expected = {("single", 100): (14, 16), ("single", 1000): (48, 89), ("dual", 100): (0, 4), ("dual", 1000): (13, 51)}
    for (trigger, live), ends in expected.items():
        medians = [
            median(cell.fix_up_ms or 0.0 for cell in stateful if (cell.service, cell.trigger, cell.live) == key)
            for key in ((service, trigger, live) for service in STATEFUL)
        ]
        assert (round(min(medians)), round(max(medians))) == ends
    groups = {
        live: [cell for cell in cells if cell.service.startswith("IGMP join") and cell.live == live]
        for live in (10, 1000)
    }
    assert [round(median(cell.associate_ms for cell in groups[live]), 1) for live in (10, 1000)] == [1.9, 2.2]
    later = [cell for cell in cells if cell.ladder == FAST and cell.trigger == "dual" and cell.suspension >= 0.2]
    assert [cell.fixed_up for cell in later if cell.fixed_up] == []
    for trigger in ("single", "dual"):
        found = shares([cell for cell in cells if cell.trigger == trigger])
        assert found is not None and round(found.staged) == 91


def test_the_record_of_the_manual_has_every_row_and_nothing_broke() -> None:
    record = read_record(SHOWN)
    decided = verdicts(record.cells)
    assert {row.service for row in decided} == {workload.service for workload in WORKLOADS}
    assert {row.suspension for row in decided} == {0.05, 0.2, 1.0, 5.0}
    assert [row for row, found in decided.items() if found.fix_up == BROKEN] == []
    assert set(tables(record.cells, WORKLOADS)) == {
        *("configuration", "triggers", "attributes", "fix-up", "groups", "contexts")
    }
