"""A day of migrations, compressed: whatever overlaps, every VSI is where the trace leaves it and nothing is left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.testbed.emulator import EmulatedStation
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.station import StationError, VdptoolMode
from ryu_apps.testbed.replay.trace import Player
from ryu_apps.vcm.trace import Census, TraceEntry, TraceEvent, Width, day

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

WIDTH = Width(vms=24, moves=80, evacuations=4, failures=3, room=8)


class Forgetful(Player):
    """One kind of request is never sent."""

    forgotten: VdptoolMode

    def _ask(self, vm: str, node: str | None, mode: VdptoolMode) -> float:
        return 0.0 if mode is self.forgotten else super()._ask(vm, node, mode)


def test_a_day_leaves_everything_in_its_place(emulated: Cluster) -> None:
    nodes = list(emulated.hypervisors)
    entries = day(3, nodes, WIDTH)
    report = Player(emulated, entries).play(8.0)
    assert report.ok, report
    assert report.most > 1
    assert [len(done) for _, done in report.by_how()] == _times(entries, nodes)


@pytest.mark.parametrize(
    ("forgotten", "misplaced", "staged", "left"),
    [(VdptoolMode.ASSOCIATE, 1, 1, False), (VdptoolMode.DEASSOCIATE, 1, 0, True)],
)
def test_what_is_not_in_its_place_is_found_out(
    emulated: Cluster, forgotten: VdptoolMode, misplaced: int, staged: int, left: bool
) -> None:
    entries = [
        TraceEntry(0, TraceEvent.ARRIVE, "a", "hv1"),
        TraceEntry(1, TraceEvent.ARRIVE, "b", "hv2"),
        TraceEntry(2, TraceEvent.DEPART, "b"),
    ]
    careless = Forgetful(emulated, entries, tidy=2.0)
    careless.forgotten = forgotten
    report = careless.play(0.5)
    assert not report.ok
    assert (report.misplaced, report.staged_left, report.rules_left > 0) == (misplaced, staged, left)


def test_a_node_that_does_not_come_back_ends_the_replay(emulated: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_bridge(station: EmulatedStation, limit: float = 35.0) -> None:
        raise StationError("no EVB TLV")

    monkeypatch.setattr(EmulatedStation, "wait_ready", no_bridge)
    with pytest.raises(StationError, match="no EVB TLV"):
        Player(emulated, [TraceEntry(0, TraceEvent.FAIL, "hv8"), TraceEntry(1, TraceEvent.RETURN, "hv8")]).play(0.2)


def _times(entries: list[TraceEntry], nodes: list[str]) -> list[int]:
    """VMs that start, move, and start anew."""
    census = Census(nodes)
    changes = [change for entry in entries for change in census.apply(entry) if change.target is not None]
    started = sum(change.source is None for change in changes)
    lost = sum(change.lost for change in changes)
    return [started, len(changes) - started - lost, lost]


def test_the_command_replays_a_file_and_refuses_one_with_mistakes(tmp_path: Path) -> None:
    trace, output = tmp_path / "two.csv", tmp_path / "out"
    program = "from ryu_apps.cli.main import main; main()"
    command = [sys.executable, "-c", program, "replay", str(trace), "--nodes", "2"]
    command += ["--seconds", "3", "--output", str(output)]
    trace.write_text("at,what,subject,node\n0,arrive,a,hv1\n10,fail,hv1,\n20,return,hv1,\n30,migrate,a,hv1\n")
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((output / "report.json").read_text())
    assert [event["how"] for event in report["done"]] == ["starts", "starts anew", "moves"]
    trace.write_text("at,what,subject,node\n0,arrive,a,hv3\n")
    refused = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert refused.returncode == 1
    assert f"{trace}:2:1: there is no node 'hv3'" in refused.stderr
