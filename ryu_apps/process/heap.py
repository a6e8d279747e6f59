"""A large heap that is looked through as seldom as can be: nobody waits a second for the garbage collector.

A full collection looks at every object that can be part of a cycle; with thousands of VSIs that takes longer than
stations wait.  What survives one is therefore set aside and not looked at again.  Records of VSIs are no part of any
cycle, so they go when nobody refers to them, set aside or not.
"""

from __future__ import annotations

import gc

_FULL = 2


def freeze_gc() -> None:
    """From now on; what is there already is taken for a survivor."""
    gc.collect()
    gc.freeze()
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def _set_aside(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == _FULL:
        gc.freeze()
