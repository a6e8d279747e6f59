"""Relays between one bridge and the servers of its store, which can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

from ryu_apps.testbed.harness.running import Running


class StoreRelay(Running):
    """Listens at a UNIX socket, and joins each connection with one to another UNIX socket.

    Attributes:
        cut_off: connections end, and new ones are closed at once.
    """

    def __init__(self, path: Path, target: str) -> None:
        """
        Args:
            path: of the socket.
            target: as a client of OVSDB names it, ``unix:PATH``.
        """
        self.remote = f"unix:{path}"
        self.cut_off = False
        self._path = path
        self._target = target.removeprefix("unix:")
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Listen."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(16)
        self._spawn(self._accept)

    def stop(self) -> None:
        """End the relay and its connections; no thread is left."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End all connections, and let none through until :meth:`heal`."""
        self.cut_off = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let connections through again."""
        self.cut_off = False

    def _spawn(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    if self.cut_off:
                        raise OSError
                    server.connect(self._target)
                except OSError:
                    client.close()
                    server.close()
                    continue
                self._ends = [end for end in self._ends if end.fileno() >= 0] + [client, server]
                self._spawn(self._carry, client, server)
                self._spawn(self._carry, server, client)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
