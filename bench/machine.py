"""Facts about the machine and the programs of a run, for its report."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from ryu_apps.testbed.environment import processor

_POLICIES = {os.SCHED_OTHER: "normal", os.SCHED_FIFO: "real time", os.SCHED_RR: "real time"}


def machine() -> dict[str, object]:
    """Date, processor, load before the run, and versions."""
    ovs = subprocess.run(["ovs-vswitchd", "--version"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "scheduling": _POLICIES.get(os.sched_getscheduler(0), "other"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ryu": version("ryu"),
        "openvswitch": ovs.stdout.split("\n")[0],
    }
