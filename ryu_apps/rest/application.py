"""HTTP at the edge of the resources: a webob request in, a webob response out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

from webob import Request, Response

from ryu_apps.evb.policy import validate
from ryu_apps.evb.policy.validate import BodyError, Strict
from ryu_apps.evb.store import StoreError
from ryu_apps.rest.answers import Page, body_of
from ryu_apps.rest.bridge import Aside, Bridge, Document, Later, Negotiated, PlainText, Reply, RestError
from ryu_apps.rest.callers import MAX_BODY, Limit, NotServedError, abandon, read_body, screen, status_line
from ryu_apps.rest.cluster import refer_to_leader
from ryu_apps.rest.event_ids import event_id
from ryu_apps.rest.guard import ADMITTED, CALLER
from ryu_apps.rest.resource import LAG
from ryu_apps.rest.resources import Called, allowed, find, longest_body
from ryu_apps.rest.stream import CONTENT_TYPE, EventFeed, EventStream

_JSON = "application/json"
#: Seconds to wait for an answer of switches, and between two looks whether it has come.
PATIENCE, _NAP = 1.0, 0.001

#: Calls a function, perhaps in another thread, and returns its result.
Elsewhere = Callable[[Callable[[], object]], object]


def _here(work: Callable[[], object]) -> object:
    return work()


def respond(
    request: Request,
    bridge: Callable[[], Bridge | None],
    clock: Callable[[], float],
    pause: Callable[[float], None],
    limit: Limit,
    elsewhere: Elsewhere = _here,
) -> Response:
    """Serve one request.

    Args:
        bridge: returns the running bridge, or None.
        clock: monotonic seconds.
        pause: yields to other green threads for so many seconds: before an answer is built, between the slices of a
            long one, and until the switches have answered.
        limit: bounds the time in which a body has to arrive.
        elsewhere: calls a function in another thread, while other green threads run.
    """
    running = bridge()
    try:
        screen(request, running.rest.names if running is not None else ())
        octets = read_body(request, limit, _longest_body(request))
        return _served(request, octets, running, clock, pause, elsewhere)
    except NotServedError as refused:
        abandon(request)
        return _json(refused.status, {"error": refused.reason})
    except RestError as error:
        return _json(error.status, {"error": error.reason}, error.headers)


def _served(
    request: Request,
    octets: bytes,
    running: Bridge | None,
    clock: Callable[[], float],
    pause: Callable[[float], None],
    elsewhere: Elsewhere,
) -> Response:
    try:
        if request.method == "OPTIONS":
            return Response(status=204, allow=", ".join(allowed(request.path_info)))
        called = find(request.method, request.path_info, list(request.GET.items()))
    except UnicodeDecodeError:
        raise RestError(400, "the URL is not UTF-8") from None
    if running is None:
        raise RestError(503, "evb_bridge is not loaded")
    if running.starting and not called.resource.early:
        raise RestError(503, "starting: the policies are being read", **{"Retry-After": "1"})
    cluster = None if called.resource.everywhere else running.cluster(clock())
    if cluster is None or cluster.leads:
        return _viewed(request, octets, running, called, clock, pause, elsewhere)
    if not called.resource.followed:
        raise refer_to_leader(cluster, request.path_qs)
    try:
        answer = _viewed(request, octets, running, called, clock, pause, elsewhere)
    except StoreError as error:
        raise RestError(503, f"this standby cannot read the store: {error}", **{"Retry-After": "1"}) from None
    # Of the records, not of the answer: this standby has seen everything that was in the store so long ago.
    answer.headers[LAG] = f"{cluster.silent:.3f}"
    return answer


def _viewed(
    request: Request,
    octets: bytes,
    running: Bridge,
    called: Called,
    clock: Callable[[], float],
    pause: Callable[[float], None],
    elsewhere: Elsewhere,
) -> Response:
    resource = called.resource
    more: dict[str, object] = {}
    if resource.body is not None:
        # A long one takes too long between two frames of stations.
        aside = elsewhere if len(octets) > MAX_BODY else _here
        more["body"] = aside(partial(_body, octets, resource.body))
    if resource.asks_caller:
        more["caller"] = request.environ.get(CALLER)
    pause(0)
    match _found(resource.view(running, clock(), **called.parameters, **more), clock, pause, elsewhere):
        case Negotiated(answer):
            content_type, parts = answer(request.headers.get("Accept", ""))
            response = body_of(parts, pause).response(request, content_type)
            response.vary = ("Accept", "Accept-Encoding")
            return response
        case Document(content_type, body, headers):
            response = body_of([body], pause).response(request, content_type)
            response.headers.update(headers)
            return response
        case PlainText(content_type, body, etag):
            headers = {"Content-Type": content_type}
            return Response(body=body, headers=headers, etag=etag, conditional_response=True)
        case Reply(status, body):
            return _json(status, body)
        case EventFeed() as feed:
            return _stream(request, feed, clock, pause)
        case (Iterator() | list()) as items:
            page = Page(iter(items), called.limit, called.key)
            response = body_of(page.pieces(clock), pause).response(request, _JSON)
            if page.last is not None:
                response.headers["Link"] = f'<{_next(request, page.last)}>; rel="next"'
            return response
        case body if request.method in ("GET", "HEAD"):
            return body_of([_octets(body)], pause).response(request, _JSON)
        case body:
            return _json(200, body)


def _longest_body(request: Request) -> int:
    try:
        return longest_body(request.method, request.path_info)
    except UnicodeDecodeError:
        return MAX_BODY


def _stream(request: Request, feed: EventFeed, clock: Callable[[], float], pause: Callable[[float], None]) -> Response:
    # A browser repeats the URL when it connects again, so that the header is newer than the parameter.
    if (last := request.headers.get("Last-Event-ID")) is not None:
        try:
            feed = replace(feed, after=event_id(last))
        except ValueError as error:
            raise RestError(400, f"Last-Event-ID: {error}") from None
    # Each event is a piece of its own, however short it is.
    request.environ["eventlet.minimum_write_chunk_size"] = 1
    admitted = request.environ.get(ADMITTED, lambda: True)
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-cache"}
    return Response(app_iter=EventStream(feed, admitted, clock, pause), headers=headers)


def _next(request: Request, last: object) -> str:
    """The URL of the part of a list that follows an item."""
    query = [(name, text) for name, text in request.GET.items() if name != "after"]
    return f"{request.path}?{urlencode([*query, ('after', str(last))])}"


def _found(answer: object, clock: Callable[[], float], pause: Callable[[float], None], elsewhere: Elsewhere) -> object:
    """The answer of a view when it is there."""
    match answer:
        case Later():
            return _awaited(answer, clock, pause)
        case Aside(work, then):
            made = elsewhere(work)
            return made if then is None else then(made)
        case _:
            return answer


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


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(body=_octets(body), status=status_line(status), content_type=_JSON)
    response.headers.update(headers or {})
    return response


def _octets(body: object) -> bytes:
    return json.dumps(body).encode() + b"\n"
