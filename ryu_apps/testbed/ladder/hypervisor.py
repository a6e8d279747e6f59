"""From what a hypervisor's parts have recorded to steps of a ladder: libvirt, QEMU, and the station daemon."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ryu_apps.testbed.ladder.model import LadderStep, Lane

_STATION = re.compile(r"(\S+ \S+) \S+ (?:INFO|WARNING) (?:(\w+) of )?VSI (\S+?)(?:: (.*))?")
#: Times of the daemon's log end with a millisecond: a call was at its beginning at the earliest, an answer at its end
#: at the latest.
_MILLISECOND = 0.001


def recorded_steps(recorded: Iterable[Mapping[str, Any]], domain: str, lane: Lane) -> Iterator[LadderStep]:
    """Yield the events of a domain: those of QEMU as notes, those of libvirt from its host to the manager.

    Args:
        recorded: objects with ``from`` (``QEMU`` or ``libvirt``), ``domain``, ``t`` and ``words``.
        lane: of the host.
    """
    for event in recorded:
        if event.get("domain") == domain:
            is_qemu = event["from"] == "QEMU"
            words = f"QEMU: {event['words']}" if is_qemu else event["words"]
            yield LadderStep(event["t"], lane, lane if is_qemu else Lane.VCM, words)


def station_steps(written: str, vsi: str, lane: Lane, offset: float) -> Iterator[LadderStep]:
    """Yield notes of the calls for a VSI, and of their answers.

    Args:
        written: log of ``evbridge station run``, in local time.
        vsi: canonical text of the VSIID.
        lane: of the host.
        offset: what has to be added to Unix time to get monotonic seconds.
    """
    for line in written.splitlines():
        found = _STATION.fullmatch(line)
        if found is not None and found[3] == vsi:
            t = datetime.fromisoformat(found[1].replace(",", ".")).timestamp() + offset
            words = f"call {found[2]}" if found[2] else f"answer {found[4]}"
            yield LadderStep(t if found[2] else t + _MILLISECOND, lane, lane, f"station: {words}")
