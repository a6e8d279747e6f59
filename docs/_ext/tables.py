"""Tables of the manual whose rows come from the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docutils import nodes


def table(widths: Sequence[int], head: Iterable[str], rows: Iterable[Iterable[str]]) -> nodes.table:
    """Return a table with a head row; the widths of its columns are in relation to each other."""
    group = nodes.tgroup("", cols=len(widths))
    group += [nodes.colspec("", colwidth=width) for width in widths]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group)


def _row(cells: Iterable[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))
