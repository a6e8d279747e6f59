"""A replay that waits: the lines that it prints work in another shell, with the rules staged and with the move over."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from mininet_tests.conftest import CHECKOUT

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SCENARIO = f"""\
version: 1
name: short
cluster: {{topology: two_switch, policies: ["{CHECKOUT / "policies"}"]}}
vms:
  vm1: {{at: hv1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 1, version: 1}}
migrations:
  - {{vm: vm1, to: hv5, ladder: minimize-latency, copy_ms: 10}}
"""
GATE = re.compile(r"in_port=[^ ]*dl_src=52:54:00:aa:00:01")


def inspected(stdout: IO[str]) -> list[str]:
    """Output of each line that is printed until the replay waits."""
    lines = []
    for line in iter(stdout.readline, "Enter goes on.\n"):
        assert line, "the replay ended"
        lines.append(line.strip())
    commands = [line for line in lines if line.startswith("nsenter ")]
    return [subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout for line in commands]


def test_the_lines_of_a_pause_show_the_switches_and_the_bridge(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    command = [sys.executable, "-c", "from ryu_apps.cli.main import main; main()", "replay", str(path)]
    command += ["--pause", "--keep", "--output", str(tmp_path / "out")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT) as run:
        assert run.stdin is not None and run.stdout is not None
        try:
            first, second, status = inspected(run.stdout)
            # The VM is let in at the source alone; the destination has its body.
            assert GATE.search(first) and not GATE.search(second)
            assert second.count("metadata=") > 50
            assert [port["name"] for port in json.loads(status)["switches"]] == ["s1", "s2"]
            run.stdin.write("\n")
            run.stdin.flush()
            first, second, _ = inspected(run.stdout)
            assert GATE.search(second) and not GATE.search(first)
            rest, _ = run.communicate("\n", timeout=120)
        except BaseException:
            run.kill()
            raise
    assert run.returncode == 0, rest
    assert (tmp_path / "out" / "packets.csv").exists()


def test_a_trace_has_no_pauses() -> None:
    command = [sys.executable, "-c", "from ryu_apps.cli.main import main; main()", "replay", "--day", "1", "--keep"]
    refused = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert refused.returncode == 2 and "--pause, --keep, --pcap and --nms are for scenarios" in refused.stderr
