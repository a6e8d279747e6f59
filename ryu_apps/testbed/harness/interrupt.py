"""Interrupts as one line, whatever fails on the way out.

A program that is interrupted takes its cluster down; threads and clean-up code then meet parts that are not there any
more, or not yet.  Their tracebacks would say nothing but that.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import TracebackType

_begun = False


def prepare(*numbers: signal.Signals) -> None:
    """From now on the first of these signals is a KeyboardInterrupt, and further ones do not disturb the clean-up."""
    for number in numbers:
        signal.signal(number, _interrupted)
    tell, tell_of_thread = sys.excepthook, threading.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if _begun:
            print("interrupted", file=sys.stderr)
        else:
            tell(kind, error, trace)

    def hook_of_thread(of: threading.ExceptHookArgs) -> None:
        if not _begun:
            tell_of_thread(of)

    sys.excepthook, threading.excepthook = hook, hook_of_thread


def _interrupted(_number: int, _frame: object) -> None:
    global _begun
    if not _begun:
        _begun = True
        raise KeyboardInterrupt
