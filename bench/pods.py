"""Pods of the larger cluster, and the directory that they share: ``python -m bench.pods``.

``bench.pods_page`` makes the tables of the manual from the report.

Four pods of four leaves with real Open vSwitch, a ``ryu-manager`` for each, and emulated stations: what an Associate
costs within a pod and between pods.  The directory alone, with one server and with three, empty and with 320,000
owners: how many claims it bears.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.figures import Spread
from bench.machine import machine
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.ovsdb_cluster import DIRECTORY, OvsdbCluster
from ryu_apps.testbed.harness.pods import Layout, PodsCluster
from ryu_apps.testbed.harness.sandbox import enter
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolAnswer, VdptoolMode, VdptoolVsi, numbered
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import multi_switch

NAMES, LEAVES, SPINES, NODES = "abcd", 4, 2, 16
#: Keep-alives each 84 s, and 10 s for an answer.
TIMERS = Timers(rka=23, rwd=20)
#: VSIs that come and that move within their pods and between them, one at a time; and requests at a time otherwise.
MOVES, AT_ONCE = 200, 32
#: Seconds for which a station repeats a request that is refused: the directory may not answer on a busy machine.
_REPEAT = 60.0
#: VSIs of 10,000 nodes, and seconds for which claims are counted.
OWNERS, SECONDS = 320_000, 5.0
_POLICIES = Path(__file__).parents[1] / "policies" / "web_server"
_TYPE, _STEP = (1, 1), 10_000
#: Owners written at a time: an argument of a command has at most 128 KB.
_PORTION = 500


@dataclass(frozen=True, slots=True)
class Between:
    """Four pods.

    Attributes:
        first_ms: Associate to answer of VSIs that no pod has, the last ones of all.
        within_ms, between_ms: the same of VSIs that move within their pod, and to another one.
        state_ms: Pre-Associate to answer in the other pod, which asks for the state of the VSI.
        gap_ms: from the request to shut the gate, as the former pod has it, until the other one has opened its own.
        at_once_s: until so many moves between pods, all at once, are over.
        memory_kb: resident memory of a bridge for each VSI.
        directory_mb: resident memory of the directory's server.
        refused: requests that were refused, and repeated.
    """

    vsis: int
    first_ms: Spread
    within_ms: Spread
    state_ms: Spread
    between_ms: Spread
    gap_ms: Spread
    at_once: int
    at_once_s: float
    memory_kb: float
    directory_mb: float
    refused: int


@dataclass(frozen=True, slots=True)
class Claims:
    """The directory alone.

    Attributes:
        servers: in Raft mode.
        owners: in it already.
        a_second: claims of four clients that each have 16 under way; ``failed``: those without an answer.
        alone_ms: one claim after the other, of one client.
        server_mb: resident memory of the leader.
    """

    servers: int
    owners: int
    a_second: float
    failed: int
    alone_ms: Spread
    server_mb: float


# --- four pods ------------------------------------------------------------------------------------
def layout() -> Layout:
    """Leaf-spine clusters that are built side by side; there is no link between them."""
    fabrics = {pod: quick(_renamed(pod, number), TIMERS) for number, pod in enumerate(NAMES)}
    together = {dpid: switch for fabric in fabrics.values() for dpid, switch in fabric.switches.items()}
    systems = tuple(system._replace(name=f"{pod}{system.name}") for pod in NAMES for system in multi_switch.END_SYSTEMS)
    return Layout(fabrics, Fabric(together), systems)


def _renamed(pod: str, number: int) -> Fabric:
    def port(interface: Interface) -> Interface:
        peer = interface.peer
        if peer is None:
            return replace(interface, name=f"{pod}{interface.name}")
        return replace(interface, name=f"{pod}-{interface.name}", peer=PortId(number * _STEP + peer.dpid, peer.port_no))

    found = multi_switch.fabric(leaves=LEAVES, spines=SPINES, n=NODES)
    return Fabric(
        {
            number * _STEP + dpid: Switch(
                number * _STEP + dpid,
                f"{pod}-{switch.name}",
                {port_no: port(interface) for port_no, interface in switch.interfaces.items()},
            )
            for dpid, switch in found.switches.items()
        }
    )


class FourPods:
    """The pods under measurement."""

    def __init__(self, cluster: PodsCluster, vsis: int, tell: Callable[[str], None]) -> None:
        """
        Args:
            vsis: of each pod.
        """
        self._cluster, self._vsis = cluster, vsis
        self._tell = tell
        self._nodes = {pod: [f"{pod}hv{number}" for number in range(1, NODES + 1)] for pod in NAMES}
        self._homes: dict[int, tuple[str, str]] = {}
        self._refused = 0

    def measure(self) -> Between:
        """Everything, in one go."""
        empty = self._memory()
        every = range(len(NAMES) * self._vsis)
        self._tell(f"{len(every):,} VSIs associate")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._first, every[:-MOVES]))
        first = [self._first(number) for number in every[-MOVES:]]
        full = self._memory()
        self._tell("VSIs move within their pods")
        within = [self._move(number, self._homes[number][0])[1].milliseconds for number in self._some(MOVES)]
        self._tell("VSIs move between pods")
        staged, between, gaps = [], [], []
        for number in self._some(MOVES):
            source, target = self._homes[number][0], self._next(number)
            stage, associate = self._move(number, target)
            staged.append(stage.milliseconds)
            between.append(associate.milliseconds)
            gaps.append(self._gap(number, source, target, associate.asked))
        self._tell(f"{AT_ONCE} VSIs move between pods at once")
        begun = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: self._move(number, self._next(number)), self._some(AT_ONCE)))
        over = time.monotonic() - begun
        directory = self._cluster.directory
        return Between(
            len(every),
            Spread.of(first),
            Spread.of(within),
            Spread.of(staged),
            Spread.of(between),
            Spread.of(gaps),
            AT_ONCE,
            over,
            (full - empty) / len(every),
            _resident(directory.pid(directory.leader())) / 1024,
            self._refused,
        )

    def _some(self, count: int) -> list[int]:
        """VSIs of all pods and nodes in turn."""
        return [7 * number % len(self._homes) for number in range(count)]

    def _next(self, number: int) -> str:
        return NAMES[(NAMES.index(self._homes[number][0]) + 1) % len(NAMES)]

    def _first(self, number: int) -> float:
        pod, node = NAMES[number % len(NAMES)], number // len(NAMES) % NODES
        self._homes[number] = pod, self._nodes[pod][node]
        self._ask(number, VdptoolMode.PREASSOCIATE_RR)
        return self._ask(number, VdptoolMode.ASSOCIATE).milliseconds

    def _move(self, number: int, pod: str) -> tuple[VdptoolAnswer, VdptoolAnswer]:
        at = int(self._homes[number][1].partition("hv")[2])
        self._homes[number] = pod, self._nodes[pod][(at + 4) % NODES]
        staged = self._ask(number, VdptoolMode.PREASSOCIATE_RR)
        return staged, self._ask(number, VdptoolMode.ASSOCIATE)

    def _ask(self, number: int, mode: VdptoolMode) -> VdptoolAnswer:
        pod, node = self._homes[number]
        deadline = time.monotonic() + _REPEAT
        while not (answer := self._cluster.hypervisors[node].station.request(mode, vsi_of(number))).granted:
            self._refused += 1
            if mode is VdptoolMode.ASSOCIATE:
                # A claim that was given back has changed the owner that the first Pre-Associate was about.
                self._cluster.hypervisors[node].station.request(VdptoolMode.PREASSOCIATE_RR, vsi_of(number))
            if time.monotonic() > deadline:
                words = self._cluster.controllers[pod].last_words(5)
                raise RuntimeError(f"{node}: {mode.name}: {answer.reason}\n{words}")
        return answer

    def _gap(self, number: int, source: str, target: str, since: float) -> float:
        """Milliseconds from shutting the gate in one pod to the open gate in another one."""

        def at(pod: str, kind: str) -> float | None:
            events = self._cluster.controllers[pod].get(f"/evb/events?since={since}")
            return next((each["t"] for each in events if each["kind"] == kind and each["vsi"] == vsi.uuid), None)

        vsi = vsi_of(number)
        shut = wait_until(lambda: at(source, "vsi.handed_over"), "the hand-over")
        opened = wait_until(lambda: at(target, "vsi.active"), "the gate")
        return 1000 * (opened - shut)

    def _memory(self) -> float:
        """Kilobytes of all bridges."""
        return sum(_resident(controller.pid) for controller in self._cluster.controllers.values())


def vsi_of(number: int) -> VdptoolVsi:
    """One of the VSIs."""
    return numbered(number + 1, *_TYPE, multi_switch.NATIVE_VLAN)


def _resident(pid: int) -> float:
    """Kilobytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def four_pods(vsis: int, tell: Callable[[str], None]) -> Between:
    """Build the pods and measure them, with so many VSIs each."""
    with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder, closing(StationLoop()) as loop:
        station, rules = partial(EmulatedStation, loop), dict.fromkeys(NAMES, "refuse")
        tell(f"starting {len(NAMES)} pods of {LEAVES} leaves, {SPINES} spines and {NODES} nodes")
        with PodsCluster(Path(folder), _POLICIES, station, rules, layout(), servers=3) as cluster:
            return FourPods(cluster, vsis, tell).measure()


