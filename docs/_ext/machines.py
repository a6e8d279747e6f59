"""``.. machine:: ryu_apps.evb.protocol.vdp_bridge``: the table of a protocol machine, as the code has it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

COLUMNS = ("state", "input", "action", "next state")


class Machine(Directive):
    """Renders the rows that a module's ``documented_rows`` yields."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Docutils' entry point."""
        rows = import_module(self.arguments[0]).documented_rows()
        return [table((15, 30, 40, 15), COLUMNS, ((row.state, row.input, row.action, row.next) for row in rows))]


def setup(app: Any) -> dict[str, bool]:
    """Sphinx' entry point."""
    app.add_directive("machine", Machine)
    return {"parallel_read_safe": True}
