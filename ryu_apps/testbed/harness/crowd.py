"""One end of many TCP connections at once.  Runs as a process of its own, standard library only.

Started in the namespace of a VM or of an end system, stopped and continued with its VM.  Takes one
order a line on its standard input and answers each with one line of JSON:

* ``listen PORT``: accept connections at this port.
* ``open COUNT ADDRESS PORT``: so many more connections; answers with how many there are when they stand.
* ``beat``: send a numbered beat over every connection, the newest first.
* ``report``: what each connection has heard, by the client's port: the last beat, when, and what broke it.

Only the end with the order ``beat`` sends; the other one just receives, which is the connection that a firewall
that has lost its state never lets through again.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time

_BEAT = struct.Struct("!Q")
#: Seconds for which a connection is waited for: four repetitions of a lost SYN, after 1, 3, 7 and 15 s.
_PATIENCE = 30.0
#: So many segments go at once, and then none for so many seconds; more overflow the queues of a switch.
_BURST, _PAUSE = 20, 0.001
#: On and zero seconds: closing a socket resets its connection, so none outlives its end in the kernel or a proxy.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class CrowdConnection:
    """One connection, known by the port of its client."""

    def __init__(self, stream: socket.socket, client: int) -> None:
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.stream = stream
        self.client = client
        self.beat, self.heard, self.broken, self._rest = 0, 0.0, "", b""

    def send(self, number: int) -> None:
        try:
            self.stream.send(_BEAT.pack(number))
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = self.broken or str(error)

    def receive(self) -> bool:
        """Read what has arrived; return False once the connection is broken."""
        try:
            data = self.stream.recv(65536)
        except BlockingIOError:
            return True
        except OSError as error:
            self.broken = self.broken or str(error)
            return False
        if not data:
            self.broken = self.broken or "closed by the other end"
            return False
        data = self._rest + data
        whole = len(data) - len(data) % _BEAT.size
        self._rest = data[whole:]
        if whole:
            (self.beat,), self.heard = _BEAT.unpack(data[whole - _BEAT.size : whole]), time.monotonic()
        return True


class Crowd:
    """All connections of this end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.order)
        self.connections: list[CrowdConnection] = []
        self.number = 0
        self._text = b""

    def run(self) -> None:
        while True:
            for key, _ in self.selector.select():
                key.data()

    def order(self) -> None:
        data = os.read(0, 65536)
        if not data:
            sys.exit()
        self._text += data
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            verb, *arguments = line.decode().split()
            answer = getattr(self, verb)(*arguments)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    def listen(self, port: str) -> bool:
        listener = socket.create_server((self.address, int(port)), backlog=4096)
        listener.setblocking(False)

        def accept() -> None:
            while True:
                try:
                    stream, peer = listener.accept()
                except BlockingIOError:
                    return
                self._adopt(CrowdConnection(stream, peer[1]))

        self.selector.register(listener, selectors.EVENT_READ, accept)
        return True

    def open(self, count: str, address: str, port: str) -> int:
        waiting: dict[int, socket.socket] = {}
        for number in range(1, int(count) + 1):
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            stream.setblocking(False)
            stream.bind((self.address, 0))
            stream.connect_ex((address, int(port)))
            waiting[stream.fileno()] = stream
            self._pause_after(number)
        with selectors.DefaultSelector() as ready:
            for stream in waiting.values():
                ready.register(stream, selectors.EVENT_WRITE)
            deadline = time.monotonic() + _PATIENCE
            while waiting and time.monotonic() < deadline:
                for key, _ in ready.select(0.1):
                    ready.unregister(key.fileobj)
                    stream = waiting.pop(key.fd)
                    if not stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        self._adopt(CrowdConnection(stream, stream.getsockname()[1]))
        return len(self.connections)

    def beat(self) -> int:
        self.number += 1
        for place, connection in enumerate(reversed(self.connections), 1):
            connection.send(self.number)
            self._pause_after(place)
        return self.number

    def report(self) -> dict[int, list[object]]:
        return {
            connection.client: [connection.beat, connection.heard, connection.broken] for connection in self.connections
        }

    @staticmethod
    def _pause_after(count: int) -> None:
        if count % _BURST == 0:
            time.sleep(_PAUSE)

    def _adopt(self, connection: CrowdConnection) -> None:
        self.connections.append(connection)

        def receive() -> None:
            if not connection.receive():
                self.selector.unregister(connection.stream)

        self.selector.register(connection.stream, selectors.EVENT_READ, receive)


if __name__ == "__main__":
    Crowd(sys.argv[1]).run()
