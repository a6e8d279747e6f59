"""Parts of a testbed that are started and stopped as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self


def end_all(*ends: Callable[[], object], after: BaseException | None = None) -> None:
    """Carry out all ends in their order, also if some of them fail.

    Args:
        after: the error that has led here, of which each failure becomes a note; it is not raised.

    Raises:
        Exception: that of the first end that fails, unless there is an error before; later ones are notes of it.
    """
    first = after
    for end in ends:
        try:
            end()
        except Exception as error:
            if first is None:
                first = error
            else:
                first.add_note(f"at the end, too: {type(error).__name__}: {error}")
    if first is not after and first is not None:
        raise first


@contextmanager
def ending(*ends: Callable[[], object]) -> Iterator[None]:
    """Carry out all ends behind a block; an error of the block is raised, whatever fails then."""
    try:
        yield
    except BaseException as error:
        end_all(*ends, after=error)
        raise
    end_all(*ends)


class Running(ABC):
    """A context manager: what has been started is stopped, also if the start fails halfway."""

    @abstractmethod
    def start(self) -> None:
        """Start everything."""

    @abstractmethod
    def stop(self) -> None:
        """Stop what has been started."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            end_all(self.stop, after=error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_all(self.stop, after=error)
