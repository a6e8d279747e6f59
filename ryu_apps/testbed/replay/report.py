"""Reports of a scenario: figures, verdict and evidence of each migration.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ryu_apps.testbed.measurement.appliances import ApplianceReport
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.evidence import Marks


@dataclass(frozen=True, slots=True)
class GatheredVm:
    """Knowledge of the NMS about a VM.

    Attributes:
        places: where its samples have seen it, in their order; none: its type has no statistics.
        counts: totals over all places, by name.
        steps: that the hook was told, each with its place.
        failures: what should not have been.
    """

    vm: str
    places: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """Figures, verdict and evidence of one migration.

    Attributes:
        failures: see ``measurement.verdict.failures``.
        staged, active: the rules that the destination's switch held for the VSI before and after Associate.
        strays: frames seen where none should be, in hexadecimal.
        services: what each service had to do, and
        timeline: the controller's events, both as REST told them.
        ladder: the diagram as text.
        marks: instants of the move in seconds of the monotonic clock, as in ``packets.csv``; 0 for what did not happen.
    """

    figures: Figures
    failures: tuple[str, ...]
    staged: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    services: tuple[dict[str, Any], ...] = ()
    timeline: tuple[dict[str, Any], ...] = ()
    ladder: str = ""
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """Report of a whole scenario.

    Attributes:
        environment: of the run: machine, versions.
        appliances: what has gone through each.
        gathered: what the NMS knows of each VM, if there is an NMS.
        wall_offset: Unix time less the monotonic time, in seconds.
    """

    scenario: str
    migrations: tuple[MigrationReport, ...] = field(default=())
    environment: dict[str, Any] = field(default_factory=dict)
    appliances: tuple[ApplianceReport, ...] = ()
    gathered: tuple[GatheredVm, ...] = ()
    wall_offset: float = 0.0

    @property
    def ok(self) -> bool:
        """All must-be-zero counters are 0, all expectations are met, and appliances and NMS have done their part."""
        failures = [part.failures for part in self.migrations]
        failures += [part.failures for part in self.appliances]
        failures += [vm.failures for vm in self.gathered]
        return bool(self.migrations) and not any(failures)

    def as_json(self) -> dict[str, Any]:
        """Return a value for ``json.dump``."""
        return {
            "scenario": self.scenario,
            "ok": self.ok,
            "environment": self.environment,
            "appliances": [asdict(appliance) for appliance in self.appliances],
            "gathered": [asdict(vm) for vm in self.gathered],
            "wall_offset": self.wall_offset,
            "migrations": [
                {**asdict(migration), "figures": migration.figures.as_json()} for migration in self.migrations
            ],
        }


def services_text(report: MigrationReport) -> str:
    """Return what the services had to do, in one line for people."""
    texts = []
    for service in report.services:
        words = [service["state"]]
        words += [f"{service['carried']} rules of state carried"] if service["carried"] else []
        fixed = service["fixed_up"]
        words += [f"{fixed} of them fixed up in {1000 * service['fix_up_secs']:.1f} ms"] if fixed else []
        texts.append(f"{service['name']} {', '.join(words)}")
    return "; ".join(texts)
