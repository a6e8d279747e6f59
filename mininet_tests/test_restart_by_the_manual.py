"""The controller is killed or stopped, and all is as docs/running.rst says: commands, unit, timers.

The commands are read from the page and typed, so that page and test cannot differ.  Stations are unmodified
lldpads that propose the shortest timers of all tests; in force is therefore what the bridge proposes by default.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.probes import Flow, Prober, UdpNotes, judge, settle
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi, numbered
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HOMES = {"hv1": 1, "hv2": 2, "hv5": 3, "hv6": 4}
#: Two, which take 7 s.  A third would fall on the keep-alives, after 10.5 s, and the stop leaves little of the
#: stations' response wait of 15.8 s.
RESTARTS = 2
#: Seconds for which the controller is stopped at last: so long that switches give it up, or are about to.
STOP = 10.0
#: Seconds: a station that waits for an answer in vain drops the VSI after 15.8, and repeats what it holds after 10.5.
PATIENCE = 25


def page(heading: str) -> str:
    """The first block of commands below a heading of the manual's page."""
    text = (CHECKOUT / "docs" / "running.rst").read_text(encoding="utf-8")
    found = re.search(rf"^{heading}\n-+\n(?:.*\n)*?::\n\n((?: {{4}}.*\n|\n)+)", text, re.MULTILINE)
    assert found, heading
    return re.sub(r"^ {4}", "", found[1], flags=re.MULTILINE)


def restart_pause() -> float:
    """Seconds for which systemd waits before it starts the controller again."""
    unit = (CHECKOUT / "contrib" / "evbridge.service").read_text(encoding="utf-8")
    found = re.search(r"^RestartSec=(\d+)$", unit, re.MULTILINE)
    assert found
    return float(found[1])


class ByTheManual(Controller):
    """The controller as an operator starts it."""

    def start(self, apps: tuple[str, ...] = APPS) -> None:
        command = page("Starting the bridge").split("[")[0].replace("evbridge.yaml", str(self.config))
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command.split(), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    fabric = two_switch.fabric()
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),), "state"))
    with inside():
        built = Cluster(fabric, two_switch.END_SYSTEMS, tmp_path, config)
        built.controller = ByTheManual(built.controller.config, tmp_path)
        with built:
            for switch in fabric.switches.values():
                # Mininet sets a max_backoff of its own, at a controller that this replaces.
                commands = page("A bridge of Open vSwitch").replace("br0", switch.name)
                commands = re.sub(r"datapath-id=\w+", f"datapath-id={switch.dpid:016x}", commands)
                run(["sh", "-e", "-c", re.sub(r"\beth(\d)", rf"{switch.name}-eth\1", commands)])
            built.controller.wait_connected(len(fabric.switches))
            yield built


def guest(number: int) -> tuple[NamespaceVm, VdptoolVsi]:
    one = numbered(number, 1, 1, two_switch.NATIVE_VLAN)
    mac = one.filters[0].partition("-")[2]
    vsi = VdptoolVsi(one.uuid, 1, 1, one.filters, f"10.0.100.{100 + number}")
    return NamespaceVm(f"vm{number}", mac, f"10.0.100.{100 + number}"), vsi


def refreshed(cluster: Cluster) -> dict[str, float]:
    """VSI -> when it expires unless it is repeated, Unix time."""
    found = cluster.controller.get("/evb/vsis")
    return {listed["vsi"]: listed["attachments"][0]["deadline"] for listed in found if listed["owner"]}


def test_no_restart_and_no_stop_costs_a_vsi_or_a_packet(cluster: Cluster, tmp_path: Path) -> None:
    # One switch as the manual has it, the other with Open vSwitch's own backoff, which grows with each restart.
    run(["ovs-vsctl", "clear", "controller", "s2", "max_backoff"])
    guests = {home: guest(number) for home, number in HOMES.items()}
    for home, (vm, vsi) in guests.items():
        cluster.boot(vm, home)
        station = cluster.hypervisors[home].station
        assert station.request(VdptoolMode.PREASSOCIATE_RR, vsi).granted
        assert station.request(VdptoolMode.ASSOCIATE, vsi).granted
    vms = [vm for vm, _ in guests.values()]
    flows = [Flow(f"f{n}", "udp", vms[n].name, vms[-1 - n].name, 443, 0.01, True) for n in (0, 1)]
    probers = {vm.name: Prober(vm.name, vm.namespace, vm.ip, tmp_path) for vm in vms}
    peers = {vm.name: vm.ip for vm in vms}
    for name, prober in probers.items():
        prober.start([flow for flow in flows if name in (flow.vm, flow.host)], peers)
    for prober in probers.values():
        prober.wait_heard()
    begun = time.monotonic()
    for _ in range(RESTARTS):
        cluster.controller.kill()
        time.sleep(restart_pause())  # what the unit says
        cluster.controller.start()
        cluster.controller.wait_connected(2)
    os.kill(cluster.controller.pid, signal.SIGSTOP)
    time.sleep(STOP)
    os.kill(cluster.controller.pid, signal.SIGCONT)
    cluster.controller.wait_connected(2)
    before = refreshed(cluster)
    assert set(before) == {vsi.uuid for _, vsi in guests.values()}

    def all_repeated() -> bool:
        now = refreshed(cluster)
        assert set(now) == set(before), "a VSI is gone"
        return all(now[vsi] > before[vsi] + 1 for vsi in before)

    wait_until(all_repeated, "a keep-alive of every VSI", PATIENCE, pause=0.2)
    finish = time.monotonic()
    settle(probers.values())
    for home, (_, vsi) in guests.items():
        assert cluster.hypervisors[home].station.holds(VdptoolMode.ASSOCIATE, vsi), home
    notes = {name: prober.stop() for name, prober in probers.items()}
    for flow in flows:
        here, there = notes[flow.vm][flow.name], notes[flow.host][flow.name]
        assert isinstance(here, UdpNotes) and isinstance(there, UdpNotes)
        windows = [judge(*ends, begun, begun, finish) for ends in ((here, there), (there, here))]
        assert [(window.lost, window.sent > 100) for window in windows] == [(0, True)] * 2
