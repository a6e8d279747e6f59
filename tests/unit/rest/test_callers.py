"""Under which names a server may be asked."""

from __future__ import annotations

import pytest
from webob import Request

from ryu_apps.rest.callers import NotServedError, screen


def asked(host: str, arrived_at: str) -> int:
    """The status with which a GET is refused, 200 if it is not."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": arrived_at, "HTTP_HOST": host}
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
