"""Tests of effort count the calls of an action, whatever ran before."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import pytest

from tests.worlds.effort import calls


class Node:
    """A node that is garbage as soon as nothing else names it, and waits for a collection."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def left_behind() -> Iterator[None]:
    """Garbage of an earlier test that is known by weak references, and what is called at each collection."""

    def collected(phase: str, info: object) -> None:
        """Do nothing: the call is what counts."""

    gc.callbacks.append(collected)
    known = WeakKeyDictionary((Node(), None) for _ in range(100))
    yield
    gc.callbacks.remove(collected)
    known.clear()


def test_the_collection_of_what_others_have_left_is_no_call(left_behind: None) -> None:
    kept: list[list[object]] = []

    def action() -> None:
        # More containers than start a collection.
        while len(kept) < 10 * gc.get_threshold()[0]:
            kept.append([])

    assert gc.isenabled()
    # The action itself.
    assert calls(action) == 1
    assert gc.isenabled()
