"""The packet log of a scenario, ``packets.csv``: a line for each message of each flow, in order of sending."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ryu_apps.testbed.harness.probes import Flow, Notes, TcpNotes, UdpNotes


class Packet(NamedTuple):
    """A datagram, or a beat of a TCP stream.

    Attributes:
        flow, proto: its flow.
        origin, target: ends of this direction.
        number: counts from 0 in each direction of each flow.
        sent: seconds of the monotonic clock; None for a beat.
        received: None: it was lost.
    """

    flow: str
    proto: str
    origin: str
    target: str
    number: int
    sent: float | None
    received: float | None


def packets(flows: Sequence[Flow], notes: Mapping[str, Mapping[str, Notes]]) -> Iterator[Packet]:
    """All messages of some flows, direction by direction.

    Args:
        notes: end -> flow -> its notes.
    """
    for flow in flows:
        for origin, target in ((flow.host, flow.vm), (flow.vm, flow.host)):
            if origin in notes and target in notes:
                yield from _one_way(flow, origin, target, notes[origin][flow.name], notes[target][flow.name])


def _one_way(flow: Flow, origin: str, target: str, sender: Notes, receiver: Notes) -> Iterator[Packet]:
    if isinstance(sender, UdpNotes) and isinstance(receiver, UdpNotes):
        received = {number: at for number, _, at in reversed(receiver.heard)}
        for number, sent in enumerate(sender.sent):
            yield Packet(flow.name, flow.proto, origin, target, number, sent, received.get(number))
    elif isinstance(receiver, TcpNotes):
        for number, at in receiver.beats:
            yield Packet(flow.name, flow.proto, origin, target, number, None, at)


def write_packets(path: Path, flows: Sequence[Flow], notes: Mapping[str, Mapping[str, Notes]]) -> None:
    """Write the packet log; times to the microsecond, empty where there is none."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Packet._fields)
        for packet in packets(flows, notes):
            writer.writerow((*packet[:5], *("" if time is None else f"{time:.6f}" for time in packet[5:])))


def read_packets(path: Path) -> list[Packet]:
    """Read a packet log."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Packet(
                row["flow"],
                row["proto"],
                row["origin"],
                row["target"],
                int(row["number"]),
                float(row["sent"]) if row["sent"] else None,
                float(row["received"]) if row["received"] else None,
            )
            for row in csv.DictReader(file)
        ]
