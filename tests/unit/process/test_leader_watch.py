"""The look at a leader's process, with real sockets and processes."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import eventlet
import pytest
from eventlet.green import socket as green

from ryu_apps import compat, leader_watch  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.leader_watch import LeaderWatch

LIMIT = 20.0
#: Listens at a port that it prints, and says nothing to anybody.
SERVER = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""


class Watched:
    """A watch, and what it has reported."""

    def __init__(self) -> None:
        self.gone: list[int] = []
        self.watch = LeaderWatch(self.gone.append)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = monotonic() + LIMIT
        while not condition():
            assert monotonic() < deadline, self.gone
            eventlet.sleep(0.005)


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.watch.follow(0, "")


class Listener:
    """A server in this process; ``accepted`` has its connections."""

    def __init__(self, port: int = 0) -> None:
        self.server = green.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", port))
        self.accepted: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def accept(self) -> socket.socket:
        with eventlet.Timeout(LIMIT):
            connection, _ = self.server.accept()
        self.accepted.append(connection)
        return connection

    def close(self) -> None:
        """As the end of the process: the listening socket first, as it is the oldest."""
        self.server.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    made.server.listen()
    yield made
    made.close()


@contextmanager
def refusals() -> Iterator[list[object]]:
    """Addresses that were connected to; there is one more when the answer of the one before has been looked at."""
    tries: list[object] = []
    real = green.socket.connect

    def counted(self: object, address: object) -> object:
        tries.append(address)
        return real(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(green.socket, "connect", counted)
        yield tries


def test_process_that_was_killed_is_reported_once(watched: Watched) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        established = f" 0100007F:{port:04X} 01 "
        watched.watch.follow(7, f"https://127.0.0.1:{port}/")

        def met() -> bool:
            with open("/proc/net/tcp", encoding="ascii") as table:
                return any(established in line for line in table)

        watched.until(met)
        assert watched.gone == []
        process.kill()
    watched.until(lambda: watched.gone)
    with refusals() as tries:
        watched.until(lambda: len(tries) >= 2)
    assert watched.gone == [7]
    # A listener of another process at that place is met, which the report of another loss shows.
    again = Listener(port)
    again.server.listen()
    again.accept()
    assert watched.gone == [7]
    again.close()
    watched.until(lambda: len(watched.gone) == 2)


@pytest.mark.parametrize("end", ["closed", "reset", "spoken to"])
def test_connection_that_the_server_ends_is_made_again_and_nothing_is_reported(
    watched: Watched, listener: Listener, end: str
) -> None:
    watched.watch.follow(7, listener.url)
    for _ in range(4):
        connection = listener.accept()
        if end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end == "spoken to":
            connection.send(b"HTTP/1.1 408 Request Timeout\r\n")
        else:
            connection.close()
    assert watched.gone == []
    listener.close()
    watched.until(lambda: watched.gone == [7])


def test_server_that_ends_every_connection_is_asked_seldom(watched: Watched, listener: Listener) -> None:
    watched.watch.follow(7, listener.url)
    ends: list[float] = []
    for _ in range(7):
        connection = listener.accept()
        ends.append(monotonic())
        connection.close()
    # Twice as long each time: 0.02 + 0.04 + 0.08 + 0.16 + 0.32 + 0.64 s.
    assert ends[-1] - ends[0] > 1.2


def test_process_that_was_never_met_is_not_reported(watched: Watched) -> None:
    waiting = Listener()
    with refusals() as tries:
        watched.watch.follow(7, waiting.url)
        watched.until(lambda: len(tries) >= 2)
    assert watched.gone == []
    waiting.server.listen()
    waiting.accept()
    waiting.close()
    watched.until(lambda: watched.gone == [7])


def test_process_before_is_not_watched_any_more(watched: Watched, listener: Listener) -> None:
    former = Listener()
    former.server.listen()
    watched.watch.follow(7, former.url)
    old = former.accept()
    old.settimeout(LIMIT)
    watched.watch.follow(8, listener.url)
    listener.accept()
    assert old.recv(1) == b""
    former.close()
    # The same again is no new connection.
    watched.watch.follow(8, listener.url)
    listener.close()
    watched.until(lambda: watched.gone == [8])


def test_name_with_several_addresses_is_followed_to_the_one_that_listens(
    watched: Watched, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = Listener()
    places = [(socket.AF_INET, made.server.getsockname()) for made in (deaf, listener)]
    monkeypatch.setattr(leader_watch, "_places", lambda url: places)
    watched.watch.follow(7, "http://leader/")
    listener.accept()
    assert watched.gone == []
    listener.close()
    watched.until(lambda: watched.gone == [7])


@pytest.mark.parametrize(
    "url", ["http://", "http://127.0.0.1:99999/", "ftp://127.0.0.1/", "http://[", "http://no.invalid/"]
)
def test_url_that_leads_nowhere_is_harmless(watched: Watched, listener: Listener, url: str) -> None:
    watched.watch.follow(6, url)
    eventlet.sleep(0)
    watched.watch.follow(7, listener.url)
    listener.accept()
    assert watched.gone == []
