"""Worksheets: questions whose answers are computed from the record of a lab.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ryu_apps.testbed.lab.notebook import Notebook


class Judgement(Enum):
    """Judgements of an answer; the values are the checker's words."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "not answered"
    UNSEEN = "not done"
    """The experiment that the question is about has not been done in this lab."""


class Verdict(NamedTuple):
    """A judgement, and a line of text for it."""

    judgement: Judgement
    words: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question.

    Attributes:
        number: of worksheet and question, ``1.2``.
        lines: to be typed before, those of the experiment.
        text: the question.
        form: how it is answered.
        compute: the right answer of a record; None: the experiment is not in it.
        hint: where to look.
    """

    number: str
    lines: tuple[str, ...]
    text: str
    form: str
    compute: Callable[[Notebook], str | None]
    hint: str

    def judged(self, notebook: Notebook) -> Verdict:
        """Judge the answer in a record."""
        given, right = notebook.answers.get(self.number), self.compute(notebook)
        if right is None:
            return Verdict(Judgement.UNSEEN, f"{self.number} not done: type {'; '.join(self.lines)}")
        if given is None:
            return Verdict(Judgement.OPEN, f"{self.number} not answered ({self.form})")
        if _tokens(given) == _tokens(right):
            return Verdict(Judgement.RIGHT, f"{self.number} right")
        return Verdict(Judgement.WRONG, f"{self.number} wrong: {self.hint}")


@dataclass(frozen=True, slots=True)
class Worksheet:
    """Questions about one subject.

    Attributes:
        number: as typed.
        title: the subject.
        questions: in their order.
    """

    number: str
    title: str
    questions: tuple[Question, ...]

    def lines(self) -> Iterator[str]:
        """Lines of the questions."""
        yield f"Worksheet {self.number}: {self.title}"
        for question in self.questions:
            yield f"{question.number}  type: {'; '.join(question.lines)}"
            yield f"     {question.text}  (answer {question.number}: {question.form})"


def _tokens(text: str) -> frozenset[str]:
    """Words and numbers of an answer, in whatever order, with whatever between them."""
    return frozenset(re.findall(r"[\w.]+", text.lower()))


def check_lines(worksheet: Worksheet, notebook: Notebook) -> Iterator[str]:
    """Lines of the verdicts of a worksheet, and the sum."""
    verdicts = [question.judged(notebook) for question in worksheet.questions]
    for verdict in verdicts:
        yield verdict.words
    right = sum(verdict.judgement is Judgement.RIGHT for verdict in verdicts)
    yield f"worksheet {worksheet.number}: {right} of {len(verdicts)} right"


def is_solved(worksheet: Worksheet, notebook: Notebook) -> bool:
    """Return True if all answers are right."""
    return all(question.judged(notebook).judgement is Judgement.RIGHT for question in worksheet.questions)


def solution_lines(worksheet: Worksheet, notebook: Notebook) -> Iterator[str]:
    """Lines of the right answers of a record, for the teacher."""
    for question in worksheet.questions:
        yield f"{question.number} {question.compute(notebook) or 'not done'}"
