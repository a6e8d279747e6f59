"""TCP conversations with ``harness.echo``: who is seen at the other end, and does it go on."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ryu_apps.testbed.harness import echo
from ryu_apps.testbed.harness.shell import Namespace, end, wait_until

#: Seconds for an answer: segments that are lost while a VM moves are said again after 1, 3 and 7 s.
PATIENCE = 20.0


class EchoServer:
    """``harness.echo`` inside a VM."""

    def __init__(self, namespace: Namespace, port: int, folder: Path) -> None:
        log = folder / f"{namespace.name}-echo-{port}.log"
        command = [sys.executable, "-S", "-E", str(Path(echo.__file__)), str(port)]
        self._process = namespace.popen(*command, log=log)
        wait_until(lambda: "listening" in log.read_text(encoding="utf-8"), f"echo server in {namespace.name}")

    def signal(self, number: int) -> None:
        """Send a signal to the process (stop and continue, with its VM)."""
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """End it."""
        end(self._process)


class Talk:
    """One connection to an echo server.

    Attributes:
        own: address and port at this end.
        seen_as: address and port of this end as the server sees them.
        peer: address and port of the other end as this end sees them.
    """

    def __init__(self, namespace: Namespace, address: str, port: int, own_port: int = 0) -> None:
        """Connect, from a port of this end or from any, and hear the greeting.

        Raises:
            OSError: refused, reset or no answer in time.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._stream = namespace.socket(family, socket.SOCK_STREAM)
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._stream.settimeout(PATIENCE)
        try:
            if own_port:
                self._stream.bind(("", own_port))
            self._stream.connect((address, port))
            self._said = self._stream.makefile("rb")
            seen, _, seen_port = self._line().partition(" ")
        except OSError:
            self._stream.close()
            raise
        self.own: tuple[str, int] = self._stream.getsockname()[:2]
        self.peer: tuple[str, int] = self._stream.getpeername()[:2]
        self.seen_as = seen, int(seen_port)

    def echoes(self) -> bool:
        """Return True if the other end echoes what it receives.

        Raises:
            OSError: reset, or no answer in time.
        """
        said = f"{time.monotonic()}"
        self._stream.sendall(f"{said}\n".encode())
        return self._line() == said

    def says_again(self, octets: int) -> bool:
        """Return True if the other end echoes so many octets, in any number of segments.

        Raises:
            OSError: reset, or no answer in time.
        """
        said = "x" * octets
        self._stream.sendall(f"{said}\n".encode())
        return self._line() == said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        """Leave without a goodbye: the port can be used again at once."""
        self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Say goodbye."""
        self._said.close()
        self._stream.close()

    def _line(self) -> str:
        line = self._said.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("closed by the other end")
        return line.decode().strip()


@dataclass(slots=True)
class Visits:
    """Short conversations, one after the other, in some threads, until told to stop.

    Attributes:
        namespace, address, port: from where to whom.
        done: when each that went well began, and who it was: (monotonic seconds, address, port).
        failed: when each that did not began, and why not.
    """

    namespace: Namespace
    address: str
    port: int
    done: list[tuple[float, str, int]] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, abreast: int = 4) -> None:
        """Begin."""
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(abreast)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let those under way end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    def since(self, moment: float) -> int:
        """Number of successful conversations that began after an instant."""
        return sum(began > moment for began, _, _ in list(self.done))

    def _visit(self) -> None:
        while not self._stopping.wait(0.01):
            began = time.monotonic()
            try:
                talk = Talk(self.namespace, self.address, self.port)
                if not talk.echoes() or talk.seen_as[0] != talk.own[0]:
                    raise OSError(f"another answer than expected, seen as {talk.seen_as}")
                self.done.append((began, *talk.own))
                talk.close()
            except OSError as error:
                self.failed.append((began, repr(error)))
