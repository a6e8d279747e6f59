"""A leader's host that does not answer, which says nothing about the leader's process."""

from __future__ import annotations

import json
import socket

import eventlet
import pytest
from eventlet.green import socket as green

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.leader_watch import LeaderWatch
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run

pytestmark = pytest.mark.privileged

LIMIT = 30.0


def dropped() -> int:
    """Packets that the rule has dropped."""
    listed = json.loads(run(["nft", "--json", "list", "table", "inet", "silent"]))
    rules = [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
    return int(next(part["counter"]["packets"] for part in rules[0]["expr"] if "counter" in part))


def test_silence_of_the_host_is_no_report_and_its_refusal_is_one() -> None:
    gone: list[int] = []
    watch = LeaderWatch(gone.append)
    with inside(), eventlet.Timeout(LIMIT):
        try:
            server = green.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", 0))
            server.listen()
            port = server.getsockname()[1]
            watch.follow(7, f"http://127.0.0.1:{port}/")
            connection, _ = server.accept()
            run(
                ["nft", "-f", "-"],
                "table inet silent { chain input { type filter hook input priority 0;"
                f" tcp dport {port} tcp flags & (syn | ack) == syn counter drop; }}; }}\n",
            )
            server.close()
            connection.close()
            # One for each connection, and one more if it is repeated.
            while dropped() < 4:
                eventlet.sleep(0.05)
            assert gone == []
            run(["nft", "delete", "table", "inet", "silent"])
            while not gone:
                eventlet.sleep(0.05)
            assert gone == [7]
        finally:
            watch.follow(0, "")
            eventlet.sleep(0)
