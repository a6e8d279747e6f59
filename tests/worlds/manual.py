"""Pages of the manual as their readers see them: the blocks that they type."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_BEGINS = re.compile(r" *(?:\.\. code-block:: \w+|.*::)")


def blocks(page: str, heading: str) -> list[str]:
    """Return the literal blocks directly below a heading, in their order, without their indentation."""
    lines = (_ROOT / page).read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line == heading and _is_line(lines[number + 1])) + 2
    last = next((number for number in range(first, len(lines)) if _is_line(lines[number])), len(lines) + 1) - 1
    return list(_blocks(lines[first:last]))


def _is_line(line: str) -> bool:
    """Tell a line below a heading, which has one word of one character; a table's has several words."""
    return re.fullmatch(r"([-=~])\1{3,}", line) is not None


def _blocks(lines: list[str]) -> Iterator[str]:
    number = 0
    while number < len(lines):
        begins = _BEGINS.fullmatch(lines[number])
        number += 1
        if begins and number + 1 < len(lines) and not lines[number]:
            depth = _depth(lines[number + 1])
            first = number = number + 1
            while number < len(lines) and (not lines[number] or _depth(lines[number]) >= depth):
                number += 1
            yield textwrap.dedent("\n".join(lines[first:number])).strip() + "\n"


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
