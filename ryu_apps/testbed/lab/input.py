"""Lines from a terminal, with history and completion, or from a pipe, which are printed as if they were typed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

#: Lines that are remembered from lab to lab.
_MOST = 1000
#: Seconds between two signals to a main thread that has not taken the first one.
_AGAIN = 0.1
#: Completes the last word of an unfinished line.
Completer = Callable[[str], list[str]]


class Lines:
    """Source of lines.

    Attributes:
        is_terminal: a person types them.
    """

    def __init__(self, completer: Completer, history: Path | None = None) -> None:
        """
        Args:
            history: file of the lines of former labs; used at a terminal only.
        """
        self.is_terminal = sys.stdin.isatty()
        self._history = history if self.is_terminal else None
        if self.is_terminal:
            _prepare(completer, self._history)

    def read(self, prompt: str) -> str | None:
        """The next line; None at the end of input."""
        if self.is_terminal:
            try:
                return input(prompt)
            except EOFError:
                print()
                return None
        line = sys.stdin.readline()
        if not line:
            return None
        print(f"{prompt}{line.rstrip()}", flush=True)
        return line

    def close(self) -> None:
        """Keep the history."""
        if self._history is not None:
            import readline

            # A home that cannot be written to is no reason to complain at the end.
            with suppress(OSError):
                readline.write_history_file(self._history)


def _prepare(completer: Completer, history: Path | None) -> None:
    # Imported at a terminal only: it writes to the output as soon as it is.
    import readline

    def complete(_word: str, number: int) -> str | None:
        found = completer(readline.get_line_buffer()[: readline.get_endidx()])
        return f"{found[number]} " if number < len(found) else None

    _repeat_interrupts()
    readline.set_completer(complete)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_MOST)
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)


def _repeat_interrupts() -> None:
    """Send an interrupt to the main thread until it has taken it.

    input() takes a signal that comes while it waits for a key.  One that comes just before would be noticed at the next
    key only.
    """
    main, (noted, writing) = threading.main_thread(), os.pipe()
    assert main.ident is not None
    thread = main.ident
    os.set_blocking(writing, False)
    taken, taking = threading.Event(), signal.getsignal(signal.SIGINT)

    def take(number: int, frame: FrameType | None) -> None:
        taken.set()
        if callable(taking):
            taking(number, frame)

    def repeat() -> None:
        while signal.SIGINT not in os.read(noted, 1):
            pass
        while not taken.is_set():
            signal.pthread_kill(thread, signal.SIGINT)
            time.sleep(_AGAIN)

    signal.signal(signal.SIGINT, take)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=repeat, name="interrupts", daemon=True).start()
