"""The HTTP client against a server of raw octets: redirections, sizes, times, tokens, certificates."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest

from ryu_apps.http_client import ElsewhereError, RefusedError, Request, exchange, lines
from ryu_apps.testbed.harness.rest_secrets import certify

LIMIT = 30.0


@dataclass(frozen=True)
class Limits:
    """As a VSI manager or a pod of the configuration."""

    timeout: float = LIMIT
    max_size: int = 100
    ca_file: str | None = None
    token_file: str | None = None


def answered(status: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}", "", "")
    return "\r\n".join(lines).encode() + body


def moved(status: int, target: str) -> bytes:
    return answered(f"{status} Moved", f"Location: {target}")


@dataclass
class Raw:
    """A server that gives each connection the next of some answers; ``heads`` are the requests, ``{own}`` its port."""

    answers: list[bytes]
    holds: bool = False
    context: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://127.0.0.1:{self.server.getsockname()[1]}/start?a=b"

    def _serve(self) -> None:
        with suppress(OSError):
            for answer in self.answers:
                connection, _ = self.server.accept()
                connection.settimeout(LIMIT)
                with suppress(OSError):
                    self._answer(connection, answer)
                connection.close()

    def _answer(self, connection: socket.socket, answer: bytes) -> None:
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(10_000)
        self.heads.append(head.decode())
        connection.sendall(answer.replace(b"{own}", str(self.server.getsockname()[1]).encode()))
        if self.holds:
            self.over.wait(LIMIT)
        connection.close()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join()

    @property
    def paths(self) -> list[str]:
        return [head.split()[1] for head in self.heads]


@contextmanager
def serving(*answers: bytes, holds: bool = False, context: ssl.SSLContext | None = None) -> Iterator[Raw]:
    made = Raw(list(answers), holds, context)
    try:
        yield made
    finally:
        made.close()


def get(server: Raw, limits: Limits | None = None, base: Path = Path(), deadline: float | None = None) -> bytes | None:
    return exchange(base, limits or Limits(), Request("GET", server.url), deadline).body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirection_on_the_same_host_is_followed_with_its_query(status: int) -> None:
    with serving(moved(status, "/there?c=d"), moved(status, "here"), answered("200 OK", body=b"found")) as server:
        assert get(server) == b"found"
    assert server.paths == ["/start?a=b", "/there?c=d", "/here"]


@pytest.mark.parametrize("target", ["http://127.0.0.2:{own}/", "https://127.0.0.1:{own}/", "http://127.0.0.1:{port}/"])
def test_redirection_elsewhere_is_not_followed(target: str) -> None:
    with serving(answered("200 OK")) as other:
        port = other.server.getsockname()[1]
        with serving(moved(307, target.replace("{port}", str(port)))) as server, pytest.raises(ElsewhereError):
            get(server)
        assert other.heads == []


def test_redirections_have_a_bound() -> None:
    again = moved(302, "/start?a=b")
    with serving(again, again, again, answered("200 OK", body=b"found")) as server:
        assert get(server) == b"found"
    with serving(again, again, again, again) as server, pytest.raises(RefusedError, match="more than 3 redirections"):
        get(server)


def test_answers_have_a_bound() -> None:
    for size, expected in ((100, b"x" * 100), (101, None), (100_000, None)):
        with serving(answered("200 OK", body=b"x" * size)) as server:
            assert get(server) == expected


def test_answer_without_an_end_is_read_up_to_the_bound() -> None:
    with serving(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200, holds=True) as server:
        assert get(server, Limits(timeout=5.0)) is None


@pytest.mark.parametrize("status", ["201 Created", "404 Not Found", "500 Internal Server Error"])
def test_body_of_a_success_alone_is_read(status: str) -> None:
    with serving(answered(status, "ETag: x", "Last-Modified: y", body=b"found")) as server:
        answer = exchange(Path(), Limits(), Request("GET", server.url))
    assert (str(answer.status), answer.body, answer.etag, answer.last_modified) == (status[:3], None, "x", "y")


def test_answer_that_ends_too_early_is_none() -> None:
    short = answered("200 OK", body=b"found", length=9)
    with serving(short) as server, pytest.raises(RefusedError, match="ends 4 octets too early"):
        get(server)


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfo"])
def test_answer_that_does_not_come_is_waited_for_until_the_deadline(part: bytes) -> None:
    with serving(part, holds=True) as server, pytest.raises((RefusedError, HTTPException, OSError)):
        get(server, deadline=0.2)
    with serving(part, holds=True) as server, pytest.raises(TimeoutError):
        get(server, Limits(timeout=0.2))


def test_answer_that_ends_with_the_connection_is_no_answer_when_the_deadline_has_ended_it() -> None:
    open_end = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfo"
    with serving(open_end, holds=True) as server, pytest.raises(RefusedError, match=r"no end within 0\.2 s"):
        get(server, deadline=0.2)
    with serving(open_end) as server:
        assert get(server, deadline=LIMIT) == b"fo"


def test_token_is_sent_as_it_is_in_the_file_and_not_to_another_host(tmp_path: Path) -> None:
    limits = Limits(token_file="token")
    with serving(answered("200 OK"), answered("200 OK")) as server:
        for token in ("first", "x" * 2000):
            (tmp_path / "token").write_text(f"{token}\n", encoding="ascii")
            get(server, limits, tmp_path)
    assert "Authorization: Bearer first\r\n" in server.heads[0]
    assert f"Authorization: Bearer {'x' * 1000}\r\n" in server.heads[1]
    (tmp_path / "token").unlink()
    with serving(answered("200 OK")) as server, pytest.raises(FileNotFoundError):
        get(server, limits, tmp_path)
    assert server.heads == []


def test_request_has_its_method_body_and_headers() -> None:
    with serving(answered("200 OK")) as server:
        exchange(Path(), Limits(), Request("PUT", server.url, {"If-Match": "x"}, b"{}"))
    assert server.heads[0].startswith("PUT /start?a=b HTTP/1.1\r\n") and "If-Match: x\r\n" in server.heads[0]
    assert "Content-Length: 2\r\n" in server.heads[0]


def test_server_is_asked_only_if_its_certificate_is_trusted(tmp_path: Path) -> None:
    for name in ("own", "other"):
        certify(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
    with serving(answered("200 OK", body=b"found"), context=context) as server:
        assert get(server, Limits(ca_file="own.pem"), tmp_path) == b"found"
    for ca_file in ("other.pem", None):
        with serving(answered("200 OK"), context=context) as server, pytest.raises(ssl.SSLCertVerificationError):
            get(server, Limits(ca_file=ca_file), tmp_path)
        assert server.heads == []
    with serving(answered("200 OK"), context=context) as server, pytest.raises(ssl.SSLCertVerificationError):
        exchange(tmp_path, Limits(ca_file="own.pem"), Request("GET", server.url.replace("127.0.0.1", "localhost")))


def test_lines_have_a_bound_and_a_status() -> None:
    def stream(*answers: bytes, **given: bool) -> tuple[list[bytes], str]:
        found: list[bytes] = []
        with serving(*answers, **given) as server:
            try:
                found.extend(lines(Path(), Limits(timeout=0.5), Request("GET", server.url), 5))
            except (RefusedError, OSError) as error:
                return found, str(error)
        assert server.paths == ["/start?a=b"]
        return found, ""

    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert stream(head + b"one\nfive\n") == ([b"one\n", b"five\n"], "")
    assert stream(head + b"one\nseven\n") == ([b"one\n"], "a line of more than 5 octets")
    assert stream(answered("503 Service Unavailable", body=b"one\n")) == ([], "HTTP 503 Service Unavailable")
    assert stream(head + b"one\n", holds=True) == ([b"one\n"], "timed out")
