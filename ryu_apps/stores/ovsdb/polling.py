"""Waiting for descriptors: with those above 1,023 too, where no green thread would be held up."""

import select

from eventlet.patcher import is_monkey_patched
from ovs.poller import Poller


def new_poller() -> Poller:
    """Return a poller for one wait of a store's thread.

    The library waits by ``select()``, which knows no descriptor above 1,023: in a process with a thousand sockets each
    wait fails.  eventlet's own ``select`` has no such limit, and ``poll()`` would stop its loop.
    """
    poller = Poller()
    if not is_monkey_patched("select"):
        poller.poll = select.poll()
    return poller
