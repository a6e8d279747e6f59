"""A ladder for the terminal: one line a step, the words at the right of the lifelines."""

from __future__ import annotations

from textwrap import wrap

from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane

_WIDTH = 11
_TIME = 10
_LANES = list(Lane)
#: Lines above the first step.
_HEAD = 5
#: Where the words of a line begin, a space included.
_WORDS = _TIME + _WIDTH * len(_LANES)


def render(ladder: LadderDiagram) -> str:
    """The diagram as lines of text, about 120 columns wide."""
    lines = [ladder.title, "", *_headings(ladder)]
    lines += [_line(ladder, step) for step in ladder.in_order()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def folded(drawn: str, columns: int) -> str:
    """A drawn ladder for a narrow terminal: words that do not fit stand below their rung.

    Args:
        drawn: what :func:`render` made.
        columns: of the terminal; the lifelines themselves need 76.
    """
    lines: list[str] = []
    for number, line in enumerate(drawn.splitlines()):
        words = line[_WORDS:].strip()
        if number < _HEAD or len(line) <= columns:
            lines.append(line)
        else:
            indent = " " * _TIME
            lines += [line[:_WORDS].rstrip(), *wrap(words, columns, initial_indent=indent, subsequent_indent=indent)]
    return "\n".join(lines) + "\n"


def _headings(ladder: LadderDiagram) -> list[str]:
    roles = [lane.value.split(" ") for lane in _LANES]
    rows = [[words[0] for words in roles], [" ".join(words[1:]) for words in roles]]
    rows.append([ladder.name_of(lane) for lane in _LANES])
    first = "time/ms".rjust(_TIME - 1) + " "
    return [
        (first if number == 0 else " " * _TIME) + "".join(cell.center(_WIDTH) for cell in row)
        for number, row in enumerate(rows)
    ]


def _line(ladder: LadderDiagram, step: LadderStep) -> str:
    return f"{ladder.milliseconds(step):{_TIME - 1}.1f} {_rungs(step)} {step.text}"


def _rungs(step: LadderStep) -> str:
    cells = list((" " * (_WIDTH // 2) + "│" + " " * (_WIDTH - _WIDTH // 2 - 1)) * len(_LANES))
    start, stop = _column(step.origin), _column(step.target)
    if step.is_note:
        cells[start] = "●"
        return "".join(cells)
    low, high = min(start, stop), max(start, stop)
    for place in range(low + 1, high):
        cells[place] = "┼" if cells[place] == "│" else "─"
    cells[start] = "├" if start < stop else "┤"
    cells[stop] = "▶" if start < stop else "◀"
    return "".join(cells)


def _column(lane: Lane) -> int:
    return _LANES.index(lane) * _WIDTH + _WIDTH // 2
