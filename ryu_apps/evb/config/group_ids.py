"""GroupIDs as evbridge.yaml has them: a number, or a range of numbers."""

from __future__ import annotations

import re

LAST_GROUP, LAST_VID = 0xFFFFFFFF, 4094

_NUMBER = r"(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})"
_RANGE = re.compile(rf"{_NUMBER}(?:\s*-\s*{_NUMBER})?\Z")


def group_range(written: int | str) -> range:
    """Return the GroupIDs of a key: ``1000``, ``5000-5999``, ``0x1000-0x1fff``.

    Raises:
        ValueError: no GroupIDs, 0, more than 32 bits, backwards, or more groups than VIDs.
    """
    found = _RANGE.match(str(written))
    if found is None:
        raise ValueError("a GroupID or a range was expected, such as 1000 or 5000-5999")
    first, last = _number(found[1]), _number(found[2] or found[1])
    if not 1 <= first <= LAST_GROUP or not 1 <= last <= LAST_GROUP:
        raise ValueError(f"a GroupID is 1 to {LAST_GROUP}")
    if last < first:
        raise ValueError(f"range {written} runs backwards")
    if last - first >= LAST_VID:
        raise ValueError(f"range {written} has more groups than there are VIDs")
    return range(first, last + 1)


def _number(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)
