"""Answers are judged by what a lab has shown, and its record outlives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.lab import lab
from ryu_apps.testbed.lab.notebook import RECORD, Experiment, Notebook, NotebookError, read_notebook
from ryu_apps.testbed.lab.worksheet import Judgement, check_lines, is_solved
from ryu_apps.testbed.lab.worksheets import QUESTIONS, WORKSHEETS
from tests.unit.lab.test_rule_changes import ACTIVE, EMPTY, OF_VSI, STAGED

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


EXPLAINED = Experiment(
    "explain",
    ("client", "eth_src=client", "eth_dst=vm1", "ipv4_src=client", "ipv4_dst=vm1", "tcp_dst=23"),
    "done",
    "frame    ...\nresult   dropped at s1: ACL_TO, VSI type 1/1, default of to_vm: deny",
    {},
    {},
    HOMES,
)
ELSEWHERE = {"s1": ACTIVE, "s2": EMPTY}
#: All experiments of worksheet 1, and the right answers in the order of its questions.
DONE = (
    *(ping(rules, outcome) for rules, outcome in ((EMPTY, "lost"), (STAGED, "lost"), (ACTIVE, "passed"))),
    request("preassoc", "vm1", EMPTY, STAGED),
    request("assoc", "vm1", STAGED, ACTIVE),
    request("preassoc", "vm2", ACTIVE, (*ACTIVE, OF_VSI.replace("aa:00:01", "aa:00:02"))),
    EXPLAINED,
    Experiment("assoc", ("vm1", "hv2"), "refused", "", ELSEWHERE, ELSEWHERE, HOMES),
    request("deassoc", "vm1", ACTIVE, EMPTY),
)
RIGHT = ("no", "2", "0", "no", "1", "INGRESS", "2", "0", "yes", "1", "ACL_TO", "refused", "0")


def solved(folder: Path) -> Notebook:
    """The record of a lab in which everything was done and answered."""
    folder.mkdir(parents=True)
    notebook = Notebook(folder / RECORD)
    for experiment in DONE:
        notebook.note(experiment)
    for number, answer in enumerate(RIGHT, 1):
        notebook.answer(f"1.{number}", answer)
    return notebook


def test_a_worksheet_is_solved_by_all_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest lab is checked unless another is named, as a folder or as its record."""
    monkeypatch.chdir(tmp_path)
    old = tmp_path / "reports/lab-20260101-100000"
    solved(old)
    new = solved(tmp_path / "reports/lab-20260101-110000")
    done = CliRunner().invoke(lab, ["check", "1"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"worksheet 1: {len(RIGHT)} of {len(RIGHT)} right")
    new.answer("1.2", "7")
    done = CliRunner().invoke(lab, ["check", "1"])
    assert done.exit_code == 1
    assert done.output.splitlines()[1].startswith("1.2 wrong: count the lines")
    for named in (old, old / RECORD):
        assert CliRunner().invoke(lab, ["check", "1", str(named)]).exit_code == 0
    assert CliRunner().invoke(lab, ["check", "2", str(old)]).exit_code == 1


def test_a_question_without_an_answer_says_its_form() -> None:
    notebook = Notebook()
    notebook.note(ping(EMPTY, "lost"))
    verdict = QUESTIONS["1.1"].judged(notebook)
    assert verdict == (Judgement.OPEN, "1.1 not answered (yes or no)")
    assert QUESTIONS["1.2"].judged(notebook).words == "1.2 not done: type preassoc vm1 hv1; dump"
