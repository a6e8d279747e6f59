"""Octets that are no OpenFlow, or no message that anybody knows: a line a second, no traceback."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet

# isort: split
from ryu.ofproto import ofproto_parser
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

from ryu_apps.southbound import complaints

UNKNOWN = bytes((4, 77, 0, 8, 0, 0, 0, 9))


class Datapath(SimpleNamespace):
    """As much of one as a parser looks at."""

    ofproto, ofproto_parser = ofp, parser
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def datapath(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Datapath:
    monkeypatch.setattr(ofproto_parser, "msg", ofproto_parser.msg)
    complaints.install()
    caplog.set_level(logging.INFO)
    return Datapath(address=("192.0.2.1", 1234))


def read(datapath: Datapath, octets: bytes) -> object:
    header = ofproto_parser.header(octets)
    return ofproto_parser.msg(datapath, *header, octets)


def test_forty_thousand_unknown_messages_are_one_line(datapath: Datapath, caplog: pytest.LogCaptureFixture) -> None:
    datapath.complaints = complaints.Complaints(lambda: 7.0)
    assert {read(datapath, UNKNOWN) for _ in range(40_000)} == {None}
    assert len(caplog.messages) == 1
    assert "type 77" in caplog.messages[0] and "Traceback" not in caplog.text
    assert not datapath.closed


def test_the_next_second_has_its_line_and_the_number(datapath: Datapath, caplog: pytest.LogCaptureFixture) -> None:
    now = iter([0.0, 0.1, 0.2, 1.3])
    datapath.complaints = complaints.Complaints(lambda: next(now))
    for _ in range(4):
        read(datapath, UNKNOWN)
    assert len(caplog.messages) == 2 and "2 more like it" in caplog.messages[1]


@pytest.mark.parametrize("kind", range(36))
def test_a_body_of_rubbish_is_told_and_dropped(datapath: Datapath, caplog: pytest.LogCaptureFixture, kind: int) -> None:
    read(datapath, bytes((4, kind, 0, 24, 0, 0, 0, 9)) + bytes(range(240, 256)))
    assert "Traceback" not in caplog.text and len(caplog.messages) <= 1


def test_what_is_no_openflow_is_closed(datapath: Datapath, caplog: pytest.LogCaptureFixture) -> None:
    assert read(datapath, b"GET / HTTP/1.1\r\n") is None
    assert datapath.closed and len(caplog.messages) == 1


def test_what_is_openflow_is_read(datapath: Datapath) -> None:
    assert isinstance(read(datapath, bytes((4, ofp.OFPT_ECHO_REQUEST, 0, 8, 0, 0, 0, 9))), parser.OFPEchoRequest)