# --- the directory --------------------------------------------------------------------------------
def directory(tell: Callable[[str], None]) -> Iterator[Claims]:
    """Claims with one server and three, and with the owners of 10,000 nodes in it."""
    for servers, owners in ((1, 0), (3, 0), (3, OWNERS)):
        with (
            tempfile.TemporaryDirectory(prefix="pods-") as folder,
            OvsdbCluster(Path(folder), servers, database=DIRECTORY) as cluster,
        ):
            tell(f"directory of {servers} servers, {owners:,} owners")
            _write(cluster, owners)
            alone = json.loads(_clients(cluster, 1, 1))
            together = [json.loads(line) for line in _clients(cluster, 4, 16).splitlines()]
            count = sum(len(each["ms"]) for each in together)
            leader = _resident(cluster.pid(cluster.leader())) / 1024
            failed = sum(each["failed"] for each in together)
            yield Claims(servers, owners, count / SECONDS, failed, Spread.of(alone["ms"]), leader)


def _write(cluster: OvsdbCluster, owners: int) -> None:
    """Put owners into the directory, many in a transaction."""
    leader = cluster.remotes[cluster.leader()]
    for first in range(0, owners, _PORTION):
        rows = [
            {"vsi": f"00000000-0000-4000-9000-{number:012x}", "pod": f"p{number % 40}", "generation": 1, "life": 1}
            for number in range(first, min(first + _PORTION, owners))
        ]
        inserts = [{"op": "insert", "table": "Owner", "row": row} for row in rows]
        run(["ovsdb-client", "transact", leader, json.dumps([DIRECTORY, *inserts])])


