"""The tables of a move: complete where they have to be, and silent about answers that are not awaited."""

from __future__ import annotations

from itertools import product

import pytest

from ryu_apps.evb.protocol.table import ProtocolError
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import (
    Begin,
    DeadlinePassed,
    Exhausted,
    Halt,
    Ladder,
    MoveStep,
    SourceLost,
    Start,
    StepDone,
    StepFailed,
)
from ryu_apps.vcm.move_states import ENDS, MoveInput, MoveState
from ryu_apps.vcm.move_tables import TABLES, documented_rows

#: Where a move can be on each way.
STATES = {way: {MoveState.WAITING} | {MoveState(row.next) for row in table.rows()} for way, table in TABLES.items()}


@pytest.mark.parametrize("way", Ladder)
def test_every_state_can_be_halted(way: Ladder) -> None:
    assert [state for state in STATES[way] if (state, MoveInput.HALT) not in TABLES[way]] == []


@pytest.mark.parametrize("way", [Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE])
def test_a_source_may_die_in_every_state(way: Ladder) -> None:
    assert [state for state in STATES[way] - ENDS if (state, MoveInput.LOST) not in TABLES[Ladder.RESTART]] == []


@pytest.mark.parametrize("way", Ladder)
def test_whatever_waits_for_a_step_takes_both_answers(way: Ladder) -> None:
    waiting = {state for state in STATES[way] if (state, MoveInput.FAILED) in TABLES[way]}
    assert [state for state in waiting if (state, MoveInput.DONE) not in TABLES[way]] == []


def test_every_state_and_every_input_is_used_by_some_row() -> None:
    pairs = [pair for pair in product(MoveState, MoveInput) if any(pair in table for table in TABLES.values())]
    assert {state for state, _ in pairs} == set(MoveState)
    assert {given for _, given in pairs} == set(MoveInput)


def test_the_rendered_rows_are_all_the_rows() -> None:
    rows = list(documented_rows())
    assert len({(row.state, row.input) for row in rows}) == len(rows)
    assert len(rows) > 60 and all(row.action for row in rows)


def reserving() -> Move:
    move = Move("vm1", "hv1", Ladder.MINIMIZE_LATENCY)
    move.feed(Begin("hv3"), 0.0)
    return move


def test_an_answer_to_something_else_changes_nothing() -> None:
    move = reserving()
    for stray in (
        StepDone(MoveStep.RESERVE, "hv4"),
        StepDone(MoveStep.COPY, "hv3"),
        StepFailed(MoveStep.RELEASE, "hv3", "late"),
        DeadlinePassed(),
    ):
        assert move.feed(stray, 1.0) == []
        assert move.state is MoveState.RESERVING


def test_what_means_nothing_is_an_error_that_names_state_and_input() -> None:
    with pytest.raises(ProtocolError, match="'start' is not permitted in state 'reserving'"):
        reserving().feed(Start(), 1.0)


def test_a_move_weighs_on_both_ends_while_it_has_a_destination_in_hand() -> None:
    move = Move("vm1", "hv1", Ladder.MINIMIZE_LATENCY)
    assert move.places == {"hv1"}
    move.feed(Begin("hv3"), 0.0)
    assert move.places == {"hv1", "hv3"}
    move.feed(StepFailed(MoveStep.RESERVE, "hv3", "no"), 1.0)
    assert move.places == {"hv1"}
    move.feed(Exhausted("nobody"), 2.0)
    assert (move.state, move.places) == (MoveState.REFUSED, {"hv1"})


def test_a_late_answer_to_a_reservation_given_up_does_not_revive_it() -> None:
    move = reserving()
    assert [do.step for do in move.feed(DeadlinePassed(), 10.0)] == [MoveStep.RELEASE]
    assert move.feed(StepDone(MoveStep.RESERVE, "hv3"), 11.0) == []
    move.feed(StepDone(MoveStep.RELEASE, "hv3"), 12.0)
    assert (move.state, move.tried) == (MoveState.WAITING, {"hv3": "no answer in 10 s"})


def test_the_story_says_when_and_where() -> None:
    move = reserving()
    move.feed(StepDone(MoveStep.RESERVE, "hv3"), 1.5)
    move.feed(Halt(), 9.0)
    told = [(note.t, note.node, note.text) for note in move.log]
    assert told == [(0.0, "hv3", "reserve"), (1.5, "hv3", "reserved"), (9.0, "hv3", "release")]


def test_a_dead_source_is_forgotten() -> None:
    move = reserving()
    move.feed(StepDone(MoveStep.RESERVE, "hv3"), 1.0)
    assert move.feed(SourceLost(), 2.0) == []
    assert (move.way, move.state) == (Ladder.RESTART, MoveState.RESERVED)
    assert [do.step for do in move.feed(Start(), 2.0)] == [MoveStep.BOOT]


def test_a_copy_from_a_source_that_has_died_is_not_waited_for() -> None:
    move = reserving()
    move.feed(StepDone(MoveStep.RESERVE, "hv3"), 1.0)
    move.feed(Start(), 1.0)
    move.feed(SourceLost(), 2.0)
    assert move.feed(StepDone(MoveStep.COPY, "hv3"), 3.0) == []
    assert [do.step for do in move.feed(Start(), 3.0)] == [MoveStep.BOOT]
