"""Writings that the directory has not answered: they are repeated until it has."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.pods.directory import DirectoryError, Ended, OvertakenError

#: Writings that wait; further ones are left to the comparison of what is active with what the directory says.
_MOST = 1000


class Repetition:
    """Writings that are repeated.  One that is overtaken has become needless."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def write(self, write: Callable[[Ended], None]) -> None:
        """Write, and note whether that is to be repeated."""

        def ended(error: DirectoryError | None) -> None:
            again = error is not None and not isinstance(error, OvertakenError)
            if again and len(self._waiting) < _MOST:
                self._waiting.append(lambda: write(ended))

        write(ended)

    def again(self) -> None:
        """Repeat what was not answered."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
