"""The record of a lab: what was done, what was seen, which answers were given.  One JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.lab.rules import Snapshot

#: Name of the record in the folder of a lab.
RECORD = "lab.jsonl"
_VERSION = 1
#: Attributes of an experiment with rules, which the record has once, and then by their numbers.
_TABLES = ("before", "after")


class NotebookError(TestbedError):
    """A record cannot be read."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A verb that was carried out.

    Attributes:
        verb: as typed; ``rung`` for a rung of a move.
        words: its arguments; of a rung the VM, the destination, the ladder and the step.
        outcome: ``granted``, ``refused``, ``passed``, ``lost``, ...
        detail: reason, or the lines that were printed.
        before, after: the rules of the switches, where the verb may change them.
        homes: switch of each hypervisor.
    """

    verb: str
    words: tuple[str, ...]
    outcome: str
    detail: str = ""
    before: Snapshot = field(default_factory=dict)
    after: Snapshot = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)


class Notebook:
    """A record in memory, and in a file if there is one.

    Attributes:
        experiments: in their order.
        answers: the last one to each question.
    """

    def __init__(self, path: Path | None = None) -> None:
        """
        Args:
            path: of a new file; each line is written as it is known, so that nothing is lost.
        """
        self.experiments: list[Experiment] = []
        self.answers: dict[str, str] = {}
        self._path = path
        self._numbers: dict[str, int] = {}
        self._write({"version": _VERSION})

    def note(self, experiment: Experiment) -> None:
        """Record what was done."""
        self.experiments.append(experiment)
        if self._path is not None:
            written = asdict(experiment)
            new: list[str] = []
            for name in _TABLES:
                written[name] = {switch: self._numbered(lines, new) for switch, lines in written[name].items()}
            self._write({"rules": new})
            self._write({"experiment": written})

    def answer(self, question: str, value: str) -> None:
        """Record an answer, which replaces an earlier one."""
        self.answers[question] = value
        self._write({"question": question, "answer": value})

    def newest(self, verb: str, *words: str) -> Iterator[Experiment]:
        """Experiments with a verb and these first words, the newest first; an empty word stands for any."""
        for experiment in reversed(self.experiments):
            pairs = zip(words, experiment.words, strict=False)
            enough = len(experiment.words) >= len(words)
            if experiment.verb == verb and enough and all(word in ("", found) for word, found in pairs):
                yield experiment

    def _numbered(self, lines: Iterable[str], new: list[str]) -> list[int]:
        """Numbers of rules; those that the record does not have yet are appended to ``new``."""
        for line in lines:
            if line not in self._numbers:
                self._numbers[line] = len(self._numbers)
                new.append(line)
        return [self._numbers[line] for line in lines]

    def _write(self, line: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def read_notebook(path: Path) -> Notebook:
    """Read a record.

    Raises:
        NotebookError: there is none, or it is something else.
    """
    made = Notebook()
    try:
        rules: list[str] = []
        head, *lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        if head["version"] != _VERSION:
            raise NotebookError(f"{path}: version {head['version']}, this reads {_VERSION}")
        for line in lines:
            if "question" in line:
                made.answers[line["question"]] = line["answer"]
            elif "rules" in line:
                rules += line["rules"]
            else:
                made.experiments.append(_experiment(line["experiment"], rules))
    except OSError as error:
        raise NotebookError(f"{path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotebookError(f"{path}: not the record of a lab: {error}") from None
    return made


def _experiment(read: dict[str, Any], rules: Sequence[str]) -> Experiment:
    tables = {
        name: {switch: tuple(rules[number] for number in numbers) for switch, numbers in read[name].items()}
        for name in _TABLES
    }
    return Experiment(**{**read, "words": tuple(read["words"]), **tables})
