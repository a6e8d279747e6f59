"""``.. records::``: the table of record kinds, as the code has it."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

from ryu_apps.evb.record_kinds import RECORD_KINDS

COLUMNS = ("key", "schema", "encoded and decoded by", "if it cannot be decoded")


class Records(Directive):
    """Table of :data:`~ryu_apps.evb.record_kinds.RECORD_KINDS`."""

    def run(self) -> list[nodes.Node]:
        """Return the table; docutils' entry point."""
        rows = (
            (kind.key(kind.subject), str(kind.schema or "none"), kind.codec, kind.unreadable) for kind in RECORD_KINDS
        )
        return [table((22, 8, 30, 40), COLUMNS, rows)]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("records", Records)
    return {"parallel_read_safe": True}
