"""Machine and versions of a run, for its report."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ryu_apps.version import VERSION


def environment() -> dict[str, Any]:
    """Date, machine, load, and versions of what takes part; "not installed" for what is missing."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "evbridge": VERSION,
        "ryu": _distribution("ryu"),
        "openvswitch": _program("ovs-vswitchd", "--version"),
        "lldpad": _program("lldpad", "-v"),
    }


def processor() -> str:
    """The model of the processor, as Linux names it; else the architecture."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _distribution(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _program(name: str, option: str) -> str:
    """The last word of the first line that a program prints of its version."""
    try:
        said = subprocess.run([name, option], capture_output=True, text=True, check=False)
    except OSError:
        return "not installed"
    words = (said.stdout or said.stderr).partition("\n")[0].split()
    return words[-1] if words else "unknown"
