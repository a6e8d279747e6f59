"""Cost of an action as a number of calls, which is the same on every machine and under any load."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType


def calls(action: Callable[[], object]) -> int:
    """Count the calls of Python functions during an action; the C code of a library does not count.

    Nor does the collection of garbage, which calls what others have registered for it, and may be due to earlier tests.
    """
    number = 0

    def seen(frame: FrameType, what: str, argument: object) -> None:
        nonlocal number
        number += what == "call"

    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(seen)
    try:
        action()
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return number
