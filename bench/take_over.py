"""``python -m bench.take_over``: the leader of three bridges with thousands of VSIs is killed again and again.

The larger cluster of ``bench.scale``, with three bridges and three servers of their store.  From ``kill -9`` of the
leader on, a station at each leaf repeats a request every 50 ms, as does one that is about to get a VM.  Bystanders have
traffic.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from bench.figures import Figure, Line, Spread, write_json
from bench.large_cluster import FLOWS, LargeCluster
from bench.machine import machine
from bench.scale import SIZES, VSIS_EACH, vsi_of
from ryu_apps.testbed.faults.bystanders import traffic
from ryu_apps.testbed.harness.sandbox import enter
from ryu_apps.testbed.harness.station import VdptoolMode, numbered
from ryu_apps.topologies import multi_switch


@dataclass(slots=True)
class TakeOvers:
    """Results of kills of the leader.

    Attributes:
        first, last: seconds until a station's repeated request is answered: of the first leaf, and of the last one.
        moved: seconds until a VM that was to come is reserved and associated.
        ready: seconds until all switches have been compared.
        sent, lost: datagrams of bystanders.
        standby, leader: megabytes of a process.
    """

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    sent: int = 0
    lost: int = 0
    standby: float = 0.0
    leader: float = 0.0


def take_overs(large: LargeCluster, kills: int, tell: Callable[[str], None]) -> TakeOvers:
    """Kill the leader so many times, under the traffic of bystanders."""
    found = TakeOvers()
    nodes = large.nodes
    first_at = {large.cluster.hypervisors[node].port.dpid: node for node in reversed(nodes)}
    with traffic(large.cluster, FLOWS) as loss:
        for kill in range(kills):
            leader = large.await_all()
            found.leader = max(found.leader, large.memory(leader))
            found.standby = max(found.standby, *(large.memory(other) for other in large.members if other is not leader))
            # A standby looks for changed records twice a second.
            time.sleep(2.0)
            target, guest = nodes[7 * kill % len(nodes)], numbered(0xFF000 + kill, 1, 1, multi_switch.NATIVE_VLAN)
            with ThreadPoolExecutor(len(first_at) + 1) as pool:
                killed = time.monotonic()
                leader.kill()
                asked = [
                    pool.submit(large.until_answered, node, vsi_of(node, kill % VSIS_EACH), VdptoolMode.ASSOCIATE)
                    for node in first_at.values()
                ]
                steps = VdptoolMode.PREASSOCIATE_RR, VdptoolMode.ASSOCIATE
                moved = pool.submit(large.until_answered, target, guest, *steps).result() - killed
                answered = [future.result() - killed for future in asked]
            large.until_ready()
            found.ready.append(time.monotonic() - killed)
            found.first.append(min(answered))
            found.last.append(max(answered))
            found.moved.append(moved)
            tell(
                f"{kill + 1}: answered after {min(answered):.2f} to {max(answered):.2f} s,"
                f" a VM has come after {moved:.2f} s, all switches ready after {found.ready[-1]:.2f} s"
            )
            large.until_answered(target, guest, VdptoolMode.DEASSOCIATE)
            leader.start()
    found.sent, found.lost = sum(loss.sent.values()), sum(loss.lost.values())
    return found


def figure(found: TakeOvers, vsis: int) -> Figure:
    """Return the figures as a table."""
    title = f"kill -9 of the leader of three bridges with {vsis:,} VSIs, until"
    made = Figure(title, "s", aims=["p50 of 1 s for a small cluster, 3 s at the most"])
    for words, sample in (
        ("a repeated request is answered, the first leaf", found.first),
        ("the same, the last leaf", found.last),
        ("a VM that was to come is associated", found.moved),
        ("all switches are compared", found.ready),
    ):
        made.lines.append(Line(words, Spread.of(sample)))
    made.notes.append(f"bystanders: {found.sent:,} datagrams sent, {found.lost} lost")
    made.notes.append(f"resident memory: leader {found.leader:.0f} MB, standby {found.standby:.0f} MB")
    return made


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--size", default="16", show_default=True, type=click.Choice([str(size) for size in SIZES]))
@click.option("--kills", default=10, show_default=True, help="Of the leader.")
@click.option("--json", "path", default="reports/take_over.json", show_default=True, type=click.Path(path_type=Path))
def main(size: str, kills: int, path: Path) -> None:
    """Kill the leader of a cluster with 512, 2,048 or 8,192 VSIs again and again.  Needs root."""
    enter()
    console = Console(width=120)

    def tell(words: str) -> None:
        console.print(words, highlight=False)

    with (
        tempfile.TemporaryDirectory(prefix="evbridge-", dir="/run") as folder,
        LargeCluster(Path(folder), int(size), tell) as large,
    ):
        large.fill()
        found = take_overs(large, kills, tell)
    made = figure(found, VSIS_EACH * SIZES[int(size)][1])
    made.show(console)
    write_json(path, [made], machine() | {"kills": kills})
    console.print(f"As JSON: {path}")


if __name__ == "__main__":
    main()
