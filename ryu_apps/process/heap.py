"""Rare collections of a large heap, so that the garbage collector does not stall the event loop for a second.

A full collection looks at every object that can be part of a cycle; with thousands of VSIs that takes longer than
stations wait.  What survives one is therefore set aside and not looked at again.  Records of VSIs are no part of any
cycle, so they are freed with their last reference, frozen or not.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_FULL = 2


def freeze_gc() -> None:
    """From now on; what is there already is taken for a survivor."""
    gc.collect()
    gc.freeze()
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def set_aside() -> None:
    """Set aside what is there, without a look at it."""
    gc.freeze()


def collect() -> None:
    """Look now at all that was set aside, since much of it is not used any more.

    Nothing else is done meanwhile: 0.1 ms for each VSI of an engine.
    """
    gc.unfreeze()
    gc.collect()


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing inside, where many objects are made and all are kept: looking for garbage took half the time.

    They are set aside at the end, unseen: the next collection would look at them all, for more than a second.  A cycle
    that is garbage by then stays for ever; there are few, and this is entered upon an operator's request.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _set_aside(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == _FULL:
        gc.freeze()
