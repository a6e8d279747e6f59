"""``evbridge station`` beside a libvirtd: its hook, and its listener for libvirt's events."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ryu_apps.testbed.harness.station import HypervisorStation
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd

_EVBRIDGE = Path(sys.executable).with_name("evbridge")
#: Debian's binding of libvirt; the virtual environment has none.
_PACKAGES = Path("/usr/lib/python3/dist-packages")


def hook_text(station: HypervisorStation) -> str:
    """Return the text of /etc/libvirt/hooks/qemu."""
    assert isinstance(station, DaemonStation)
    return f'#!/bin/sh\nexec {_EVBRIDGE} station libvirt-hook --control {station.control} "$@"\n'


def start_listener(libvirtd: Libvirtd, station: HypervisorStation, folder: Path) -> subprocess.Popen[bytes]:
    """Start ``evbridge station libvirt`` for a libvirtd.

    Args:
        folder: for its log and its view of Debian's packages.
    """
    assert isinstance(station, DaemonStation)
    binding = folder / "binding"
    binding.mkdir(exist_ok=True)
    for file in _PACKAGES.glob("libvirt*"):
        if not (binding / file.name).is_symlink():
            (binding / file.name).symlink_to(file)
    command = (str(_EVBRIDGE), "station", "libvirt", "--control", str(station.control))
    return libvirtd.popen("env", f"PYTHONPATH={binding}", *command, log=folder / f"{libvirtd.name}-events")
