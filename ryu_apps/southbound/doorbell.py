"""Waiting for a socket that has something to read, again and again, cheaply.

Every time eventlet waits for a socket it registers it with the kernel, sets a timer, and takes back
both.  A :class:`ReadinessWaiter` registers once and keeps one timer that is moved only when it goes off.
"""

from __future__ import annotations

from typing import Any

from eventlet import getcurrent, hubs


class ReadinessWaiter:
    """Readiness of one socket; at most one green thread may wait at a time.

    Args:
        fileno: of the socket.
        timeout: how long to wait at most, in seconds; None: for ever.
    """

    def __init__(self, fileno: int, timeout: float | None) -> None:
        self._fileno = fileno
        self._timeout = timeout
        self._hub = hubs.get_hub()
        self._listener: Any = None
        self._timer: Any = None
        self._waiting: Any = None
        self._since = 0.0

    def wait(self) -> None:
        """Return when the socket has something to read, or has failed.

        Raises:
            TimeoutError: nothing came in time.
        """
        if self._listener is None:
            self._listener = self._hub.add(self._hub.READ, self._fileno, self._ring, self._break, None)
        self._since = self._hub.clock()
        if self._timer is None and self._timeout is not None:
            self._timer = self._hub.schedule_call_global(self._timeout, self._expire)
        self._waiting = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._waiting = None

    def close(self) -> None:
        """Take the socket back from the kernel's list; to be called before the socket is closed."""
        self._unhook()
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self, fileno: int) -> None:
        if self._waiting is not None:
            self._waiting.switch()
        else:
            # Level-triggered: without removal, epoll would report the socket on every turn until it is read.
            self._unhook()

    def _break(self, error: BaseException) -> None:
        self._listener = None
        if self._waiting is not None:
            self._waiting.throw(error)

    def _expire(self) -> None:
        self._timer = None
        assert self._timeout is not None
        left = self._since + self._timeout - self._hub.clock()
        if self._waiting is None:
            return
        if left > 0:
            self._timer = self._hub.schedule_call_global(left, self._expire)
        else:
            self._waiting.throw(TimeoutError("nothing to read"))

    def _unhook(self) -> None:
        if self._listener is not None:
            self._hub.remove(self._listener)
            self._listener = None
