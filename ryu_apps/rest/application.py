"""HTTP at the edge of the resources: a webob request in, a webob response out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice

from webob import Request, Response

from ryu_apps.rest.bridge import Bridge, Reply, RestError
from ryu_apps.rest.resources import Plain, find

#: Items of a long list that are written in one go.
_PIECE = 100


def respond(
    request: Request, bridge: Callable[[], Bridge | None], clock: Callable[[], float], pause: Callable[[], None]
) -> Response:
    """Serve one request.

    Args:
        bridge: finds the running bridge; None: there is none.
        clock: monotonic seconds.
        pause: called between the pieces of a long answer, so that switches need not wait for it.
    """
    try:
        return _served(request, bridge, clock, pause)
    except RestError as error:
        response = _json(error.status, {"error": error.reason})
        response.headers.update(error.headers)
        return response


def _served(
    request: Request, bridge: Callable[[], Bridge | None], clock: Callable[[], float], pause: Callable[[], None]
) -> Response:
    try:
        called = find(request.method, request.path_info, list(request.GET.items()))
    except UnicodeDecodeError:
        raise RestError(400, "the URL is not UTF-8") from None
    running = bridge()
    if running is None:
        raise RestError(503, "evb_bridge is not loaded")
    match called.view(running, clock(), **called.parameters):
        case Plain(content_type, body):
            return Response(body=body, headers={"Content-Type": content_type})
        case Reply(status, body):
            return _json(status, body)
        case Iterator() as items:
            pieces = _pieces(items, pause)
            return Response(app_iter=pieces, content_type="application/json")
        case body:
            return _json(200, body)


def _json(status: int, body: object) -> Response:
    return Response(json_body=body, status=status, content_type="application/json")


def _pieces(items: Iterator[object], pause: Callable[[], None]) -> Iterator[bytes]:
    """A JSON array, some items at a time."""
    opening = b"["
    while piece := list(islice(items, _PIECE)):
        yield opening + json.dumps(piece)[1:-1].encode()
        opening = b", "
        pause()
    yield b"]" if opening == b", " else b"[]"
