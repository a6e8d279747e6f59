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
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.harness.capture import Sighting
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS, Controller
from ryu_apps.testbed.harness.probes import Flow, Prober, UdpNotes, judge, settle
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import LldpadStation, VdptoolMode, VdptoolVsi, numbered
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HOMES = {"hv1": 1, "hv2": 2, "hv5": 3, "hv6": 4}
#: The timers in force: stations propose shorter ones.
DEFAULTS = agree(Timers(), Timers())
#: The last is when the keep-alives are due, so that they are lost.
RESTARTS = 3
#: Seconds before the first keep-alive is due at which the last restart begins.
EARLY = 0.5
#: Seconds: a station repeats what it holds 10.5 after an answer, and a switch may take 8 to connect again.
PATIENCE = 60
#: ECP: version 1, a request, of VDP.
VDP_REQUEST = b"\x10\x01"


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


@pytest.fixture
def probers() -> Iterator[dict[str, Prober]]:
    """Ends of flows, by VM; none of their processes outlives a test that fails."""
    found: dict[str, Prober] = {}
    yield found
    for prober in found.values():
        prober.kill()


def guest(number: int) -> tuple[NamespaceVm, VdptoolVsi]:
    one = numbered(number, 1, 1, two_switch.NATIVE_VLAN)
    mac = one.filters[0].partition("-")[2]
    vsi = VdptoolVsi(one.uuid, 1, 1, one.filters, f"10.0.100.{100 + number}")
    return NamespaceVm(f"vm{number}", mac, f"10.0.100.{100 + number}"), vsi


def active(cluster: Cluster) -> set[str]:
    """The VSIs that are active at a port."""
    return {listed["vsi"] for listed in cluster.controller.get("/evb/vsis") if listed["owner"]}


def all_have_repeated(cluster: Cluster, since: float) -> bool:
    """True if every station has sent a request since a time, monotonic seconds."""

    def repeats(sighting: Sighting) -> bool:
        return sighting.outgoing and sighting.t > since and sighting.data[14:16] == VDP_REQUEST

    cluster.watcher.settle()
    return all(cluster.hypervisors[home].tap.matching(repeats) for home in HOMES)


def restart(cluster: Cluster) -> None:
    """Kill the controller; systemd starts it again."""
    cluster.controller.kill()
    time.sleep(restart_pause())  # what the unit says
    cluster.controller.start()
    cluster.controller.wait_connected(2)


@contextmanager
def lldpads_stopped(cluster: Cluster) -> Iterator[None]:
    """No lldpad runs in here."""
    with ExitStack() as stack:
        for home in HOMES:
            station = cluster.hypervisors[home].station
            assert isinstance(station, LldpadStation)
            stack.enter_context(station.stopped())
        yield


def test_no_restart_and_no_stop_costs_a_vsi_or_a_packet(
    cluster: Cluster, probers: dict[str, Prober], tmp_path: Path
) -> None:
    # One switch as the manual has it, the other with Open vSwitch's own backoff, which grows with each restart.
    run(["ovs-vsctl", "clear", "controller", "s2", "max_backoff"])
    guests = {home: guest(number) for home, number in HOMES.items()}
    due = float("inf")
    for home, (vm, vsi) in guests.items():
        cluster.boot(vm, home)
        station = cluster.hypervisors[home].station
        assert station.request(VdptoolMode.PREASSOCIATE_RR, vsi).granted
        associated = station.request(VdptoolMode.ASSOCIATE, vsi)
        assert associated.granted
        due = min(due, associated.answered + DEFAULTS.reinit_keep_alive)
    vms = [vm for vm, _ in guests.values()]
    flows = [Flow(f"f{n}", "udp", vms[n].name, vms[-1 - n].name, 443, 0.01, True) for n in (0, 1)]
    probers |= {vm.name: Prober(vm.name, vm.namespace, vm.ip, tmp_path) for vm in vms}
    peers = {vm.name: vm.ip for vm in vms}
    for name, prober in probers.items():
        prober.start([flow for flow in flows if name in (flow.vm, flow.host)], peers)
    for prober in probers.values():
        prober.wait_heard()
    begun = time.monotonic()
    for _ in range(RESTARTS - 1):
        restart(cluster)
    # Keep-alives while there is no controller: their answers are repeated by the next one.
    time.sleep(max(due - EARLY - time.monotonic(), 0.0))
    killed = time.monotonic()
    cluster.controller.kill()
    time.sleep(restart_pause())
    wait_until(lambda: all_have_repeated(cluster, killed), "keep-alives", PATIENCE, pause=0.1)
    # Nor are the answers read before the controller stops, and what is acknowledged then waits in its sockets.
    with lldpads_stopped(cluster):
        cluster.controller.start()
        cluster.controller.wait_connected(2)
        stopped = time.monotonic()
        os.kill(cluster.controller.pid, signal.SIGSTOP)
    # Keep-alives while it is stopped, and for so long that switches give it up, or are about to.
    wait_until(lambda: all_have_repeated(cluster, stopped), "keep-alives", PATIENCE, pause=0.1)
    continued = time.monotonic()
    os.kill(cluster.controller.pid, signal.SIGCONT)
    everything = {vsi.uuid for _, vsi in guests.values()}

    def all_stay() -> bool:
        assert active(cluster) == everything, "a VSI is gone"
        return all_have_repeated(cluster, continued)

    wait_until(all_stay, "the next keep-alive of every station", PATIENCE, pause=0.2)
    assert active(cluster) == everything
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
