"""``python -m bench.scale``: the larger cluster at 1, 4 and 16 times its size.

Real Open vSwitch, real ``ryu-manager``, leaves and spines; the stations are ours, one at every node, since
each request of an lldpad is a process.  Every node has 32 VSIs.  Figures are what one run on one machine came to; how
they grow is what counts.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table

from bench.figures import Spread
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.testbed.emulator import EmulatedStation, StationLoop
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import enter
from ryu_apps.testbed.harness.shell import run, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi, numbered
from ryu_apps.topologies import multi_switch

#: Times the smallest -> leaves and nodes.
SIZES = {1: (2, 16), 4: (4, 64), 16: (16, 256)}
SPINES, VSIS_EACH = 2, 32
#: Exponents of the keep-alive interval (84 s; with the default every VSI repeats itself about once a second), and of
#: the time that a station waits for an answer: a dozen processes share two cores.
RKA, RWD = 23, 20
#: Seconds until the first VSI is repeated, and of keep-alives and nothing else.
_INTERVAL, _QUIET = 1e-5 * 2**RKA, 10.0
_POLICIES = Path(__file__).parents[1] / "policies"
_TYPE = (1, 1)


class Cpu(NamedTuple):
    """Milliseconds of processor time."""

    controller: float
    switches: float
    stations: float

    def per_vsi(self, later: Cpu, count: int) -> Cpu:
        """Return the time used until ``later``, per VSI."""
        return Cpu(*((after - before) / count for before, after in zip(self, later, strict=True)))


@dataclass(frozen=True, slots=True)
class Result:
    """One size.

    Attributes:
        start_s: until every station has agreed with its bridge.
        stage_ms, associate_ms: request to answer, one at a time, of all VSIs.
        associate_first_ms, associate_last_ms: the median of the first and of the last tenth.
        cpu_first_ms, cpu_last_ms: what both requests of a VSI of these cost.
        memory_kb: resident memory of the controller for each VSI.
        keep_alive_load: the controller's share of a core with all VSIs at rest.
        rules_leaf, rules_spine: of the fullest of each.
        spine_ms, back_ms: from the first port that is down (up) until all switches have the new ways.
        evacuate_s: until 32 VSIs of a node, all at once, are associated elsewhere; and the median of one.
    """

    times: int
    leaves: int
    nodes: int
    vsis: int
    start_s: float
    stage_ms: Spread
    associate_ms: Spread
    associate_first_ms: float
    associate_last_ms: float
    cpu_first_ms: Cpu
    cpu_last_ms: Cpu
    memory_kb: float
    keep_alive_load: float
    rules_leaf: int
    rules_spine: int
    spine_ms: float
    back_ms: float
    evacuate_s: float
    evacuate_each_ms: float


class Scale:
    """One cluster under measurement."""

    def __init__(self, cluster: Cluster, tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._tell = tell
        self._nodes = sorted(cluster.hypervisors, key=lambda name: int(name[2:]))

    def measure(self, times: int, start_s: float) -> Result:
        """Everything, in one go."""
        empty, begun = self._memory(), time.monotonic()
        staged, associated, (first, last) = self._fill()
        full = self._memory()
        load = self._load(begun)
        rules = self._rules()
        down, up = self._spine()
        evacuation, each = self._evacuate()
        tenth = max(len(associated) // 10, 1)
        leaves, nodes = SIZES[times]
        return Result(
            times,
            leaves,
            nodes,
            len(associated),
            start_s,
            Spread.of(staged),
            Spread.of(associated),
            Spread.of(associated[:tenth]).p50,
            Spread.of(associated[-tenth:]).p50,
            first,
            last,
            (full - empty) / len(associated),
            load,
            max(count for name, count in rules.items() if name.startswith("leaf")),
            max(count for name, count in rules.items() if name.startswith("spine")),
            down,
            up,
            evacuation,
            each,
        )

    def _fill(self) -> tuple[list[float], list[float], list[Cpu]]:
        """A VSI after the other, node by node in turn, so that all switches fill alike.

        Returns:
            what each Pre-Associate and Associate took, and processor time a VSI in the first and in the last tenth.
        """
        staged, associated, used = [], [], []
        vsis = [(node, vsi_of(node, number)) for number in range(VSIS_EACH) for node in self._nodes]
        tenth = max(len(vsis) // 10, 1)
        for part in (vsis[:tenth], vsis[tenth:-tenth], vsis[-tenth:]):
            self._tell(f"from {len(staged):,} to {len(staged) + len(part):,} VSIs")
            before = self._cpu()
            for node, vsi in part:
                staged.append(self._ask(node, VdptoolMode.PREASSOCIATE_RR, vsi))
                associated.append(self._ask(node, VdptoolMode.ASSOCIATE, vsi))
            used.append(before.per_vsi(self._cpu(), len(part)))
        return staged, associated, [used[0], used[-1]]

    def _ask(self, node: str, mode: VdptoolMode, vsi: VdptoolVsi) -> float:
        answer = self._cluster.hypervisors[node].station.request(mode, vsi, limit=30.0)
        if not answer.granted:
            raise RuntimeError(f"{node}: {mode.name}: {answer.reason}\n{self._cluster.controller.last_words(5)}")
        return 1000 * (answer.answered - answer.asked)

    def _load(self, begun: float) -> float:
        """Wait until all VSIs associated since ``begun`` repeat their keep-alives, spread as they came."""
        self._tell("keep-alives")
        time.sleep(max(begun + _INTERVAL - time.monotonic(), 0.0))
        before = self._cpu().controller
        time.sleep(_QUIET)
        return (self._cpu().controller - before) / (1000 * _QUIET)

    def _rules(self) -> dict[str, int]:
        return {switch["name"]: switch["rules"] for switch in self._status()["switches"]}

    def _spine(self) -> tuple[float, float]:
        """The first spine dies, all ports at once, and comes back."""
        self._tell("a spine dies")
        leaves = [switch.name for switch in self._cluster.fabric.switches.values() if switch.name.startswith("leaf")]
        names = [f"{leaf}-eth{multi_switch.UPLINK_PORT + 11}" for leaf in leaves]
        return self._turn(names, "down"), self._turn(names, "up")

    def _turn(self, names: Sequence[str], state: str) -> float:
        """Milliseconds from the first change of a link until all switches have the ways that it leaves."""
        since = time.monotonic()
        run(["ip", "-batch", "-"], stdin="".join(f"link set {name} {state}\n" for name in names))
        wanted = state == "up"

        def over() -> float | None:
            links = [link for link in self._status()["links"] if link["ports"][0].split(":")[1] == str(1011)]
            if any(link["up"] != wanted for link in links):
                return None
            events = self._cluster.controller.get(f"/evb/events?since={since}")
            first = min((event["t"] for event in events if event["kind"] == "links.changed"), default=None)
            last = max((event["t"] for event in events if event["kind"] == "ways.settled"), default=None)
            changed = max((event["t"] for event in events if event["kind"] == "links.changed"), default=None)
            if first is None or last is None or changed is None or last < changed:
                return None
            return 1000 * (last - first)

        return wait_until(over, f"ways with the links {state}", 120, pause=0.3)

    def _evacuate(self) -> tuple[float, float]:
        """All VSIs of the first node leave at once, for the other nodes in turn."""
        self._tell("a node is evacuated")
        source, others = self._nodes[0], self._nodes[1:]
        aims = [others[7 * number % len(others)] for number in range(VSIS_EACH)]

        def one(number: int) -> float:
            vsi, begun = vsi_of(source, number), time.monotonic()
            self._ask(aims[number], VdptoolMode.PREASSOCIATE_RR, vsi)
            self._ask(aims[number], VdptoolMode.ASSOCIATE, vsi)
            return time.monotonic() - begun

        begun = time.monotonic()
        with ThreadPoolExecutor(VSIS_EACH) as pool:
            taken = list(pool.map(one, range(VSIS_EACH)))
        return time.monotonic() - begun, 1000 * Spread.of(taken).p50

    # --- the controller ---
    def _status(self) -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = self._cluster.controller.get("/evb/status")
        return found

    def _memory(self) -> float:
        """Kilobytes."""
        status = Path(f"/proc/{self._cluster.controller.pid}/status").read_text(encoding="ascii")
        return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    def _cpu(self) -> Cpu:
        """So far; the stations are ours."""
        return Cpu(*map(_cpu_of, (self._cluster.controller.pid, self._cluster.ovs.pid, os.getpid())))


def _cpu_of(pid: int) -> float:
    """Milliseconds of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def vsi_of(node: str, number: int) -> VdptoolVsi:
    """A VSI that starts at a node."""
    return numbered(int(node[2:]) << 8 | number, *_TYPE, multi_switch.NATIVE_VLAN)


