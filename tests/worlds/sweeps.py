"""Scenarios and results of sweeps, without a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.evidence import Marks, MoveOutcome
from ryu_apps.testbed.replay.report import MigrationReport, ReplayReport
from ryu_apps.testbed.sweep.parameters import read_parameter
from ryu_apps.testbed.sweep.plan import Plan, PlannedRun, plan_sweep
from ryu_apps.testbed.sweep.record import Row, rows_of

POLICIES = Path(__file__).parents[2] / "policies"
SCENARIO = f"""\
version: 1
name: short
cluster: {{topology: two_switch, n: 8, policies: ["{POLICIES}"]}}
vms:
  vm1: {{at: hv1, mac: "52:54:00:aa:00:01", ip: 10.0.100.11, type: 1, version: 1}}
flows:
  probe: {{proto: udp, vm: vm1, port: 443, interval_ms: 1}}
migrations:
  - {{vm: vm1, to: hv5, ladder: minimize-latency, copy_ms: 20}}
"""
ENVIRONMENT = {"date": "2026-11-30 03:00:00 UTC", "kernel": "6.1", "cores": 2, "openvswitch": "3.1.0"}


def scenario_in(folder: Path, text: str = SCENARIO) -> Path:
    """A scenario file."""
    path = folder / "short.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def planned(folder: Path, settings: Sequence[str], repeat: int = 1, seed: int = 0) -> Plan:
    """Plan of a sweep of the short scenario."""
    return plan_sweep(scenario_in(folder), list(map(read_parameter, settings)), repeat, seed)


def reported(blackout_ms: float, failures: Iterable[str] = (), suspended: float = 100.0) -> ReplayReport:
    """Report of a run of the short scenario."""
    figures = Figures("vm1", "minimize-latency", "hv1", "hv5", MoveOutcome.COMPLETED, blackout_to_vm_ms=blackout_ms)
    marks = Marks(begun=suspended - 0.5, suspended=suspended, associating=suspended + 0.01, resumed=suspended + 0.02)
    migration = MigrationReport(figures, tuple(failures), marks=marks)
    return ReplayReport("short", (migration,), ENVIRONMENT)


def rows_for(runs: Iterable[PlannedRun], blackouts: Iterable[float]) -> list[Row]:
    """Lines of some runs with these blackouts in milliseconds."""
    return [row for run, blackout in zip(runs, blackouts, strict=True) for row in rows_of(run, reported(blackout))]
