"""Lines from a terminal, with history and completion, or from a pipe, which are printed as if they were typed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: Lines that are remembered from lab to lab.
_MOST = 1000
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

    readline.set_completer(complete)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_MOST)
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
