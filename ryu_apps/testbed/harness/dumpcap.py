"""Captures of the uplinks of hypervisors as pcapng files with wall-clock times, by Wireshark's ``dumpcap``."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Hypervisor
from ryu_apps.testbed.harness.shell import end, wait_until

PROGRAM = "dumpcap"
#: Words of dumpcap when it captures.
_CAPTURING = "File: "


class MissingDumpcapError(TestbedError):
    """``dumpcap`` is not installed."""

    def __init__(self) -> None:
        super().__init__(f"captures need {PROGRAM}, which is not installed; on Debian: apt install wireshark-common")


@contextmanager
def captured(hypervisors: Iterable[Hypervisor], folder: Path) -> Iterator[None]:
    """Capture every frame of each uplink within the block, in ``NAME.pcapng`` each.

    Args:
        folder: made if need be.

    Raises:
        MissingDumpcapError: there is no dumpcap.
        TimeoutError: one does not capture; its words are in ``NAME.log`` in the folder.
    """
    wanted = list(hypervisors)
    if not wanted:
        yield
        return
    if shutil.which(PROGRAM) is None:
        raise MissingDumpcapError
    folder.mkdir(parents=True, exist_ok=True)
    captures: list[subprocess.Popen[bytes]] = []
    try:
        for hypervisor in wanted:
            file, log = (folder / f"{hypervisor.name}.{ending}" for ending in ("pcapng", "log"))
            options = ("-i", hypervisor.uplink, "-w", str(file), "-n")
            captures.append(hypervisor.namespace.popen(PROGRAM, *options, log=log))
        for hypervisor in wanted:
            log = folder / f"{hypervisor.name}.log"
            wait_until(partial(_captures, log), f"{hypervisor.name}: {PROGRAM}")
        yield
    finally:
        for capture in captures:
            # It writes what it has, and the numbers of frames that it has missed.
            capture.send_signal(signal.SIGINT)
        for capture in captures:
            end(capture)


def _captures(log: Path) -> bool:
    return _CAPTURING in log.read_text(encoding="utf-8", errors="replace")
