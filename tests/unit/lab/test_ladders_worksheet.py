"""Worksheet 2: its answers are those of the newest move that its question is about, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.testbed.lab.notebook import RECORD, Experiment, Notebook
from ryu_apps.testbed.lab.rules import Snapshot
from ryu_apps.testbed.lab.worksheet import check_lines, is_solved
from ryu_apps.testbed.lab.worksheets import QUESTIONS, WORKSHEETS
from tests.unit.lab.test_rule_changes import ACTIVE, EMPTY, STAGED

HOMES = {"hv1": "s1", "hv2": "s2"}
QUICK, SAFE = "minimize-latency", "safest-exchange"
AT_1, AT_2 = {"s1": ACTIVE, "s2": EMPTY}, {"s1": EMPTY, "s2": ACTIVE}
RESERVED_2, RESERVED_1 = {"s1": ACTIVE, "s2": STAGED}, {"s1": STAGED, "s2": ACTIVE}
NOWHERE = {"s1": STAGED, "s2": EMPTY}

#: Step of each rung, and the tables behind it.
QUICK_RUNGS = (
    ("reserve", RESERVED_2),
    ("copy", RESERVED_2),
    ("suspend", RESERVED_2),
    ("associate", AT_2),
    ("resume", AT_2),
    ("let go", AT_2),
)
SAFE_RUNGS = (
    ("reserve", RESERVED_1),
    ("copy", RESERVED_1),
    ("suspend", RESERVED_1),
    ("let go", NOWHERE),
    ("associate", AT_1),
    ("resume", AT_1),
)
HALTED_RUNGS = (("reserve", RESERVED_2), ("associate", RESERVED_2))
RIGHT = ("reserve", "2", "1", "associate", "0", "associate", "let go", "1", "2", "hv1", "3")


def move(
    node: str,
    ladder: str,
    before: Snapshot,
    rungs: tuple[tuple[str, Snapshot], ...],
    *,
    vm: str = "vm1",
    outcome: str = "completed",
    home: str = "",
    halted: str = "",
) -> list[Experiment]:
    """A move with its rungs; ``halted`` is the step at which it was ended."""
    found, here = [], before
    for step, after in rungs:
        fate = "halted" if step == halted else "done"
        found.append(Experiment("rung", (vm, node, ladder, step), fate, "", here, after, HOMES))
        here = after
    return [*found, Experiment("migrate", (vm, node, ladder, home or node), outcome, "", before, here, HOMES)]


def assoc(node: str, before: Snapshot, after: Snapshot, outcome: str = "granted") -> Experiment:
    return Experiment("assoc", ("vm1", node), outcome, "", before, after, HOMES)


DONE = (
    *move("hv2", QUICK, AT_1, QUICK_RUNGS),
    *move("hv1", SAFE, AT_2, SAFE_RUNGS),
    *move("hv2", QUICK, AT_1, HALTED_RUNGS, outcome="aborted", home="hv1", halted="associate"),
    assoc("hv2", RESERVED_2, AT_2),
)
#: Experiments that no question is about, behind those that they are about.
BESIDE = {
    "another VM": [
        *move("hv2", QUICK, AT_1, QUICK_RUNGS[1:], vm="vm2"),
        *move("hv2", SAFE, AT_2, QUICK_RUNGS[1:], vm="vm2"),
        *move("hv2", QUICK, AT_1, (("associate", AT_2),), vm="vm2", home="hv2", halted="associate"),
    ],
    "a move that failed": [
        *move("hv2", QUICK, AT_1, QUICK_RUNGS[1:], outcome="refused"),
        *move("hv1", SAFE, AT_2, SAFE_RUNGS[3:4], outcome="refused"),
    ],
    "a move to the same switch": [
        *move("hv2", QUICK, AT_2, QUICK_RUNGS[3:]),
        *move("hv2", SAFE, AT_2, QUICK_RUNGS[3:]),
    ],
    "halted at another rung": move("hv2", QUICK, AT_1, QUICK_RUNGS[:1], outcome="aborted", halted="reserve"),
    "an Associate that was refused": [assoc("hv2", RESERVED_2, {**AT_2, "s1": STAGED}, "refused")],
    "an Associate where the VM is": [assoc("hv1", AT_1, AT_1)],
}


def noted(*experiments: Experiment) -> Notebook:
    notebook = Notebook()
    for experiment in experiments:
        notebook.note(experiment)
    return notebook


def computed(notebook: Notebook) -> list[str | None]:
    return [QUESTIONS[f"2.{number}"].compute(notebook) for number in range(1, len(RIGHT) + 1)]


def test_every_question_is_answered_by_its_move() -> None:
    assert computed(noted(*DONE)) == list(RIGHT)
    assert computed(Notebook()) == [None] * len(RIGHT)


@pytest.mark.parametrize("beside", BESIDE)
def test_other_experiments_answer_nothing(beside: str) -> None:
    assert computed(noted(*DONE, *BESIDE[beside])) == list(RIGHT)
    assert computed(noted(*BESIDE[beside])) == [None] * len(RIGHT)


def test_the_newest_move_counts() -> None:
    later = move("hv2", QUICK, AT_1, (("associate", AT_2), ("suspend", AT_2)))
    found = computed(noted(*DONE, *later))
    # All rules at once; nothing follows the last rung.
    assert found[:6] == ["associate", "3", "3", None, "0", "associate"]
    assert found[6:] == list(RIGHT[6:])


@pytest.mark.parametrize(
    ("rungs", "expected"),
    [(("suspend", "associate"), "associate"), (("associate", "suspend"), None), (("reserve", "associate"), None)],
)
def test_the_rung_behind_another_is_the_next_one_if_there_is_one(rungs: tuple[str, ...], expected: str | None) -> None:
    climbed = move("hv2", QUICK, AT_1, tuple((step, AT_2) for step in rungs))
    assert QUESTIONS["2.4"].compute(noted(*climbed)) == expected


def test_the_worksheet_is_solved_by_its_answers(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / RECORD)
    for experiment in DONE:
        notebook.note(experiment)
    for number, answer in enumerate(RIGHT, 1):
        notebook.answer(f"2.{number}", answer)
    assert is_solved(WORKSHEETS["2"], notebook)
    notebook.answer("2.6", "let go")
    assert [line for line in check_lines(WORKSHEETS["2"], notebook) if "wrong" in line] == [
        "2.6 wrong: look for lines with '-' under the switch of the source: who has asked for it?"
    ]
