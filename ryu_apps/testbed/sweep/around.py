"""Packets around the move of a typical migration, from the packet log of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from ryu_apps.testbed.replay.packets import Packet, read_packets
from ryu_apps.testbed.sweep.record import Row
from ryu_apps.testbed.sweep.summary import Group

#: Seconds that are shown before the VM stops, and at least after it.
_BEFORE, _AFTER = 0.1, 0.2


@dataclass(frozen=True, slots=True)
class Around:
    """Packets of one direction of a flow around a move.

    Attributes:
        label: of the point.
        direction: flow and ends, for people.
        arrivals: (milliseconds since the VM stopped, packets since then, negative before); in order of arrival.
        gaps: (milliseconds since the VM stopped, milliseconds since the packet before).
    """

    label: str
    direction: str
    arrivals: tuple[tuple[float, int], ...]
    gaps: tuple[tuple[float, float], ...]


def around(group: Group, figure: str, folder: Path) -> Around | None:
    """Packets of the migration whose figure is the median, or next to it.

    Args:
        folder: of the sweep.

    Returns:
        None if the packet log is gone or has no packets of that time.
    """
    row = _typical(group, figure)
    path = folder / row.folder / "packets.csv"
    if not path.exists():
        return None
    zero = row.number("suspended") or row.number("begun") or 0.0
    finish = zero + max(_AFTER, 2 * (row.number("blackout_ms") or 0.0) / 1000 + _BEFORE)
    ways = _ways(read_packets(path), row.values["vm"], zero - _BEFORE, finish)
    chosen = next(iter(ways.values()), None)
    if chosen is None:
        return None
    first = max((packet.number for packet in chosen if (packet.received or 0.0) < zero), default=chosen[0].number)
    times = [((packet.received or 0.0) - zero) * 1000 for packet in chosen]
    flow = chosen[0]
    return Around(
        group.label,
        f"{flow.flow}: {flow.origin} to {flow.target}",
        tuple((time, packet.number - first) for time, packet in zip(times, chosen, strict=True)),
        tuple((later, later - earlier) for earlier, later in pairwise(times)),
    )


def _typical(group: Group, figure: str) -> Row:
    middle = median(group.sample(figure))
    return min(group.rows, key=lambda row: abs((row.number(figure) or float("inf")) - middle))


def _ways(packets: Sequence[Packet], vm: str, begin: float, finish: float) -> dict[tuple[str, str], list[Packet]]:
    """Arrivals of each direction of the VM's flows in a time, those to the VM first."""
    found: dict[tuple[str, str], list[Packet]] = {}
    for packet in packets:
        if vm in (packet.origin, packet.target) and packet.received is not None and begin <= packet.received <= finish:
            found.setdefault((packet.flow, packet.target), []).append(packet)
    heard = {way: sorted(those, key=lambda packet: packet.received or 0.0) for way, those in found.items()}
    enough = {way: those for way, those in heard.items() if len(those) > 1}
    return dict(sorted(enough.items(), key=lambda item: item[0][1] != vm))
