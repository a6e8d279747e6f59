"""A TCP port of one network namespace that leads to a server in another one.

A socket stays in the namespace in which it was made.  So a program that listens first, and then moves into namespaces
of its own, accepts connections from outside and opens those to the servers inside.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.running import Running

#: Connections at a time; further ones wait.
_MOST = 64
_PIECE = 65_536


class PortInUseError(TestbedError):
    """Something listens at the port already."""


def listen(port: int) -> socket.socket:
    """Listen on the loopback address of the present namespace.

    Raises:
        PortInUseError: the port cannot be had.
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=_MOST)
    except OSError as error:
        raise PortInUseError(f"127.0.0.1:{port}: {error.strerror}; --port has another") from None


class PortRelay(Running):
    """Passes the octets of each accepted connection to a port of the loopback, and back.

    Args:
        listener: from :func:`listen`, in whatever namespace; closed by :meth:`stop`.
        port: of the server, in the namespace of the caller of :meth:`start`.
    """

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener = listener
        self._port = port
        self._room = threading.Semaphore(_MOST)

    def start(self) -> None:
        """Accept connections from now on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Accept no more."""
        # Another thread waits in accept(), which closing alone would not end.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            self._room.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            # A controller that is being started anew refuses: the client sees that its connection ends.
            with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
                back = threading.Thread(target=_pass, args=(server, client), daemon=True)
                back.start()
                _pass(client, server)
                back.join()
        finally:
            self._room.release()


def _pass(origin: socket.socket, target: socket.socket) -> None:
    """Pass octets on until one side ends; the end is passed on as well."""
    with suppress(OSError):
        while octets := origin.recv(_PIECE):
            target.sendall(octets)
    for end in (origin, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
