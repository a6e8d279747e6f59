"""The relay to the REST of controllers, in the process of a cluster that has very many descriptors open."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ryu_apps.testbed.harness.nms import ManagementRelay

#: Descriptors that ``select`` can name.
_OF_SELECT = 1024


class OwnNamespace:
    """The network of this process, in which the relay has another port."""

    def __init__(self) -> None:
        self.listener: socket.socket | None = None

    def run(self, *command: str) -> str:
        return ""

    def socket(self, family: int, kind: int) -> socket.socket:
        outer = self

        class AnyPort(socket.socket):
            def bind(self, address: object) -> None:
                super().bind(("127.0.0.1", 0))
                outer.listener = self

        return AnyPort(family, kind)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Fails where so many are not allowed.
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * _OF_SELECT, hard))
    with ExitStack() as stack:
        while stack.enter_context(open(os.devnull)).fileno() <= _OF_SELECT:
            pass
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_octets_pass_both_ways_when_descriptors_have_large_numbers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        namespace = OwnNamespace()
        relay = ManagementRelay(namespace, server.getsockname()[1])  # type: ignore[arg-type]
        assert namespace.listener is not None
        with socket.create_connection(namespace.listener.getsockname(), 60) as client, server.accept()[0] as inside:
            inside.settimeout(60)
            assert client.fileno() > _OF_SELECT
            client.sendall(b"question")
            assert inside.recv(100) == b"question"
            inside.sendall(b"answer")
            assert client.recv(100) == b"answer"
        relay.close()
