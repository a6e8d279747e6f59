"""A controller that is stopped, or kept busy by REST clients, takes no VSI off the network.

Timers are such that a station waits 16 s for an answer while the bridge expects a keep-alive every 8 s: what expires,
expires by the bridge's own fault.  Two of the stations are unmodified lldpads.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from mininet_tests.test_overload import Probe, figure, rounds
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.faults.hostile import reading
from ryu_apps.testbed.guests import running
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, wait_until
from ryu_apps.testbed.harness.station import HypervisorStation, LldpadStation, VdptoolMode, numbered
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import two_switch

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

TIMERS = Timers(rwd=20, rka=19)
KEEP_ALIVE = agree(TIMERS, TIMERS).keep_alive_timeout
REAL = ("hv1", "hv5")
EMULATED = ("hv2", "hv3", "hv6", "hv7")
#: Seconds: more than the keep-alive timeout.
STOP = KEEP_ALIVE + 2
#: Seconds: more than the interval of keep-alives, and not so long that switches give the controller up.
SHORT_STOP = agree(TIMERS, TIMERS).reinit_keep_alive + 1
#: Seconds after a stop in which frames may still be reported as dropped, less than the interval of keep-alives.
DROPS_REPORTED = 4.0
#: VSIs of all emulated stations, while clients read; the number of the first, above those of other guests.
MANY, FIRST = 300, 0x1000
READING = 4.0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    fabric = quick(two_switch.fabric(8), TIMERS)
    folder = tmp_path_factory.mktemp("slow")
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),)))

    def station(loop: StationLoop, namespace: Namespace, interface: str, folder: Path) -> HypervisorStation:
        if namespace.name in REAL:
            return LldpadStation(namespace, interface, folder)
        return EmulatedStation(loop, namespace, interface, folder, TIMERS)

    with inside(), closing(StationLoop()) as loop:
        cluster = Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=partial(station, loop))
        with cluster:
            yield cluster


@contextmanager
def holding(cluster: Cluster, hypervisors: tuple[str, ...], count: int) -> Iterator[set[str]]:
    """So many VSIs, evenly at these hypervisors; they are still there at the end, and gone afterwards."""
    places = [(number, hypervisors[number % len(hypervisors)]) for number in range(FIRST, FIRST + count)]
    vsis = {number: numbered(number, 1, 1, two_switch.NATIVE_VLAN) for number, _ in places}
    for number, place in places:
        for mode in (VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE):
            answer = cluster.hypervisors[place].station.request(mode, vsis[number])
            assert answer.granted, f"{place}: {answer.reason}"
    yield {vsi.uuid for vsi in vsis.values()}
    assert all(
        cluster.hypervisors[place].station.holds(VdptoolMode.ASSOCIATE, vsis[number]) for number, place in places
    )
    for number, place in places:
        assert cluster.hypervisors[place].station.request(VdptoolMode.DEASSOCIATE, vsis[number]).granted


def stop(cluster: Cluster, seconds: float) -> None:
    """The controller does not run for so long."""
    os.kill(cluster.controller.pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(cluster.controller.pid, signal.SIGCONT)


def deadlines(cluster: Cluster) -> dict[str, float]:
    """Keep-alive deadlines of the VSIs, Unix time."""
    found = cluster.controller.get("/evb/vsis")
    return {listed["vsi"]: listed["attachments"][0]["deadline"] for listed in found if listed["owner"]}


def wait_repeated(cluster: Cluster, vsis: set[str], settled: float = 0.1) -> None:
    """Every VSI has a keep-alive of its own after this; none is lost meanwhile.

    Deadlines that only move because the bridge has missed something do so within ``settled`` seconds.
    """
    begun = time.time()
    fresh = begun + KEEP_ALIVE + settled

    def repeated() -> bool:
        found = deadlines(cluster)
        assert vsis <= set(found), f"{len(vsis - set(found))} of {len(vsis)} VSIs are gone"
        return all(found[vsi] > fresh for vsi in vsis)

    wait_until(repeated, "a keep-alive of every VSI", 2 * PATIENCE, pause=0.1)


def test_a_stop_longer_than_the_keep_alive_time_costs_nothing(slow: Cluster, tmp_path: Path) -> None:
    with ExitStack() as stack:
        real = stack.enter_context(holding(slow, REAL, 4))
        one, other = (stack.enter_context(running(slow, n, at)) for n, at in ((101, "hv2"), (102, "hv6")))
        with Probe(one, other, tmp_path) as probe:
            stop(slow, STOP)
            wait_repeated(slow, real | set(deadlines(slow)))
        assert (probe.lost, probe.sent > 100) == (0, True)
    missed = [
        event["detail"]["seconds"] for event in slow.controller.get("/evb/events") if event["kind"] == "bridge.missed"
    ]
    assert max(missed) > STOP / 2


def test_a_stop_in_which_more_keep_alives_come_than_are_kept_costs_nothing(slow: Cluster) -> None:
    """Stations of 75 VSIs each send 300 frames meanwhile; of a port 64 are kept, and the others are dropped unread."""
    with holding(slow, EMULATED, MANY) as vsis:
        stop(slow, SHORT_STOP)
        wait_repeated(slow, vsis, DROPS_REPORTED)


def test_clients_that_read_all_the_time_cost_nothing(slow: Cluster) -> None:
    quiet = rounds(slow, "hv8", 5)
    with holding(slow, EMULATED, MANY) as vsis, reading("/evb/events", "/evb/vsis", "/evb/status", "/metrics"):
        finish = time.monotonic() + READING
        busy: list[float] = []
        while time.monotonic() < finish:
            busy += rounds(slow, "hv8", 5, times=3)
        wait_repeated(slow, vsis)
    print()
    print(figure("quiet", quiet))
    print(figure("with REST clients", busy))
