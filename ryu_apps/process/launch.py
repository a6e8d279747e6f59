"""``python -m ryu_apps.process.launch``: ``ryu-manager`` as ``evbridge run`` starts it.

The order matters: signals first, since what follows takes a second; then eventlet patches the interpreter, while there
is nothing yet that it would miss; then Ryu.
"""

from __future__ import annotations

import sys
import warnings

from ryu_apps.process.interrupts import ENDING, end_at_once


def launch() -> None:
    """Run ``ryu-manager`` with this process's command line."""
    end_at_once(*ENDING)
    patch()
    from ryu_apps.process.ryu_manager import manage

    manage(sys.argv[1:])


def patch(threads: bool = True) -> None:
    """Have eventlet patch the interpreter, and say nothing about it.

    Args:
        threads: those of Python are green threads.
    """
    # What eventlet says whenever it is imported, that it is deprecated, is for those who choose it: Ryu has.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    # Ryu patches after it has imported half of the standard library: eventlet then complains of an RLock.
    eventlet.monkey_patch(thread=threads)


if __name__ == "__main__":
    launch()
