"""A bridge on a fake clock whose REST interface is served over HTTP, for commands that are its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from webob import Request

from ryu_apps.rest.application import respond
from tests.worlds.rest import RestWorld, unhurried


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def served(world: RestWorld, asked: Callable[[Request], None] = lambda request: None) -> Iterator[str]:
    """Serve a bridge on the loopback; yields its URL.

    Args:
        asked: called with each request before it is answered.
    """

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        request = Request(environ)
        asked(request)
        response = respond(
            request,
            bridge=lambda: world,
            clock=lambda: world.now,
            pause=lambda seconds: None,
            limit=unhurried,
        )
        answered: Iterable[bytes] = response(environ, start)
        return answered

    with make_server("127.0.0.1", 0, answer, handler_class=_Silent) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
