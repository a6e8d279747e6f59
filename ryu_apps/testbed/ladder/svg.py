"""A ladder as SVG: no script, no font of its own, legible in a browser, a README and on paper."""

from __future__ import annotations

from xml.sax.saxutils import escape

from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane

_LANES = list(Lane)
_LEFT, _SPACING, _RIGHT = 130, 185, 130
_TOP, _ROW, _BOTTOM = 92, 30, 24
_WIDTH = _LEFT + _SPACING * (len(_LANES) - 1) + _RIGHT
_CHARACTER = 6.4
_STYLE = """\
text{font:12px system-ui,sans-serif;fill:#1f2933}
.title{font-size:16px;font-weight:600}.lane{font-weight:600;text-anchor:middle}
.name{text-anchor:middle;fill:#52606d}.time{text-anchor:end;fill:#7b8794;font-size:11px}
.words{text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:5px;stroke-linejoin:round}
.life{stroke:#cbd2d9;stroke-width:1.5}.arrow{stroke:#2f6fde;stroke-width:1.6}
.note{fill:#fff7e0;stroke:#d9a200}.note-words{text-anchor:middle}"""

_ARROW_HEAD = """\
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0 10 5 0 10z" fill="#2f6fde"/></marker></defs>"""


def render(ladder: LadderDiagram) -> str:
    """The text of an ``.svg`` file."""
    steps = ladder.in_order()
    height = _TOP + _ROW * (len(steps) + 1) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f"<title>{escape(ladder.title)}</title><style>{_STYLE}</style>",
        _ARROW_HEAD,
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="20" y="28">{escape(ladder.title)}</text>',
        *(_lane(ladder, lane, height) for lane in _LANES),
        *(_step(step, ladder.milliseconds(step), row) for row, step in enumerate(steps)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(lane: Lane) -> int:
    return _LEFT + _SPACING * _LANES.index(lane)


def _lane(ladder: LadderDiagram, lane: Lane, height: int) -> str:
    x = _x(lane)
    name = ladder.name_of(lane)
    return (
        f'<text class="lane" x="{x}" y="56">{escape(lane.value)}</text>'
        f'<text class="name" x="{x}" y="73">{escape(name)}</text>'
        f'<line class="life" x1="{x}" y1="{_TOP - 10}" x2="{x}" y2="{height - _BOTTOM}"/>'
    )


def _step(step: LadderStep, milliseconds: float, row: int) -> str:
    y = _TOP + _ROW * (row + 1)
    time = f'<text class="time" x="62" y="{y + 4}">{milliseconds:.1f} ms</text>'
    return time + (_note(step, y) if step.is_note else _arrow(step, y))


def _arrow(step: LadderStep, y: int) -> str:
    start, stop = _x(step.origin), _x(step.target)
    middle = _inside((start + stop) / 2, len(step.text))
    return (
        f'<line class="arrow" x1="{start}" y1="{y}" x2="{stop}" y2="{y}" marker-end="url(#head)"/>'
        f'<text class="words" x="{middle:.0f}" y="{y - 6}">{escape(step.text)}</text>'
    )


def _note(step: LadderStep, y: int) -> str:
    width = len(step.text) * _CHARACTER + 14
    x = _inside(_x(step.origin), len(step.text))
    return (
        f'<rect class="note" x="{x - width / 2:.0f}" y="{y - 11}" width="{width:.0f}" height="21" rx="4"/>'
        f'<text class="note-words" x="{x:.0f}" y="{y + 4}">{escape(step.text)}</text>'
    )


def _inside(x: float, characters: int) -> float:
    """Shift words that would leave the picture (or cover the times at its left)."""
    half = characters * _CHARACTER / 2 + 10
    return min(max(x, 70 + half), _WIDTH - half)
