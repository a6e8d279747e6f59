"""Names of events: the generation of the bridge, and a number that counts from its start."""

from __future__ import annotations

import re
from typing import NamedTuple

#: For readers and for schemas.
PATTERN = "[0-9a-f]{16}[.][0-9]{1,15}"


class EventId(NamedTuple):
    """The name of an event."""

    life: int
    number: int

    def __str__(self) -> str:
        return f"{self.life:016x}.{self.number}"


def event_id(text: str) -> EventId:
    """Read a name.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not the id of an event")
    life, _, number = text.partition(".")
    return EventId(int(life, 16), int(number))