def _clients(cluster: OvsdbCluster, number: int, under_way: int) -> str:
    """Have processes claim VSIs for some seconds; returns a line of JSON of each."""
    command = [sys.executable, "-m", "bench.claims", ",".join(cluster.remotes), str(under_way), str(SECONDS)]
    clients = [
        subprocess.Popen(
            [*command, f"client{under_way}-{at}"], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        for at in range(number)
    ]
    return "".join(client.communicate(timeout=120)[0] for client in clients)


# --- the report -----------------------------------------------------------------------------------
def shown_pods(pods: Between) -> Table:
    """The figures of the pods."""
    table = Table("", "p50", "p99", title=f"{len(NAMES)} pods of {LEAVES} leaves, {pods.vsis} VSIs (ms)")
    for words, spread in (
        ("Associate, no pod has the VSI", pods.first_ms),
        ("Associate, from another node of the pod", pods.within_ms),
        ("Pre-Associate, from another pod", pods.state_ms),
        ("Associate, from another pod", pods.between_ms),
        ("  of it, from one gate to the other", pods.gap_ms),
    ):
        table.add_row(words, f"{spread.p50:.1f}", f"{spread.p99:.1f}")
    table.add_row(f"{pods.at_once} moves between pods at once (s)", f"{pods.at_once_s:.2f}", "")
    table.add_row("memory of a bridge for a VSI (KB)", f"{pods.memory_kb:.1f}", "")
    table.add_row("requests that were refused, and repeated", str(pods.refused), "")
    return table


def shown_directories(claims: list[Claims]) -> Table:
    """The figures of the directory."""
    table = Table(
        "servers", "owners", "claims/s", "failed", "one claim p50/p99 (ms)", "server (MB)", title="The directory"
    )
    for row in claims:
        alone = f"{row.alone_ms.p50:.1f} / {row.alone_ms.p99:.1f}"
        table.add_row(
            str(row.servers), f"{row.owners:,}", f"{row.a_second:,.0f}", str(row.failed), alone, f"{row.server_mb:.0f}"
        )
    return table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "path", default="reports/pods.json", show_default=True, type=click.Path(path_type=Path))
@click.option("--vsis", default=128, show_default=True, type=click.IntRange(NODES), help="Of each pod.")
@click.option("--only", type=click.Choice(["pods", "directory"]), help="One part; the report keeps the other one.")
def main(path: Path, vsis: int, only: str | None) -> None:
    """Measure four pods, and the directory that pods share.  Needs root."""
    enter()
    console = Console(width=120)

    def tell(words: str) -> None:
        console.print(words, highlight=False)

    found: dict[str, object] = json.loads(path.read_text()) if only and path.exists() else {}
    if only != "pods":
        circumstances, claims = machine(), list(directory(tell))
        console.print(shown_directories(claims))
        found["directory"] = {"circumstances": circumstances, "figures": [asdict(row) for row in claims]}
    if only != "directory":
        size = {"pods": len(NAMES), "leaves": LEAVES, "spines": SPINES, "nodes": NODES}
        circumstances, pods = machine() | size, four_pods(vsis, tell)
        console.print(shown_pods(pods))
        found["pods"] = {"circumstances": circumstances, "figures": asdict(pods)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    console.print(f"As JSON: {path}")


if __name__ == "__main__":
    main()
