"""Relays between a bridge and what it talks to: servers of its store, other pods.  They can be cut, and hold octets."""

from __future__ import annotations

import socket
import threading
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path

from ryu_apps.testbed.harness.running import Running


class Relay(Running):
    """Accepts connections, and joins each with one to a server.

    Attributes:
        cut_off: connections end, and new ones are closed at once.
        answers_lost: what the server says gets no further.
        gate: not set: what the client says waits here, and ``held`` is set when there is something.
    """

    def __init__(self) -> None:
        self.cut_off = self.answers_lost = False
        self.gate, self.held = threading.Event(), threading.Event()
        self.gate.set()
        self._listener: socket.socket | None = None
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @abstractmethod
    def _listen(self) -> socket.socket:
        """Return a socket that listens."""

    @abstractmethod
    def _dial(self) -> socket.socket:
        """Return a connection to the server."""

    def start(self) -> None:
        """Listen."""
        self._listener = self._listen()
        self._spawn(self._accept)

    def stop(self) -> None:
        """End the relay and its connections; no thread is left."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.cut()
        self.gate.set()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End all connections, and let none through until :meth:`heal`."""
        self.cut_off = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let connections through again, with all that they carry."""
        self.cut_off = self.answers_lost = False
        self.held.clear()
        self.gate.set()

    def hold(self) -> None:
        """Let nothing through that clients say, until :meth:`heal`."""
        self.gate.clear()

    def _spawn(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    if self.cut_off:
                        raise OSError
                    server = self._dial()
                except OSError:
                    client.close()
                    continue
                self._ends = [end for end in self._ends if end.fileno() >= 0] + [client, server]
                self._spawn(self._carry, client, server)
                self._spawn(self._carry, server, client, True)

    def _carry(self, source: socket.socket, sink: socket.socket, answers: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not answers and not self.gate.is_set():
                    self.held.set()
                    self.gate.wait()
                if not (answers and self.answers_lost):
                    sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class StoreRelay(Relay):
    """A UNIX socket that leads to another one.

    Attributes:
        remote: as a client of OVSDB names it, ``unix:PATH``.
    """

    def __init__(self, path: Path, target: str) -> None:
        """
        Args:
            path: of the socket.
            target: as a client of OVSDB names it.
        """
        super().__init__()
        self.remote = f"unix:{path}"
        self._path = path
        self._target = target.removeprefix("unix:")

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen(16)
        return listener

    def _dial(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
        except OSError:
            server.close()
            raise
        return server


class PeerRelay(Relay):
    """A TCP port of the loopback that leads to another one.

    Attributes:
        url: of the server behind it.
    """

    def __init__(self, port: int, target: int) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{port}/"
        self._port = port
        self._target = target

    def _listen(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", self._port), backlog=16)

    def _dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._target))
