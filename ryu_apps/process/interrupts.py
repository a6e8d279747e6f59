"""Signal handlers during imports: a signal ends the process at once, with one line.

Python's own way, a KeyboardInterrupt, is a traceback of whatever is being imported; in a green thread of Ryu's, which
catches everything, it is lost.  Imports next to nothing, so that this can be the first thing that a program does.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

#: By which a controller is ended.
ENDING = (signal.SIGINT, signal.SIGTERM)


def end_at_once(*numbers: signal.Signals) -> None:
    """From now on, and for those that were held back, these signals end the process."""
    for number in numbers:
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def hold_back(*numbers: signal.Signals) -> None:
    """Keep these signals for the program by which this process is about to replace itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _end(number: int, _frame: object) -> None:
    with suppress(OSError):
        os.write(2, f"ending upon {signal.Signals(number).name}\n".encode())
    # By the signal itself: a shell or a supervisor sees why the process has ended.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # Only process 1 of a PID namespace gets here: it cannot be ended in this way.
    os._exit(128 + number)
