"""Counters of the kernel as text, and segments that were lost."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.harness.tcp_counters import TcpCounters, parse_snmp

TEXT = """\
Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn InSegs OutSegs RetransSegs InErrs
Tcp: 1 200 120000 -1 90 100 5 0
Udp: InDatagrams
Udp: 7
"""


def test_retransmissions_count_as_sent() -> None:
    assert parse_snmp(TEXT) == TcpCounters(sent=105, received=90, retransmitted=5)


def test_dropped_is_what_was_sent_and_did_not_arrive() -> None:
    passed = TcpCounters(105, 90, 5).since(TcpCounters(5, 5, 1))
    assert passed == TcpCounters(100, 85, 4)
    assert passed.dropped == 15
    assert TcpCounters(3, 4, 0).dropped == 0


def test_a_text_without_tcp_is_refused() -> None:
    with pytest.raises(StopIteration):
        parse_snmp("Ip: Forwarding\nIp: 1\n")
