"""A sweep on a real cluster: every point measured, plots drawn, and nothing measured twice when it goes on."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.replay.packets import read_packets
from ryu_apps.testbed.sweep.parameters import read_parameter
from ryu_apps.testbed.sweep.plan import plan_sweep
from ryu_apps.testbed.sweep.run import IncompleteRun, measure

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

POLICIES = CHECKOUT / "policies"
SCENARIO = f"""\
version: 1
name: short
cluster: {{topology: multi_switch, n: 2, parameters: {{leaves: 2, spines: 1}}, rules: 60, policies: ["{POLICIES}"]}}
vms:
  vm1: {{at: hv1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 1, version: 1}}
flows:
  probe: {{proto: udp, vm: vm1, port: 443}}
migrations:
  - {{vm: vm1, to: hv2, ladder: minimize-latency, copy_ms: 10}}
"""
SETTINGS = ("--set", "copy_ms=1,30", "--set", "ladder=minimize-latency,safest-exchange")


def sweep(path: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = "from ryu_apps.cli.main import main; main()"
    command = [sys.executable, "-c", program, "sweep", str(path), "--output", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)


def test_two_by_two_migrations_are_measured_once_and_drawn(tmp_path: Path) -> None:
    path, output = tmp_path / "short.yaml", tmp_path / "out"
    path.write_text(SCENARIO, encoding="utf-8")
    done = sweep(path, output, *SETTINGS, "--repeat", "1", "--figure", "blackout_ms")
    assert done.returncode == 0, done.stdout + done.stderr
    with (output / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["copy_ms"], row["ladder"]) for row in rows) == [
        (copy, ladder) for copy in ("1", "30") for ladder in ("minimize-latency", "safest-exchange")
    ]
    assert all(row["outcome"] == "completed" and not row["failures"] for row in rows)
    # Of nine ACL rules 60 were made.
    assert all(int(row["rules_staged"]) > 150 for row in rows)
    for row in rows:
        log = read_packets(output / row["folder"] / "packets.csv")
        assert sum(packet.target == "vm1" for packet in log) > 500
        assert (output / row["folder"] / "1-vm1.ladder.svg").exists()
    drawn = sorted(path.name for path in (output / "plots").iterdir())
    assert drawn == [
        f"blackout_ms-{name}.{suffix}"
        for name in ("by-copy_ms", "by-ladder", "cumulative", "sequence")
        for suffix in ("pdf", "png")
    ]
    before = (output / "sweep.csv").read_bytes()
    again = sweep(path, output, *SETTINGS, "--repeat", "1", "--no-plots")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "4 runs, 4 of them measured" in again.stdout
    assert (output / "sweep.csv").read_bytes() == before


def test_after_a_cluster_that_does_not_come_up_the_next_run_has_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    plan = plan_sweep(path, [read_parameter("copy_ms=1,30")], 1, 0)
    told: deque[str] = deque()
    with inside():
        subprocess.run(["ip", "link", "add", "leaf1", "type", "veth", "peer", "name", "in-the-way"], check=True)
        results = measure(plan.runs, tmp_path / "out", told.append)
        first = next(results)
        assert isinstance(first, IncompleteRun) and "there is already: leaf1" in str(first)
        subprocess.run(["ip", "link", "del", "leaf1"], check=True)
        (second,) = results
    assert not isinstance(second, IncompleteRun)
    assert [row.run for row in second] == [plan.runs[1].key]
    assert all(words.startswith("copy_ms=") for words in told)


def test_a_sweep_with_mistakes_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path, output = tmp_path / "short.yaml", tmp_path / "out"
    path.write_text(SCENARIO, encoding="utf-8")
    refused = sweep(path, output, "--set", "vms.vm9.vlan=1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: {path}:5:3: --set vms.vm9.vlan: vms has no 'vm9'; it has vm1\n"
    unknown = sweep(path, output, "--figure", "blakout_ms")
    assert unknown.returncode == 2 and "no figure blakout_ms; there are: error, rules_staged" in unknown.stderr
    assert not output.exists()
