"""Answers are judged by what a lab has shown, and its record outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.lab import lab
from ryu_apps.testbed.lab.notebook import RECORD, Experiment, Notebook, NotebookError, read_notebook
from ryu_apps.testbed.lab.worksheet import Judgement, check_lines, is_solved
from ryu_apps.testbed.lab.worksheets import QUESTIONS, WORKSHEETS
from tests.unit.lab.test_rule_changes import ACTIVE, EMPTY, STAGED

HOMES = {"hv1": "s1", "hv2": "s2"}


def request(
    verb: str, vm: str, before: tuple[str, ...], after: tuple[str, ...], outcome: str = "granted"
) -> Experiment:
    tables = [{"s1": lines, "s2": EMPTY} for lines in (before, after)]
    return Experiment(verb, (vm, "hv1"), outcome, "", *tables, HOMES)


def ping(rules: tuple[str, ...], outcome: str) -> Experiment:
    return Experiment("ping", ("vm1", "client"), outcome, "", {"s1": rules}, {"s1": rules}, HOMES)


def climb(notebook: Notebook, ladder: str, steps: list[str], outcome: str = "completed", home: str = "hv2") -> None:
    tables: tuple[dict[str, tuple[str, ...]], ...] = ({"s1": ACTIVE, "s2": EMPTY}, {"s1": EMPTY, "s2": ACTIVE})
    for step in steps:
        last = step in ("associate", "let go")
        notebook.note(Experiment("rung", ("vm1", "hv2", ladder, step), "done", "", tables[0], tables[last], HOMES))
    notebook.note(Experiment("migrate", ("vm1", "hv2", ladder, home), outcome, "", *tables, HOMES))


def test_a_question_wants_its_experiment_first() -> None:
    notebook = Notebook()
    notebook.answer("1.2", "2")
    assert QUESTIONS["1.2"].judged(notebook).judgement is Judgement.UNSEEN
    notebook.note(request("preassoc", "vm1", EMPTY, STAGED, "refused"))
    assert QUESTIONS["1.2"].judged(notebook).judgement is Judgement.UNSEEN
    notebook.note(request("preassoc", "vm1", EMPTY, STAGED))
    assert QUESTIONS["1.2"].judged(notebook).judgement is Judgement.RIGHT
    notebook.answer("1.2", "3")
    assert QUESTIONS["1.2"].judged(notebook).judgement is Judgement.WRONG


def test_the_same_ping_answers_three_questions_by_the_state_of_the_tables() -> None:
    notebook = Notebook()
    for rules, outcome in ((EMPTY, "lost"), (STAGED, "lost"), (ACTIVE, "passed")):
        notebook.note(ping(rules, outcome))
    assert [QUESTIONS[number].compute(notebook) for number in ("1.1", "1.4", "1.9")] == ["no", "no", "yes"]


def test_an_associate_is_counted_by_its_tables() -> None:
    notebook = Notebook()
    notebook.note(request("assoc", "vm1", STAGED, ACTIVE))
    found = {number: QUESTIONS[number].compute(notebook) for number in ("1.5", "1.6", "1.7", "1.8")}
    assert found == {"1.5": "1", "1.6": "INGRESS", "1.7": "2", "1.8": "0"}


def test_the_next_rung_is_that_of_the_ladder_that_was_climbed() -> None:
    notebook = Notebook()
    climb(notebook, "minimize-latency", ["reserve", "copy", "suspend", "associate", "resume", "let go"])
    climb(notebook, "safest-exchange", ["reserve", "copy", "suspend", "let go", "associate", "resume"])
    assert (QUESTIONS["2.4"].compute(notebook), QUESTIONS["2.7"].compute(notebook)) == ("associate", "let go")
    assert QUESTIONS["2.9"].compute(notebook) is None


@pytest.mark.parametrize("given", ["FORWARD INGRESS", "ingress, forward", "Ingress-Forward"])
def test_names_may_be_in_any_order(given: str) -> None:
    notebook = Notebook()
    gate = ACTIVE[-1]
    forward = gate.replace("table=10", "table=40")
    notebook.note(request("assoc", "vm1", STAGED, (*ACTIVE, forward)))
    notebook.answer("1.6", given)
    assert QUESTIONS["1.6"].judged(notebook).judgement is Judgement.RIGHT


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Notebook(tmp_path / RECORD)
    for experiment in (ping(EMPTY, "lost"), request("preassoc", "vm1", EMPTY, STAGED)):
        written.note(experiment)
    written.answer("1.1", "yes")
    written.answer("1.1", "no")
    found = read_notebook(tmp_path / RECORD)
    assert (found.experiments, found.answers) == (written.experiments, {"1.1": "no"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the record of a lab"),
        ("{}", "not the record of a lab"),
        ('{"version": 7}', "version 7, this reads 1"),
        ('{"version": 1}\n{"experiment": 3}', "not the record of a lab"),
    ],
)
def test_something_else_is_no_record(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / RECORD).write_text(text, encoding="utf-8")
    with pytest.raises(NotebookError, match=words):
        read_notebook(tmp_path / RECORD)
    done = CliRunner().invoke(lab, ["check", "1", str(tmp_path)])
    assert done.exit_code == 1 and words in done.output
    # Nothing was started, so there are no logs to look at.
    assert "logs:" not in done.output


def test_the_checker_reads_a_record(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / RECORD)
    notebook.note(ping(EMPTY, "lost"))
    notebook.answer("1.1", "no")
    done = CliRunner().invoke(lab, ["check", "1", str(tmp_path)])
    assert (done.exit_code, done.output.splitlines()[0]) == (1, "1.1 right")
    assert done.output.splitlines() == list(check_lines(WORKSHEETS["1"], notebook))
    shown = CliRunner().invoke(lab, ["check", "1", str(tmp_path), "--solutions"])
    assert shown.output.splitlines()[:2] == ["1.1 no", "1.2 not done"]
    assert not is_solved(WORKSHEETS["1"], notebook)


def test_without_a_lab_the_checker_asks_for_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(lab, ["check", "1"])
    assert done.exit_code == 1 and "no lab in reports/" in done.output


def test_every_question_can_be_typed_and_has_a_hint() -> None:
    for number, question in QUESTIONS.items():
        assert question.number == number and question.lines and question.hint and question.text.endswith((".", "?"))
