"""Recordings of migrations by libvirt: the events of each host's libvirtd and QEMUs, and when they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ryu_apps.testbed.harness.shell import end, wait_until
from ryu_apps.testbed.hypervisors.libvirtd import Libvirtd

#: Debian's, which has Debian's binding of libvirt.
_PYTHON = "/usr/bin/python3"
_RECORDER = Path(__file__).with_name("libvirt_events.py")


class LibvirtWitness:
    """A recorder at each host, from the beginning of a ``with`` block to its end."""

    def __init__(self, libvirtds: Mapping[str, Libvirtd], folder: Path) -> None:
        """
        Args:
            libvirtds: by the names of their hosts.
            folder: for what is recorded.
        """
        self._libvirtds = libvirtds
        self._logs = {host: folder / f"{host}-recorded" for host in libvirtds}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for host, libvirtd in self._libvirtds.items():
                self._logs[host].unlink(missing_ok=True)
                recorder = libvirtd.popen(_PYTHON, str(_RECORDER), log=self._logs[host])
                stack.callback(end, recorder)
            for host in self._libvirtds:
                wait_until(partial(self.recorded, host), f"recorder at {host}")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def recorded(self, host: str) -> list[dict[str, Any]]:
        """Return what has been recorded at a host up to now, in the form of ``libvirt_events``."""
        return [json.loads(line) for line in self._logs[host].read_text(encoding="utf-8").splitlines()]
