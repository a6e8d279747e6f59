"""``.. rooms::`` and ``.. imports::``: rooms of the code and their permitted imports, from ``.importlinter``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import networkx
from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

_STYLE = (
    "text{font:12px system-ui,sans-serif;text-anchor:middle}rect{fill:#eef3fb;stroke:#2f6fde}"
    "path{stroke:#9aa5b1;fill:none}"
)
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 124, 26, 14, 46


def contract() -> dict[str, list[str]]:
    """Return the rows of the contract: package and permitted imports."""
    from tools.import_contracts import read_rows

    parser = ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return read_rows(parser["importlinter:contract:who"]["rows"].strip().splitlines())


class Imports(Directive):
    """A table of the contract."""

    def run(self) -> list[nodes.Node]:
        """Docutils' entry point."""
        rows = (
            (_short(room), ", ".join(map(_short, allowed)) or "nothing of evbridge")
            for room, allowed in contract().items()
        )
        return [table((25, 75), ("Part", "imports"), rows)]


class Rooms(Directive):
    """A picture of the contract's rows for the core, one layer above the other."""

    def run(self) -> list[nodes.Node]:
        """Docutils' entry point."""
        core = {room: allowed for room, allowed in contract().items() if room.startswith("ryu_apps.evb.")}
        return [nodes.raw("", picture(core), format="html")]


def picture(rows: Mapping[str, Iterable[str]]) -> str:
    """Return an SVG with a box for each room and an arrow for each permission that does not follow from others."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(rows)
    graph.add_edges_from((room, other) for room, names in rows.items() for other in _permitted(names, rows))
    graph.remove_edges_from([(room, room) for room in rows])
    graph = networkx.transitive_reduction(graph)
    from_the_ground = [sorted(layer) for layer in networkx.topological_generations(graph.reverse())]
    lines = from_the_ground[::-1]
    widest = max(map(len, lines))
    places = {
        room: (20 + (2 * column + widest - len(rooms)) * (_WIDTH + _GAP_X) // 2, 20 + line * (_HEIGHT + _GAP_Y))
        for line, rooms in enumerate(lines)
        for column, room in enumerate(rooms)
    }
    width, height = 26 + widest * (_WIDTH + _GAP_X), 20 + len(lines) * (_HEIGHT + _GAP_Y)
    arrows = [_arrow(places[room], places[other]) for room, other in sorted(graph.edges)]
    boxes = [_box(place, _short(room)) for room, place in places.items()]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="100%"><style>{_STYLE}</style>'
    )
    return "".join([head, *arrows, *boxes, "</svg>"])


def _permitted(names: Iterable[str], rooms: Iterable[str]) -> Iterator[str]:
    """Return the rooms of the modules and packages that a row names."""
    for name in names:
        yield from (room for room in rooms if f"{name}.".startswith(f"{room}.") or room.startswith(f"{name}."))


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    middle = _WIDTH // 2
    return f'<path d="M{start[0] + middle} {start[1] + _HEIGHT}L{end[0] + middle} {end[1]}"/>'


def _box(place: tuple[int, int], name: str) -> str:
    x, y = place
    words = f'<text x="{x + _WIDTH // 2}" y="{y + 17}">{escape(name)}</text>'
    return f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"/>{words}'


def _short(name: str) -> str:
    return name.removeprefix("ryu_apps.")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx' entry point."""
    app.add_directive("imports", Imports)
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True}
