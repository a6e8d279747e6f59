"""``.. events::``: the table of log events, as the code has it."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

from ryu_apps.evb.event_catalogue.catalogue import documented_rows

COLUMNS = ("kind", "level", "detail", "meaning")


class Events(Directive):
    """Table of :data:`~ryu_apps.evb.event_catalogue.catalogue.CATALOGUE`."""

    def run(self) -> list[nodes.Node]:
        """Return the table; docutils' entry point."""
        return [table((20, 8, 32, 40), COLUMNS, documented_rows())]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("events", Events)
    return {"parallel_read_safe": True}
