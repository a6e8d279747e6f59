"""Signals for green threads.

A handler that Python runs while the event loop waits for sockets cannot make it look up: the loop
goes back to waiting for as long as it had meant to.  A pipe that the system writes to at every signal
can.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from eventlet.hubs import trampoline
from ryu.lib import hub


def on_signal(number: int, action: Callable[[], object]) -> None:
    """Call ``action`` in a green thread of its own at every signal of that number, at once.

    Signals that come while it runs count as one.  One such signal a process.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(number, lambda *_: None)
    hub.spawn(_serve, reading, number, action)


def _serve(reading: int, number: int, action: Callable[[], object]) -> None:
    while True:
        trampoline(reading, read=True)
        if number in os.read(reading, 4096):
            action()
