"""``.. worksheet:: 1``: the questions of a worksheet, as the lab asks them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

from ryu_apps.testbed.lab.worksheets import WORKSHEETS

COLUMNS = ("question", "type", "and answer", "with")


class WorksheetTable(Directive):
    """Table of the questions of a worksheet."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table; docutils' entry point."""
        questions = WORKSHEETS[self.arguments[0]].questions
        rows = [(each.number, "; ".join(each.lines), each.text, each.form) for each in questions]
        return [table((8, 30, 46, 16), COLUMNS, rows)]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("worksheet", WorksheetTable)
    return {"parallel_read_safe": True}
