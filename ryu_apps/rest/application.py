"""HTTP at the edge of the resources: a webob request in, a webob response out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice

from webob import Request, Response

from ryu_apps.evb.policy import validate
from ryu_apps.evb.policy.validate import BodyError, Strict
from ryu_apps.rest.bridge import Bridge, Later, PlainText, Reply, RestError
from ryu_apps.rest.callers import Limit, NotServedError, abandon, read_body, screen, status_line
from ryu_apps.rest.resources import find

#: Items of a long list in one slice, and seconds after which a slice ends early: frames of stations wait meanwhile.
_PIECE, _SLICE = 100, 0.002
#: Seconds to wait for an answer of switches, and between two looks whether it has come.
PATIENCE, _NAP = 1.0, 0.001


def respond(
    request: Request,
    bridge: Callable[[], Bridge | None],
    clock: Callable[[], float],
    pause: Callable[[float], None],
    limit: Limit,
) -> Response:
    """Serve one request.

    Args:
        bridge: returns the running bridge, or None.
        clock: monotonic seconds.
        pause: yields to other green threads for so many seconds: before an answer is built, between the slices of a
            long one, and until the switches have answered.
        limit: bounds the time in which a body has to arrive.
    """
    running = bridge()
    try:
        screen(request, running.rest.names if running is not None else ())
        octets = read_body(request, limit)
        return _served(request, octets, running, clock, pause)
    except NotServedError as refused:
        abandon(request)
        return _json(refused.status, {"error": refused.reason})
    except RestError as error:
        response = _json(error.status, {"error": error.reason})
        response.headers.update(error.headers)
        return response


def _served(
    request: Request,
    octets: bytes,
    running: Bridge | None,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> Response:
    try:
        called = find(request.method, request.path_info, list(request.GET.items()))
    except UnicodeDecodeError:
        raise RestError(400, "the URL is not UTF-8") from None
    if running is None:
        raise RestError(503, "evb_bridge is not loaded")
    more = {} if called.body is None else {"body": _body(octets, called.body)}
    pause(0)
    found = called.view(running, clock(), **called.parameters, **more)
    match _awaited(found, clock, pause) if isinstance(found, Later) else found:
        case PlainText(content_type, Iterator() as parts):
            return Response(app_iter=_spread(parts, pause), headers={"Content-Type": content_type})
        case PlainText(content_type, bytes(body), etag):
            return Response(
                body=body, headers={"Content-Type": content_type}, etag=etag, conditional_response=etag is not None
            )
        case Reply(status, body):
            return _json(status, body)
        case Iterator() as items:
            pieces = _spread(_pieces(items, clock), pause)
            return Response(app_iter=pieces, content_type="application/json")
        case body:
            return _json(200, body)


def _awaited(later: Later, clock: Callable[[], float], pause: Callable[[float], None]) -> object:
    deadline = clock() + PATIENCE
    while not later.ready():
        if clock() > deadline:
            raise RestError(504, f"the switches have not answered within {PATIENCE:g} s")
        pause(_NAP)
    return later.answer(clock())


def _body(octets: bytes, model: type[Strict]) -> Strict:
    try:
        return validate.read_body(model, octets)
    except BodyError as error:
        raise RestError(error.status, str(error)) from None


def _json(status: int, body: object) -> Response:
    octets = json.dumps(body).encode() + b"\n"
    return Response(body=octets, status=status_line(status), content_type="application/json")


def _spread(parts: Iterator[bytes], pause: Callable[[float], None]) -> Iterator[bytes]:
    """Yield the parts; other green threads run between two of them."""
    for part in parts:
        yield part
        pause(0)


def _pieces(items: Iterator[object], clock: Callable[[], float]) -> Iterator[bytes]:
    """Yield a JSON array in slices."""
    opening = b"["
    while piece := _piece(items, clock):
        yield opening + ", ".join(piece).encode()
        opening = b", "
    yield b"]\n" if opening == b", " else b"[]\n"


def _piece(items: Iterator[object], clock: Callable[[], float]) -> list[str]:
    """Return the next items as JSON texts: at most ``_PIECE``, and no more after ``_SLICE`` seconds."""
    piece: list[str] = []
    until = clock() + _SLICE
    for item in islice(items, _PIECE):
        piece.append(json.dumps(item))
        if clock() > until:
            break
    return piece
