"""``make demo-cluster``, as README.rst has it: the leader of three bridges is killed in the middle of a migration."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mininet_tests.conftest import CHECKOUT

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

#: Of a member that has its log beside the configuration of the cluster, and of the others.
LOGS = {"c1": "controller.log", "c2": "c2/controller.log", "c3": "c3/controller.log"}
#: What the tests have installed is as it should be.
AS_IT_IS = ("network-debs", "mininet.stamp")


def make(target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a target with this virtual environment."""
    venv = Path(sys.prefix).relative_to(CHECKOUT)
    kept = [f"--old-file={name if name.endswith('debs') else venv / name}" for name in AS_IT_IS]
    command = ["make", "--no-print-directory", *kept, f"VENV={venv}", target, f"OPTIONS={' '.join(options)}"]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500)


def test_the_demo_kills_the_leader_and_shows_the_take_over(tmp_path: Path) -> None:
    assert "make demo-cluster" in (CHECKOUT / "README.rst").read_text()
    done = make("demo-cluster", "--patience 2", f"--output {tmp_path}")
    shown = done.stdout
    assert done.returncode == 0, shown + done.stderr

    former = re.search(r"^(c\d) led and was killed \(SIGKILL\) while the memory", shown, re.MULTILINE)
    successor = re.search(r"^(c\d) leads and serves all switches after (\d+\.\d+) s$", shown, re.MULTILINE)
    assert former and successor, shown
    assert float(successor[2]) > 0
    # Where much else runs, it may have lost the lead since, and begun once more.
    assert re.search(rf"lead\.begun generation=\w+ before={former[1]} reason=\w+\n", log(tmp_path, successor[1]))
    # A member that is ended in good order says so, and gives the lead up.
    assert "ending upon" not in log(tmp_path, former[1]) and "ending upon" in log(tmp_path, successor[1])

    bystanders = re.search(
        r"^VMs that were not moved sent ([\d,]+) datagrams meanwhile and lost (\d+), which", shown, re.MULTILINE
    )
    assert bystanders and int(bystanders[1].replace(",", "")) > 0 and int(bystanders[2]) == 0, shown
    zeros = re.findall(r"│ +(\S+) +│ must be 0", shown)
    assert len(zeros) >= 3 and set(zeros) == {"0"}, shown


def log(output: Path, member: str) -> str:
    return (output / "logs" / LOGS[member]).read_text()
