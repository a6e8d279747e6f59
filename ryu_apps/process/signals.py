"""Signals for green threads.

A handler that Python runs while the event loop waits for sockets cannot make it look up: the loop
goes back to waiting for as long as it had meant to.  A pipe that the system writes to at every signal
can.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping

from eventlet import hubs
from eventlet.greenthread import GreenThread
from eventlet.hubs import trampoline
from ryu.lib import hub

LOG = logging.getLogger(__name__)

#: Seconds that the apps may take to end.
PATIENCE = 2.0

SignalAction = Callable[[], object]


def on_signals(actions: Mapping[int, SignalAction]) -> None:
    """Call an action in a green thread of its own at every signal of its number, at once.

    Signals of a number that come while its action runs count as one.  Once a process.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    bells = {number: hub.Event() for number in actions}
    for number, action in actions.items():
        signal.signal(number, lambda *_: None)
        hub.spawn(_serve, bells[number], action)
    hub.spawn(_listen, reading, bells)


def _listen(reading: int, bells: Mapping[int, hub.Event]) -> None:
    while True:
        trampoline(reading, read=True)
        for number in set(os.read(reading, 4096)) & bells.keys():
            bells[number].set()


def _serve(bell: hub.Event, action: SignalAction) -> None:
    while True:
        bell.wait()
        bell.clear()
        action()


def end_upon(*numbers: signal.Signals) -> dict[int, SignalAction]:
    """Actions that have Ryu close its apps, then end the process by the same signal, as its parent expects."""
    main = hub.getcurrent()

    def end(number: signal.Signals) -> None:
        LOG.info("ending upon %s", number.name)
        atexit.register(_by_default, number)
        hub.spawn_after(PATIENCE, _by_default, number)
        # Ryu's manager waits for its services in the main green thread and ends them upon this.
        hubs.get_hub().schedule_call_global(0, main.throw, KeyboardInterrupt)
        hub.sleep(2 * PATIENCE)

    return {number: lambda number=number: end(number) for number in numbers}  # type: ignore[misc]


def end_with(reason: SystemExit, main: GreenThread) -> None:
    """Have Ryu close its apps, then end the process with a reason.

    Args:
        main: the green thread of Ryu's manager.
    """
    hub.spawn_after(PATIENCE, _regardless, reason)
    hubs.get_hub().schedule_call_global(0, main.throw, reason)


def _regardless(reason: SystemExit) -> None:
    """End the process although an app does not."""
    print(reason, file=sys.stderr, flush=True)
    logging.shutdown()
    os._exit(1)


def _by_default(number: signal.Signals) -> None:
    logging.shutdown()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
