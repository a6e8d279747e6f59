"""Notifications to systemd from a service of ``Type=notify`` (sd_notify(3)); none without systemd."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

#: Signs of life in the time in which one is expected.
_SIGNS = 3


class Supervisor:
    """Datagrams to the socket that the environment names.

    Args:
        environment: of this process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._socket: socket.socket | None = None
        self._interval: float | None = None
        self._due = 0.0
        self._is_ready = False
        address = environment.get("NOTIFY_SOCKET")
        if not address:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        # An abstract address is written with an "@".
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = int(environment.get("WATCHDOG_USEC", "0"))
            self._interval = microseconds / 1e6 / _SIGNS if microseconds else None

    def tell(self, state: str) -> None:
        """Say how the service is: ``READY=1``, ``STOPPING=1``."""
        self._is_ready |= state == "READY=1"
        if self._socket is not None:
            # That nothing is heard is for systemd to act upon.
            with suppress(OSError):
                self._socket.sendto(state.encode(), self._address)

    def reload(self, read: Callable[[], Sequence[str]]) -> None:
        """Have the operator's files read again, and say so: ``systemctl status`` shows the first mistake.

        Args:
            read: reads them, and returns the mistakes because of which nothing has changed.
        """
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        outcome = "the reload has failed; the log has the reason"
        try:
            mistakes = read()
            outcome = f"refused: {mistakes[0]}" if mistakes else ""
        finally:
            self.tell(f"READY=1\nSTATUS={outcome}")

    def alive(self, now: float) -> None:
        """A sign of life, if one is due at ``now``, monotonic seconds; none before the service is ready."""
        if self._interval is not None and self._is_ready and now >= self._due:
            self._due = now + self._interval
            self.tell("WATCHDOG=1")
