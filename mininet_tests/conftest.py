"""One cluster for all tests that leave it as they found it; nothing of it reaches the machine's own network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.config.schema import ReaderText
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.flow_dumps import dump_rules, read_dump
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.controller import APPS
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.raw_frames import CapturedFrame, RawSocket
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import two_switch

CHECKOUT = Path(__file__).resolve().parent.parent
SCENARIOS = CHECKOUT / "mininet_tests" / "scenarios"
#: Expiry after 8 s: on a busy machine stations have been seen to repeat themselves more than 2 s late.  A station waits
#: for an answer for as long as by default: a restart of the controller takes 9 s where Open vSwitch waits before it
#: connects again, and a station that has given up brings its VSI back no more.
SHORT = Timers(rwd=21, rka=19)
Rules = TypeVar("Rules")
#: Rules that VSIs have, by switch, as lines of a dump.
Tables = dict[str, list[str]]


def every_other(rows: Iterable[object], columns: Iterable[object], first: int) -> list[ParameterSet]:
    """All pairs as parameters of a test; those of one colour of a chessboard are for `make soak`.

    Two tests that meet the same pairs, each by another fault, leave no pair out when one begins with 0 and one with 1.

    Args:
        first: column of the first row with which to begin, 0 or 1.
    """
    placed = [(row, column, number + place) for number, row in enumerate(rows) for place, column in enumerate(columns)]
    return [
        pytest.param(row, column, marks=() if place % 2 == first else pytest.mark.soak) for row, column, place in placed
    ]


@pytest.fixture(scope="package")
def private_network() -> Iterator[None]:
    with inside():
        yield


@pytest.fixture(scope="package")
def shared_cluster(private_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    fabric = quick(two_switch.fabric(8), SHORT)
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),)))
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(fabric, two_switch.END_SYSTEMS, folder, config, (*APPS, "ryu.app.ofctl_rest")) as cluster:
        yield cluster


def tables(cluster: Cluster) -> dict[str, list[str]]:
    """Rules and groups of every switch."""
    return {switch.name: dump_rules(switch.name) for switch in cluster.fabric.switches.values()}


def heard_again(wire: RawSocket, send: Callable[[], bytes]) -> CapturedFrame | None:
    """Send until a frame arrives; None: it does not.  Cached drops end within a second, on a busy machine within some.

    Args:
        send: sends it, and returns the octets that it is known by.
    """
    for _ in range(400):
        if (heard := wire.hears(send(), 0.05)) is not None:
            return heard
    return None


def rules_of_vsis(cluster: Cluster) -> Tables:
    """Rules that VSIs have now."""
    dumps = {switch.name: read_dump(dump_flows(switch.name)) for switch in cluster.fabric.switches.values()}
    return {
        name: [
            rule.line for rule in dump if rule.cookie is not None and rule.cookie.kind is not CookieKind.INFRASTRUCTURE
        ]
        for name, dump in dumps.items()
    }


def wait_as_found(read: Callable[[], Rules], before: Rules) -> None:
    """Wait until the rules are as before a test; a failure shows what differs."""
    with suppress(DeadlineError):
        wait_until(lambda: read() == before, "flow tables as before the test", 60.0, pause=0.1)
    assert read() == before, "flow tables are as before the test"


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster without VMs; a test has to leave the flow tables exactly as it found them."""
    before = tables(shared_cluster)
    yield shared_cluster
    wait_as_found(partial(tables, shared_cluster), before)


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Eight hypervisors at two switches, each with ``evbridge station``, for the tests of one module."""
    fabric = quick(two_switch.fabric(8), SHORT)
    config = dump_config(BridgeConfig(fabric, (str(CHECKOUT / "policies"),)))
    folder = tmp_path_factory.mktemp("daemons")
    with inside(), Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=DaemonStation) as cluster:
        yield cluster


def daemon_at(cluster: Cluster, where: str) -> DaemonStation:
    """The station daemon of a hypervisor."""
    found = cluster.hypervisors[where].station
    assert isinstance(found, DaemonStation)
    return found


@contextmanager
def emulated_cluster(
    folder: Path,
    hypervisors: int = 8,
    fabric: Fabric | None = None,
    policies: Path | None = None,
    openflow_reader: ReaderText = "evbridge",
) -> Iterator[Cluster]:
    """A cluster in a network of its own whose stations are ours: up in no time, asked in no time.

    ``fabric`` is that of two switches and so many hypervisors, or one that differs from it in its VLANs;
    ``policies`` is a folder of VSI types beside the shipped ones, ``openflow_reader`` as in evbridge.yaml.
    """
    fabric = quick(fabric or two_switch.fabric(hypervisors), SHORT)
    folders = [CHECKOUT / "policies", *([policies] if policies else [])]
    config = dump_config(BridgeConfig(fabric, tuple(map(str, folders)), openflow_reader=openflow_reader))
    with inside(), closing(StationLoop()) as loop:
        station = partial(EmulatedStation, loop)
        with Cluster(fabric, two_switch.END_SYSTEMS, folder, config, station=station) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The same for the tests of one module."""
    with emulated_cluster(tmp_path_factory.mktemp("emulated")) as cluster:
        yield cluster
