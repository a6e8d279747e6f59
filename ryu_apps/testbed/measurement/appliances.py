"""Traffic that has gone through the appliances of a cluster, and past them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ApplianceReport:
    """Traffic that has gone through an appliance.

    Attributes:
        name: of the VM or the end system.
        kind: ``firewall`` or ``balancer``.
        counts: packets or connections, by name.
        failures: what should not have been.
    """

    name: str
    kind: str
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{number} {name}" for name, number in self.counts.items())
        verdict = "; ".join(self.failures)
        return f"{self.kind} {self.name}: {counts}{f': {verdict}' if verdict else ''}"


def firewall_report(name: str, counts: Mapping[str, int], ways: Iterable[str]) -> ApplianceReport:
    """Judge the counters of a firewall in a VM.

    Args:
        ways: names of those that must not be 0.
    """
    silent = (f"{name} has routed nothing {way}" for way in ways if not counts[way])
    return ApplianceReport(name, "firewall", counts, (*silent, *_bypassed(name, counts)))


def balancer_report(name: str, counts: Mapping[str, int]) -> ApplianceReport:
    """Judge the counters of a load balancer at a host port."""
    idle = () if counts["connections"] else (f"{name} has handed on no connection",)
    return ApplianceReport(name, "balancer", counts, (*idle, *_bypassed(name, counts)))


def _bypassed(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    if counts["bypassed"]:
        yield f"{counts['bypassed']} packets have passed by {name}"
