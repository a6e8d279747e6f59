"""TCP counters of the kernel, summed over namespaces: segments that were lost between them, and retransmitted."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ryu_apps.testbed.harness.shell import Namespace, wait_until

#: Seconds in which what is under way arrives.
_SETTLED, _LIMIT = 0.05, 2.0


class TcpCounters(NamedTuple):
    """Segments since the namespaces exist.

    Attributes:
        sent: with those that were retransmitted.
        received: with those that no socket wanted.
        retransmitted: sent again.
    """

    sent: int
    received: int
    retransmitted: int

    def since(self, before: TcpCounters) -> TcpCounters:
        """Compute the difference."""
        return TcpCounters(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def dropped(self) -> int:
        """Segments between the namespaces that were sent and have not arrived."""
        return max(0, self.sent - self.received)


def tcp_counters(namespaces: Iterable[Namespace]) -> TcpCounters:
    """Read the counters of namespaces that have TCP connections with each other only."""
    read = [parse_snmp(Path(f"/proc/{namespace.pid}/net/snmp").read_text("ascii")) for namespace in namespaces]
    return TcpCounters(*map(sum, zip(*read, strict=True)))


def settled_counters(namespaces: Iterable[Namespace]) -> TcpCounters:
    """Read the counters once no segment is under way; under steady traffic after two seconds."""
    places = tuple(namespaces)
    seen = [tcp_counters(places)]

    def unchanged() -> bool:
        seen.append(tcp_counters(places))
        return seen[-1] == seen[-2]

    with suppress(TimeoutError):
        wait_until(unchanged, "segments under way", _LIMIT, pause=_SETTLED)
    return seen[-1]


def parse_snmp(text: str) -> TcpCounters:
    """Parse ``/proc/net/snmp``: a line of names and a line of values for each protocol.

    Raises:
        StopIteration: it has no counters of TCP.
    """
    lines = iter(line.split() for line in text.splitlines() if line.startswith("Tcp:"))
    names, values = next(lines), next(lines)
    found = dict(zip(names[1:], map(int, values[1:]), strict=True))
    return TcpCounters(found["OutSegs"] + found["RetransSegs"], found["InSegs"], found["RetransSegs"])
