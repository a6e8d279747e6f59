"""``.. records::``: the table of record kinds, as the code has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from ryu_apps.evb.record_kinds import RECORD_KINDS

COLUMNS = ("key", "schema", "encoded and decoded by", "if it cannot be decoded")


class Records(Directive):
    """Table of :data:`~ryu_apps.evb.record_kinds.RECORD_KINDS`."""

    def run(self) -> list[nodes.Node]:
        """Return the table; docutils' entry point."""
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec("", colwidth=width) for width in (22, 8, 30, 40)]
        group += nodes.thead("", _row(COLUMNS))
        rows = (
            (kind.key(kind.subject), str(kind.schema or "none"), kind.codec, kind.unreadable) for kind in RECORD_KINDS
        )
        group += nodes.tbody("", *map(_row, rows))
        return [nodes.table("", group)]


def _row(cells: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("records", Records)
    return {"parallel_read_safe": True}
