"""The record of a run, ``matrix.json``: the machine and every cell; complete after each move, so that a run can go on.

The record that the manual shows is ``record.json`` beside this module.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ryu_apps.testbed.environment import environment
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.matrix.cells import Cell, CellKey, cells_from_json

FILE = "matrix.json"
SHOWN = Path(__file__).with_name("record.json")


class UnreadableRecord(TestbedError):
    """A file that is no record of the matrix."""


def this_machine() -> dict[str, Any]:
    """Date, machine and versions of a run that begins now."""
    return {**environment(), "date": time.strftime("%Y-%m-%d")}


@dataclass(slots=True)
class MatrixRecord:
    """A run.

    Attributes:
        machine: see :func:`this_machine`.
        cells: in the order in which they were measured.
        incomplete: moves that were not completed, with the reason; their cells are measured again.
    """

    machine: dict[str, Any]
    cells: list[Cell] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)

    @property
    def keys(self) -> set[CellKey]:
        """The cells that need not be measured again."""
        return {cell.key for cell in self.cells}

    @property
    def rounds(self) -> int:
        """Number of rounds begun."""
        return max((cell.round for cell in self.cells), default=0)

    @property
    def conditions(self) -> str:
        """The machine, its load and the rounds, as a sentence."""
        loads = [cell.load for cell in self.cells] or [0.0]
        return (
            f"Measured on {self.machine['date']} on {self.machine['cores']} cores, Linux {self.machine['kernel']}:"
            f" {len(self.cells)} moves in {self.rounds} rounds; {len(self.incomplete)} more were not completed and"
            f" repeated.  The load average of the machine, which had other work,"
            f" was {min(loads):.1f} to {max(loads):.1f}, in the median {median(loads):.1f}."
        )

    def write(self, path: Path) -> None:
        """Replace a file at once: an interrupt leaves the old one or the new one."""
        lines = ",\n".join(json.dumps(cell.as_json()) for cell in self.cells)
        head = f'"machine": {json.dumps(self.machine)}, "incomplete": {json.dumps(self.incomplete)}'
        text = f'{{{head}, "cells": [\n{lines}\n]}}\n'
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)


def read_record(path: Path) -> MatrixRecord:
    """Read a record.

    Raises:
        UnreadableRecord: the file is missing, or something else.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return MatrixRecord(dict(body["machine"]), cells_from_json(body["cells"]), list(body["incomplete"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableRecord(f"{path} is no record of evbridge matrix: {error}") from error


def open_record(path: Path) -> MatrixRecord:
    """Read a record that is to be continued, or begin one.

    Raises:
        UnreadableRecord: the file is something else.
    """
    return read_record(path) if path.exists() else MatrixRecord(this_machine())


def rows_of(cells: Sequence[Cell]) -> dict[Any, dict[str, list[Cell]]]:
    """Cells by row and trigger, in the order of their first appearance."""
    found: dict[Any, dict[str, list[Cell]]] = {}
    for cell in cells:
        found.setdefault(cell.row, {}).setdefault(cell.trigger, []).append(cell)
    return found
