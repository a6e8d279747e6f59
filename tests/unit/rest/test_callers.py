"""Names under which a server may be asked, and requests that a page of another origin may have caused."""

from __future__ import annotations

import pytest
from webob import Request

from ryu_apps.rest.callers import NotServedError, screen

OWN = "127.0.0.1:8080"
OTHER_PAGE = "https://evil.example"


def asked(host: str, arrived_at: str, method: str = "GET", **headers: str) -> int:
    """The status with which a request is refused, 200 if it is not; ``headers``: as in the environment of WSGI."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/", "SERVER_NAME": arrived_at, "HTTP_HOST": host, **headers}
    try:
        screen(Request(environ), ("Evb.example.net", "2001:DB8:0::7"))
    except NotServedError as refused:
        return refused.status
    return 200


@pytest.mark.parametrize(
    ("host", "arrived_at", "status"),
    [
        # What listens on :: sees IPv4 so.
        ("192.0.2.5:8080", "::ffff:192.0.2.5", 200),
        ("192.0.2.6:8080", "::ffff:192.0.2.5", 421),
        ("127.0.0.1", "::ffff:127.0.0.1", 200),
        ("[2001:DB8:0::5]:8080", "2001:db8::5", 200),
        ("[2001:db8::6]", "2001:db8::5", 421),
        ("[2001:db8::7]", "2001:db8::5", 200),
        ("evb.example.NET.:8080", "192.0.2.5", 200),
        ("evb.example.net:http", "192.0.2.5", 421),
        ("[evb.example.net]", "192.0.2.5", 421),
        ("::1", "::1", 421),
        ("[::1", "::1", 421),
        ("[::1],evil.example", "::1", 421),
        ("127.0.0.1:8080, evil.example:8080", "127.0.0.1", 421),
        ("evil.example@127.0.0.1", "127.0.0.1", 421),
    ],
)
def test_a_host_is_known_however_it_is_written_and_no_other_is(host: str, arrived_at: str, status: int) -> None:
    assert asked(host, arrived_at) == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [(OTHER_PAGE, 403), ("null", 403), ("http://127.0.0.1", 403), (f"http://{OWN}", 200), (f"HTTPS://{OWN}", 200)],
)
def test_a_page_of_another_origin_asks_for_nothing(method: str, origin: str, status: int) -> None:
    assert asked(OWN, "127.0.0.1", method, HTTP_ORIGIN=origin) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, 200),
        ({"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "2"}, 415),
        ({"CONTENT_TYPE": "application/x-www-form-urlencoded"}, 415),
        ({"CONTENT_LENGTH": "2"}, 415),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 415),
        ({"CONTENT_TYPE": "application/json; charset=utf-8", "CONTENT_LENGTH": "2"}, 200),
        ({}, 200),
    ],
)
def test_a_change_that_needs_no_preflight_is_refused(headers: dict[str, str], status: int) -> None:
    assert asked(OWN, "127.0.0.1", "POST", **headers) == status