def fabric_of(leaves: int, nodes: int) -> Fabric:
    """The cluster, with keep-alives that 8,192 VSIs can afford."""
    fabric = multi_switch.fabric(leaves=leaves, spines=SPINES, n=nodes)
    timers = Timers(rka=RKA, rwd=RWD)
    switches = {
        dpid: replace(
            switch,
            interfaces={
                number: replace(interface, timers=timers) if interface.role is Role.STATION else interface
                for number, interface in switch.interfaces.items()
            },
        )
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


def results(wanted: Sequence[int], tell: Callable[[str], None]) -> Iterator[Result]:
    """Measure one size after the other."""
    for times in wanted:
        with tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder, closing(StationLoop()) as loop:
            leaves, nodes = SIZES[times]
            fabric = fabric_of(leaves, nodes)
            config = dump_config(BridgeConfig(fabric, (str(_POLICIES / "web_server"),)))
            station = partial(EmulatedStation, loop)
            tell(f"{times}x: starting {leaves} leaves, {SPINES} spines, {nodes} nodes")
            begun = time.monotonic()
            with Cluster(fabric, multi_switch.END_SYSTEMS, Path(folder), config, station=station) as cluster:
                scale = Scale(cluster, lambda words, times=times: tell(f"{times}x: {words}"))  # type: ignore[misc]
                yield scale.measure(times, time.monotonic() - begun)


def _grown(result: Result, process: str) -> str:
    return f"{getattr(result.cpu_first_ms, process):.1f} / {getattr(result.cpu_last_ms, process):.1f}"


def shown(found: Sequence[Result]) -> Table:
    """A column for each size."""
    rows: list[tuple[str, Callable[[Result], object]]] = [
        ("leaves / nodes / VSIs", lambda result: f"{result.leaves} / {result.nodes} / {result.vsis:,}"),
        ("start, all stations agreed (s)", lambda result: f"{result.start_s:.0f}"),
        (
            "Pre-Associate to answer, p50 / p99 (ms)",
            lambda result: f"{result.stage_ms.p50:.1f} / {result.stage_ms.p99:.1f}",
        ),
        (
            "Associate to answer, p50 / p99 (ms)",
            lambda result: f"{result.associate_ms.p50:.1f} / {result.associate_ms.p99:.1f}",
        ),
        (
            "  the first tenth / the last tenth",
            lambda result: f"{result.associate_first_ms:.1f} / {result.associate_last_ms:.1f}",
        ),
        ("processor time a VSI in these, controller (ms)", lambda result: _grown(result, "controller")),
        ("  all switches, which are one process (ms)", lambda result: _grown(result, "switches")),
        ("  all stations, and the harness (ms)", lambda result: _grown(result, "stations")),
        ("controller memory a VSI (KB)", lambda result: f"{result.memory_kb:.1f}"),
        (f"keep-alive load, rka {RKA} (% of a core)", lambda result: f"{100 * result.keep_alive_load:.0f}"),
        ("rules of the fullest leaf / spine", lambda result: f"{result.rules_leaf:,} / {result.rules_spine:,}"),
        (
            "a spine dies / returns, until all ways are (ms)",
            lambda result: f"{result.spine_ms:.0f} / {result.back_ms:.0f}",
        ),
        (
            "32 VSIs leave a node at once (s) / each (ms)",
            lambda result: f"{result.evacuate_s:.2f} / {result.evacuate_each_ms:.0f}",
        ),
    ]
    table = Table("", *(f"{row.times}x" for row in found))
    for words, value in rows:
        table.add_row(words, *(str(value(row)) for row in found))
    return table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--size", "sizes", type=click.Choice([str(size) for size in SIZES]), multiple=True, help="May be repeated."
)
@click.option("--json", "path", default="reports/scale.json", show_default=True, type=click.Path(path_type=Path))
def main(sizes: tuple[str, ...], path: Path) -> None:
    """Measure the larger cluster at 1, 4 and 16 times 16 nodes and 512 VSIs.  Needs root."""
    enter()
    console = Console(width=120)
    found = []
    for row in results(
        [int(size) for size in sizes] or list(SIZES), lambda words: console.print(words, highlight=False)
    ):
        found.append(row)
        console.print(shown(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    console.print(f"As JSON: {path}")


if __name__ == "__main__":
    main()
