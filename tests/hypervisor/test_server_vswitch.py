"""QEMU guests on taps of the Open vSwitches of two servers, which are switches of the fabric; moved by QMP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.flow_dumps import dump_rules
from ryu_apps.testbed.guests import copies_of_request, who_has
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vswitch import VswitchEdge
from ryu_apps.testbed.hypervisors.domain import Guest
from ryu_apps.testbed.hypervisors.guest_image import ECHO, SOURCE, GuestImage, build_image
from ryu_apps.testbed.hypervisors.guest_stream import GuestStream
from ryu_apps.testbed.hypervisors.qemu import QemuGuest
from ryu_apps.topologies import servers

pytestmark = [pytest.mark.privileged, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
EVBRIDGE = Path(sys.executable).with_name("evbridge")
#: The servers, and their switches.
HERE, THERE = "hv1", "hv2"
SWITCHES = {HERE: "vs1", THERE: "vs2"}
GUEST = Guest("g1", "33333333-2222-4333-8444-000000000101", "52:54:00:cc:01:01", "10.0.100.71", 10, 1)
VSI = {
    "vsi": GUEST.uuid,
    "type": 10,
    "filters": [f"100-{GUEST.mac}"],
    "addresses": [GUEST.ip],
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> GuestImage:
    return build_image(Path(os.environ["EVBRIDGE_GUEST_KERNEL"]), tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, fabric = tmp_path_factory.mktemp("servers"), servers.fabric(2, 0)
    config = dump_config(BridgeConfig(fabric, (str(ROOT / "policies"),)))
    with inside(), Cluster(fabric, servers.END_SYSTEMS, folder, config, station=DaemonStation) as cluster:
        yield cluster


class Rack:
    """The guest's QEMUs: one in which it runs, and one that waits for it."""

    def __init__(self, cluster: Cluster, image: GuestImage, folder: Path) -> None:
        self.cluster, self._image, self._folder = cluster, image, folder
        self.machines: dict[str, QemuGuest] = {}
        self._number = 0

    def start(self, where: str, waits: bool) -> None:
        """Start a QEMU; its tap has a name by the rule of the configuration."""
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        self.machines[where] = QemuGuest(GUEST, self._image, self.cluster.hypervisors[where], folder, waits)

    def tap(self, where: str) -> str:
        edge = self.cluster.hypervisors[where].edge
        assert isinstance(edge, VswitchEdge)
        return edge.tap(GUEST.mac)

    def remove(self, where: str) -> None:
        self.machines.pop(where).remove()

    def remove_all(self) -> None:
        for where in list(self.machines):
            self.remove(where)

    def station(self, where: str) -> DaemonStation:
        found = self.cluster.hypervisors[where].station
        assert isinstance(found, DaemonStation)
        return found

    def call(self, where: str, verb: str, **more: object) -> dict[str, object]:
        described = {key: value for key, value in VSI.items() if key != "vsi"}
        return self.station(where).call(verb, GUEST.uuid, **(described if verb != "release" else {}), **more)

    def active(self) -> list[str]:
        """Servers at whose switches the bridge has the VSI active."""
        known = [vsi for vsi in self.cluster.controller.get("/evb/vsis") if vsi["vsi"] == GUEST.uuid]
        return [at["name"] for vsi in known for at in vsi["attachments"] if at["phase"] == "active"]

    def move(self, source: str, destination: str) -> None:
        """Run ``evbridge station qmp``."""
        ends = [
            *("--source", self.machines[source].qmp, "--source-control", self.station(source).control),
            *("--destination", self.machines[destination].qmp),
            *("--destination-control", self.station(destination).control),
            *("--uri", self.machines[destination].incoming, "--vsi", json.dumps(VSI)),
        ]
        command = [str(EVBRIDGE), "station", "qmp", *map(str, ends)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout

    def heard_from(self, where: str, times: int = 20) -> int:
        """Number of broadcasts that reach the client, of those that come in by the guest's tap at a server."""
        request = who_has(self.cluster.hosts["client"].ip, GUEST.mac, GUEST.ip)
        switch, tap = SWITCHES[where], self.tap(where)
        with copies_of_request(self.cluster, (), request) as copies:
            number = run(["ovs-vsctl", "--timeout=30", "get", "interface", tap, "ofport"]).strip()
            frame = f"in_port={number},packet={request.hex()},actions=table"
            for _ in range(times):
                run(["ovs-ofctl", "-O", "OpenFlow13", "packet-out", switch, frame])
            return copies()["client"]


@pytest.fixture
def site(rack: Cluster, image: GuestImage, tmp_path: Path) -> Iterator[Rack]:
    before = _tables()
    made = Rack(rack, image, tmp_path)
    with ExitStack() as stack:
        stack.callback(lambda: wait_until(lambda: _tables() == before, "flow tables as before the test", 60.0))
        stack.callback(made.remove_all)
        stack.callback(lambda: [made.call(where, "release") for where in (HERE, THERE)])
        yield made


def _tables() -> dict[str, list[str]]:
    return {name: dump_rules(name) for name in ("s1", *SWITCHES.values())}


def test_a_guest_moves_between_the_switches_of_two_servers_and_back(site: Rack) -> None:
    site.start(HERE, waits=False)
    assert site.heard_from(HERE) == 0, "a tap without a VSI passes nothing"
    assert site.call(HERE, "associate")["ok"]
    site.machines[HERE].wait_booted()
    client = site.cluster.hosts["client"].namespace
    with GuestStream(client, GUEST.ip, ECHO) as echo, GuestStream(client, GUEST.ip, SOURCE) as source:
        for old, new in ((HERE, THERE), (THERE, HERE)):
            site.start(new, waits=True)
            assert site.call(new, "reserve", migrating=True)["ok"]
            assert (site.heard_from(new), site.active()) == (0, [old]), "staged, but disabled"
            for stream in (echo, source):
                stream.wait_heard("before the move")
            site.move(old, new)
            site.machines[old].wait_ended()
            assert site.active() == [new]
            assert site.heard_from(old) == 0, "the port that it has left passes nothing"
            assert site.heard_from(new) > 0, "frames are injected as they come in by a tap"
            for stream in (echo, source):
                stream.wait_heard("after the move")
            site.remove(old)
