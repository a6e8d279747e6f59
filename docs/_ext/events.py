"""``.. events::``: the table of log events, as the code has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from ryu_apps.evb.event_catalogue.catalogue import documented_rows

COLUMNS = ("kind", "level", "detail", "meaning")


class Events(Directive):
    """Table of :data:`~ryu_apps.evb.event_catalogue.catalogue.CATALOGUE`."""

    def run(self) -> list[nodes.Node]:
        """Return the table; docutils' entry point."""
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec("", colwidth=width) for width in (20, 8, 32, 40)]
        group += nodes.thead("", _row(COLUMNS))
        group += nodes.tbody("", *map(_row, documented_rows()))
        return [nodes.table("", group)]


def _row(cells: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("events", Events)
    return {"parallel_read_safe": True}
