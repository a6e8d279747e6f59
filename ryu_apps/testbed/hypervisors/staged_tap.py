"""A guest's port at its destination: what is delivered there from its first moment on."""

from __future__ import annotations

import json
import os
import socket
import threading
from types import TracebackType
from typing import Self

from ryu_apps.testbed.harness.capture import Sighting, Tap, TapReader, all_but_ethertypes
from ryu_apps.testbed.harness.shell import Namespace, run

#: Seconds between looks for the port, which libvirt creates after the reservation and before the copy.
_PAUSE = 0.002


class StagedTap:
    """Watches a port that does not exist yet; a context manager.

    Attributes:
        missed: frames that were delivered before the port was watched; None: it is not yet.
    """

    def __init__(self, port: str, watcher: TapReader) -> None:
        """
        Args:
            port: name of the interface, in the network of this process.
        """
        self.missed: int | None = None
        self._port = port
        self._watcher = watcher
        self._tap: Tap | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port {port}", daemon=True)
        self._here = Namespace("switch", os.getpid())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if self._tap is not None:
            self._watcher.dismiss(self._tap)

    def delivered(self) -> list[Sighting]:
        """Return what the switch has delivered to the port, which QEMU gives to the guest."""
        return self._seen(outgoing=True)

    def sent(self) -> list[Sighting]:
        """Return what the guest has sent."""
        return self._seen(outgoing=False)

    def _seen(self, outgoing: bool) -> list[Sighting]:
        self._watcher.settle()
        return [] if self._tap is None else self._tap.matching(lambda sighting: sighting.outgoing is outgoing)

    def _run(self) -> None:
        while self._tap is None and not self._stopping.wait(_PAUSE):
            if any(name == self._port for _, name in socket.if_nameindex()):
                self._tap = self._watcher.watch(Tap(self._here, self._port, all_but_ethertypes()))
                (link,) = json.loads(run(["ip", "-json", "-stats", "link", "show", "dev", self._port]))
                counted = link["stats64"]["tx"]
                # Frames that have come since are in both; where none may come that is no harm.
                self.missed = counted["packets"] + counted["dropped"]
