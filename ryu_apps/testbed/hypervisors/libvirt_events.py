"""Writes down the events of a libvirtd and of its QEMUs: a program for the Python that has Debian's binding.

Each line of its standard output is a JSON object.  The first, an empty one, says that nothing is missed from now on.
Times are monotonic seconds: of QEMU's events when QEMU has sent them, of libvirt's when they have come in here.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import libvirt
import libvirt_qemu


def main() -> None:
    """Serve until SIGTERM."""
    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.open("qemu:///system")
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _lifecycle, None)
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, _job_completed, None)
    libvirt_qemu.qemuMonitorEventRegister(connection, None, None, _qemu, None)
    _write({})
    while True:
        libvirt.virEventRunDefaultImpl()


def _lifecycle(_: Any, domain: Any, event: int, detail: int, __: Any) -> None:
    _libvirt(domain, _LIFECYCLE.get((event, detail), f"event {event}, detail {detail}"))


def _job_completed(_: Any, domain: Any, parameters: dict[str, Any], __: Any) -> None:
    _libvirt(domain, f"job completed, downtime {parameters.get('downtime', '?')} ms")


def _libvirt(domain: Any, words: str) -> None:
    _write({"from": "libvirt", "domain": domain.name(), "t": time.monotonic(), "words": words})


def _qemu(_: Any, domain: Any, event: str, seconds: int, micros: int, details: str | None, __: Any) -> None:
    t = seconds + micros / 1e6 + time.monotonic() - time.time()
    values = json.loads(details) if details else {}
    words = " ".join([event, *map(str, values.values())])
    _write({"from": "QEMU", "domain": domain.name(), "t": t, "words": words})


def _write(written: dict[str, object]) -> None:
    print(json.dumps(written), flush=True)


def _names(prefix: str) -> dict[int, str]:
    """Values of the binding's constants with a prefix, and what follows it."""
    found = {name: re.fullmatch(f"{prefix}([A-Z]+)", name) for name in dir(libvirt)}
    return {getattr(libvirt, name): match[1].capitalize() for name, match in found.items() if match}


_LIFECYCLE = {
    (event, detail): f"{name} {detailed}"
    for event, name in _names("VIR_DOMAIN_EVENT_").items()
    for detail, detailed in _names(f"VIR_DOMAIN_EVENT_{name.upper()}_").items()
}

if __name__ == "__main__":
    main()
