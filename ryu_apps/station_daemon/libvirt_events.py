"""Events of libvirt: a domain that stops to move away is suspended, one that runs or has arrived is associated.

Its Python binding is Debian's python3-libvirt, or ``pip install libvirt-python``.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import libvirt

from ryu_apps.station_daemon.domain import vsis_of
from ryu_apps.station_daemon.vm_calls import HookRefused, StationCalls

LOG = logging.getLogger(__name__)

#: Threads that make calls; the events of a domain are in one of them, in their order.
_WORKERS = 8
#: Seconds between attempts to reach libvirtd, and between looks at whether it is still there.
_PAUSE = 1.0
_ACTIONS: dict[tuple[int, int | None], Callable[[StationCalls], None]] = {
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED): StationCalls.suspend,
    # After a migration with --suspend the guest waits here for `virsh resume`.
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED): StationCalls.arrived,
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, None): StationCalls.run,
}


class LibvirtEvents:
    """The events of one libvirtd, until the process ends."""

    def __init__(self, uri: str, control: Path, mapping: Path | None) -> None:
        """
        Args:
            uri: of libvirtd, ``qemu:///system`` for example.
            control: socket of the station daemon.
            mapping: file with the VSIs of domains without metadata.
        """
        self._uri, self._control, self._mapping = uri, control, mapping
        self._workers = [ThreadPoolExecutor(1) for _ in range(_WORKERS)]

    def run(self) -> None:
        """Serve; a libvirtd that ends is awaited."""
        libvirt.virEventRegisterDefaultImpl()
        libvirt.registerErrorHandler(lambda *_: None, None)
        # The loop returns to look at the connection even if nothing happens.
        libvirt.virEventAddTimeout(int(1000 * _PAUSE), lambda *_: None, None)
        while True:
            try:
                self._serve(libvirt.openReadOnly(self._uri))
            except libvirt.libvirtError as error:
                LOG.warning("%s: %s", self._uri, error)
            time.sleep(_PAUSE)

    def _serve(self, connection: Any) -> None:
        connection.setKeepAlive(5, 3)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._happened, None)
        LOG.info("%s: connected", self._uri)
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING):
            self._do(StationCalls.run, domain)
        while connection.isAlive():
            libvirt.virEventRunDefaultImpl()

    def _happened(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        action = _ACTIONS.get((event, detail)) or _ACTIONS.get((event, None))
        if action is not None:
            self._do(action, domain)

    def _do(self, action: Callable[[StationCalls], None], domain: Any) -> None:
        worker = self._workers[zlib.crc32(domain.name().encode()) % _WORKERS]
        worker.submit(self._call, action, domain)

    def _call(self, action: Callable[[StationCalls], None], domain: Any) -> None:
        try:
            action(StationCalls(self._control, vsis_of(domain.XMLDesc(0), self._mapping)))
        except (HookRefused, OSError, ValueError, libvirt.libvirtError) as error:
            LOG.error("%s: %s", domain.name(), error)
