"""The southbound inside plain Ryu, beside ofctl_rest: the short cut is not noticed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.interop.private_ovs import PrivateOvs, inside, wait_for
from tests.interop.southbound_app import READER

ROOT = Path(__file__).parents[2]
OPENFLOW_PORT, REST_PORT = 6653, 8080
#: What southbound_app punts.
ETH_TYPE = 0x88B5
#: In an installed checkout evbridge's hook is there already; a bare one needs the import.
LAUNCH = "from ryu_apps import compat; from ryu.cmd.manager import main; main()"
PUNTED = f"dl_type={ETH_TYPE:#06x}"
#: Seconds after which a station says it again, and how often.
PATIENCE, ATTEMPTS = 1.0, 15


class Ryu:
    """A ryu-manager in the namespace of an Open vSwitch."""

    def __init__(self, ovs: PrivateOvs, log: Path, *apps: str, reader: str = "evbridge") -> None:
        command = ["ip", "netns", "exec", ovs.namespace, sys.executable, "-c", LAUNCH, *apps]
        self._ovs = ovs
        self._log = log
        environment = os.environ | {"PYTHONPATH": str(ROOT), READER: reader}
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=120)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> object:
        with inside(self._ovs.namespace), urlopen(f"http://127.0.0.1:{REST_PORT}{path}", timeout=120) as answer:
            return json.load(answer)

    def serves(self) -> bool:
        try:
            self.get("/stats/switches")
        except URLError:
            return False
        return True


@pytest.fixture(params=["evbridge", "ryu"], ids=["short cut", "Ryu's reader"])
def ryu(private_ovs: PrivateOvs, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Ryu]:
    apps = "tests.interop.southbound_app", "ryu.app.ofctl_rest"
    started = Ryu(private_ovs, tmp_path / "ryu.log", *apps, reader=request.param)
    wait_for(started.serves, "REST")
    yield started
    started.stop()


@pytest.fixture
def station(private_ovs: PrivateOvs, bridge: str, ryu: Ryu) -> Iterator[socket.socket]:
    """The far end of port 1 of a bridge that the app controls."""
    far = f"far-{bridge}"
    private_ovs.add_veth(bridge, 1, f"near-{bridge}", far)
    private_ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW_PORT}")
    wait_for(lambda: any(PUNTED in flow for flow in private_ovs.flows(bridge)), "punting rule")
    with inside(private_ovs.namespace):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_TYPE))
    end.bind((far, ETH_TYPE))
    end.settimeout(PATIENCE)
    with end:
        yield end


def exchange(station: socket.socket, rules: int, number: int = 0) -> bytes:
    """Send a frame that asks for so many rules and wait for it to come back.

    Said again as ECP does: the rule that punts is in the table before the datapath has dropped the flow it
    had cached when there was none.
    """
    frame = bytes.fromhex("0180c2000000525400000001") + ETH_TYPE.to_bytes(2)
    frame += bytes([rules]) + number.to_bytes(2) + bytes(45)
    for _ in range(ATTEMPTS):
        station.send(frame)
        with suppress(TimeoutError):
            while (answer := station.recv(2000)) != frame:
                assert answer[14:17] <= frame[14:17]
            return answer
    raise TimeoutError(f"no answer to {ATTEMPTS} frames")


def test_a_frame_is_answered_after_the_switch_has_changed(
    ryu: Ryu, private_ovs: PrivateOvs, bridge: str, station: socket.socket
) -> None:
    for rules in (0, 1, 4, 4, 200):
        exchange(station, rules)
        written = [flow for flow in private_ovs.flows(bridge) if "table=10" in flow]
        assert len(written) >= rules
    assert "Traceback" not in ryu.log


def test_ofctl_rest_shows_the_same_rules(ryu: Ryu, bridge: str, station: socket.socket) -> None:
    exchange(station, 3)
    dpid = int(bridge[2:])
    assert dpid in ryu.get("/stats/switches")
    shown = ryu.get(f"/stats/flow/{dpid}")[str(dpid)]
    assert sorted(flow["match"].get("metadata", 0) for flow in shown if flow["table_id"] == 10) == [0, 1, 2]
    assert "Traceback" not in ryu.log


def test_ofctl_rest_shows_what_ryu_cannot_print(
    ryu: Ryu, private_ovs: PrivateOvs, bridge: str, station: socket.socket
) -> None:
    exchange(station, 1)
    learns = ["learn(table=9,eth_src,load:1->reg0[0])", "learn(table=9,limit=3,result_dst=reg1[0],eth_src)"]
    actions = [
        *learns,
        "load:5->reg0[3..5]",
        "load:0->NXM_OF_IN_PORT[]",
        "fin_timeout(idle_timeout=5)",
        "resubmit(,60)",
    ]
    flow = f"table=50,tcp,tcp_flags=+syn,reg3=7,actions={','.join(actions)}"
    private_ovs.ofctl("add-flow", bridge, flow)
    dpid = int(bridge[2:])
    (shown,) = [flow for flow in ryu.get(f"/stats/flow/{dpid}")[str(dpid)] if flow["table_id"] == 50]
    kinds = [action.partition(":")[0] for action in shown["actions"]]
    assert kinds == ["NX_LEARN", "NX_LEARN", "NX_LOAD", "NX_LOAD", "NX_FIN_TIMEOUT", "NX_RESUBMIT"]
    assert "Traceback" not in ryu.log


def test_others_get_their_answers_while_we_are_busy(ryu: Ryu, bridge: str, station: socket.socket) -> None:
    dpid = int(bridge[2:])
    for number in range(20):
        exchange(station, 100, number)
        assert ryu.get(f"/stats/port/{dpid}")[str(dpid)]
        exchange(station, 2, number)


def test_a_switch_that_comes_back_is_taken_up_again(
    ryu: Ryu, private_ovs: PrivateOvs, bridge: str, station: socket.socket
) -> None:
    exchange(station, 1)
    private_ovs.vsctl("del-controller", bridge)
    private_ovs.ofctl("del-flows", bridge)
    private_ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW_PORT}")
    wait_for(lambda: any(PUNTED in flow for flow in private_ovs.flows(bridge)), "punting rule")
    exchange(station, 1, 1)
    assert "Traceback" not in ryu.log
