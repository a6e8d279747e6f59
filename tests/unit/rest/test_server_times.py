"""Times of the web server for an app that waits for a body as long as it takes, as Ryu's own do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import eventlet
import pytest
from eventlet.green import socket
from ryu.app import wsgi

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.rest import bounded
from ryu_apps.rest.server import RestServer, Surroundings

LIMIT = 30.0


def length(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
    """Answer the number of octets of the body."""
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"octets: %d" % len(environ["wsgi.input"].read())]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("HEAD", "BODY", "IDLE"):
        monkeypatch.setattr(bounded, name, 0.2)
    for option, value in (("wsapi_host", "127.0.0.1"), ("wsapi_port", 0)):
        wsgi.CONF.set_override(option, value)
    made = RestServer(length, Surroundings())
    thread = eventlet.spawn(made)
    yield made.listener.server.getsockname()[1]
    thread.kill()
    made.listener.server.close()
    for option in ("wsapi_host", "wsapi_port"):
        wsgi.CONF.clear_override(option)


def test_body_that_does_not_come_in_time_is_not_waited_for(port: int) -> None:
    with eventlet.Timeout(LIMIT), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"octets: 4")


def test_body_that_comes_is_read_whole(port: int) -> None:
    with eventlet.Timeout(LIMIT), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nnine octe")
        assert client.recv(1000).endswith(b"octets: 9")


@pytest.mark.parametrize("sent", [b"", b"POST /app", b"POST /app HTTP/1.1\r\nHost: local"])
def test_head_that_does_not_come_in_time_ends_the_connection(port: int, sent: bytes) -> None:
    with eventlet.Timeout(LIMIT), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(sent)
        assert client.recv(1000) == b""


def test_connection_that_is_idle_behind_an_answer_is_ended(port: int) -> None:
    with eventlet.Timeout(LIMIT), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /app HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert client.recv(1000).endswith(b"octets: 0")
        assert client.recv(1000) == b""
