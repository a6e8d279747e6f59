"""A datapath id is one connection's: Open vSwitch and what would like to be it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from tests.interop.evbridge import OPENFLOW, Evbridge, Impostor
from tests.interop.private_ovs import PrivateOvs, wait_for

#: All that a connection is sent which is not a switch.
HANDSHAKE = {ofp.OFPT_HELLO, ofp.OFPT_ECHO_REQUEST, ofp.OFPT_FEATURES_REQUEST}
TARGET = f"tcp:127.0.0.1:{OPENFLOW}"


@pytest.fixture
def evbridge(private_ovs: PrivateOvs, bridge: str, tmp_path: Path) -> Iterator[Evbridge]:
    # Ryu's own echo requests would end what has fallen silent, too, only later.
    (tmp_path / "ryu.conf").write_text("[DEFAULT]\nmaximum_unreplied_echo_requests = 0\n")
    with Evbridge(private_ovs, tmp_path, dpid_of(bridge), f"--config-file={tmp_path}/ryu.conf") as running:
        yield running
    assert "Traceback" not in running.log


def dpid_of(bridge: str) -> int:
    return int(bridge[2:])


def connect(evbridge: Evbridge, bridge: str) -> None:
    evbridge.ovs.vsctl("set-controller", bridge, TARGET, "--", "set", "controller", bridge, "max_backoff=1000")
    wait_for(evbridge.ready, "switch")


def address_of(evbridge: Evbridge) -> str:
    """Source address and port of Open vSwitch's connection."""
    command = ["ip", "netns", "exec", evbridge.ovs.namespace, "ss", "-Htn", f"dport = :{OPENFLOW}"]
    (line,) = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return line.split()[3]


def test_a_second_one_is_refused_while_the_first_answers(evbridge: Evbridge, bridge: str) -> None:
    connect(evbridge, bridge)
    real = address_of(evbridge)
    rogues = []
    for _ in range(3):
        rogue = Impostor(evbridge, dpid_of(bridge))
        rogue.await_end()
        rogue.close()
        assert set(rogue.told) <= HANDSHAKE
        rogues.append(rogue.address)
    assert address_of(evbridge) == real and evbridge.ready()
    assert evbridge.events("switch.down") == []
    # Three attempts are one line.
    (told,) = evbridge.events("switch.impostor")
    assert told["dpid"] == f"{dpid_of(bridge):016x}"
    assert told["detail"] == {"address": rogues[0], "connected": real, "times": 1}
    assert "switch.impostor" in [alarm["kind"] for alarm in evbridge.get("/evb/status")["alarms"]]
    # It still does what it is told: what is taken from it is put back.
    evbridge.ovs.vsctl("set-controller", bridge, TARGET)
    wait_for(evbridge.ready, "switch")


def test_one_that_has_fallen_silent_gives_way(evbridge: Evbridge, bridge: str) -> None:
    # A stranger that was first, and answers nothing.
    rogue = Impostor(evbridge, dpid_of(bridge))
    connect(evbridge, bridge)
    rogue.await_end()
    rogue.close()
    assert evbridge.events("switch.impostor") == []


def test_a_switch_whose_connection_died_unnoticed_comes_back(evbridge: Evbridge, bridge: str) -> None:
    connect(evbridge, bridge)
    old = address_of(evbridge)
    in_namespace = ["ip", "netns", "exec", evbridge.ovs.namespace]
    port = old.rpartition(":")[2]
    rules = "add table inet t; add chain inet t out { type filter hook output priority 0; };"
    rules += f" add rule inet t out tcp sport {port} drop; add rule inet t out tcp dport {port} drop"
    subprocess.run([*in_namespace, "nft", rules], check=True)
    # Open vSwitch gives the connection up and makes a new one; the end of the old one is lost.
    evbridge.ovs.vsctl("del-controller", bridge)
    evbridge.ovs.vsctl("set-controller", bridge, TARGET)
    wait_for(lambda: len(evbridge.events("switch.up")) == 2 and evbridge.ready(), "switch")
    subprocess.run([*in_namespace, "nft", "delete table inet t"], check=True)
    assert evbridge.events("switch.impostor") == []


def test_one_that_is_not_configured_is_closed(evbridge: Evbridge, bridge: str) -> None:
    for _ in range(5):
        rogue = Impostor(evbridge, 0x99)
        rogue.await_end()
        rogue.close()
        assert set(rogue.told) <= HANDSHAKE
    (told,) = evbridge.events("switch.unknown")
    assert told["dpid"] == f"{0x99:016x}" and told["detail"]["address"].startswith("127.0.0.1:")
    assert evbridge.log.count("switch.unknown 0000") == 1


def test_one_connection_is_one_switch(evbridge: Evbridge, bridge: str) -> None:
    rogue = Impostor(evbridge, dpid_of(bridge))
    rogue.send(ofp.OFPT_FEATURES_REPLY, (0x99).to_bytes(8) + bytes(16))
    rogue.await_end()
    rogue.close()
    connect(evbridge, bridge)
