"""A client's TCP connection to a guest: numbered beats there, back, or both, for as long as it is open."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, wait_until
from ryu_apps.testbed.hypervisors.guest_image import SOURCE

_INTERVAL = 0.01
#: Seconds in which TCP repeats what was lost while a guest moved, and a guest under software emulation answers.
_PATIENCE = 90.0
_BEAT = struct.Struct("!Q")
# linux/sockios.h: octets that the other end has not acknowledged.
_SIOCOUTQ = 0x5411


class GuestStream:
    """One connection to a port of a guest; a context manager.

    Attributes:
        heard: time at which octets came in last, monotonic seconds.
        failure: reason why the connection has ended; empty while it goes on.
    """

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        """Connect; beats are sent unless the guest is the only one that sends at this port.

        Raises:
            OSError: refused, or no answer.
        """
        self.heard = 0.0
        self.failure = ""
        self._stream = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._stream.settimeout(PATIENCE)
        self._stream.connect((address, port))
        self._stream.setblocking(False)
        self._sends = port != SOURCE
        self._number = self._sent = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"guest stream {port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._stream.close()

    def wait_heard(self, what: str) -> None:
        """Wait for octets that arrive later than now, for as long as TCP may need to repeat what was lost."""
        now = time.monotonic()
        wait_until(lambda: self.failure or self.heard > now, f"{what}: octets of the guest", _PATIENCE)
        assert not self.failure, self.failure

    def wait_acknowledged(self, what: str) -> None:
        """Wait until the guest has acknowledged octets that are sent later than now."""
        sent = self._sent

        def is_acknowledged() -> bool:
            # Never all: on a busy machine the next beat is sent before the last one is acknowledged.
            return bool(self.failure) or self._sent - self._outstanding() > sent

        wait_until(is_acknowledged, f"{what}: acknowledgements of the guest", _PATIENCE)
        assert not self.failure, self.failure

    def _outstanding(self) -> int:
        octets = fcntl.ioctl(self._stream, _SIOCOUTQ, bytes(4))
        return int.from_bytes(octets, "little")

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._stopping.is_set():
                readable, _, _ = select.select([self._stream], [], [], _INTERVAL)
                if readable:
                    self._receive()
                if self._sends and time.monotonic() >= due:
                    due = time.monotonic() + _INTERVAL
                    self._send()
        except OSError as error:
            self.failure = str(error)

    def _receive(self) -> None:
        if not self._stream.recv(65536):
            raise OSError("closed by the guest")
        self.heard = time.monotonic()

    def _send(self) -> None:
        try:
            self._sent += self._stream.send(_BEAT.pack(self._number))
            self._number += 1
        except BlockingIOError:
            pass  # the window is full: no acknowledgement comes at the moment
