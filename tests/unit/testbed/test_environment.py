"""Machine and versions in reports are those of this machine and of the programs that take part."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from ryu_apps.testbed.environment import environment
from ryu_apps.testbed.replay.report import ReplayReport
from ryu_apps.version import VERSION


def test_a_report_has_machine_kernel_and_versions() -> None:
    facts = json.loads(json.dumps(ReplayReport("short", (), environment()).as_json()))["environment"]
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert facts["processor"] in (models or [platform.machine()]) and facts["cores"] >= 1
    assert facts["kernel"] == Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert (facts["evbridge"], facts["ryu"]) == (VERSION, version("ryu"))
    said = subprocess.run(["ovs-vsctl", "--version"], capture_output=True, text=True, check=True).stdout
    assert facts["openvswitch"] == said.splitlines()[0].split()[-1]
    assert re.match(r"v?\d", facts["lldpad"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", facts["date"])


def test_a_program_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment()["openvswitch"] == environment()["lldpad"] == "not installed"
