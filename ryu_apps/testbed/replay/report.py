"""The figures of a scenario and what they have to be.  Pure: figures in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ryu_apps.testbed.replay.scenario import Expectation, ExpectedOutcome


@dataclass(frozen=True, slots=True)
class Figures:
    """What one migration came to.  Times in milliseconds; None where there was nothing to measure.

    Attributes:
        vm, ladder, source, destination: which migration.
        outcome: how it ended.
        reason: why, if it did not complete.
        error: VDP error code of a refusal, None without one.
        rules_staged: rules of the VSI's body that the destination's switch held before Associate.
        gates_staged: gate rules among what staging added; must be 0.
        stage_ms: Pre-Associate frame to response.
        associate_ms: Associate frame to response.
        handover_ms: from the suspension to the Associate frame: the harness moving the VM, not the network.
        first_to_vm_ms, first_from_vm_ms: Associate frame to the first datagram that arrived.
        blackout_to_vm_ms, blackout_from_vm_ms: longest gap between arrivals around the move.
        sent, lost_to_vm, lost_from_vm: datagrams of flows that policy lets through.
        injected: frames sent with the VM's address from the staged port before Associate.
        leaked_from_staged, leaked_to_staged: of these or of the VM's own traffic, past the closed gate; must be 0.
        wrongly_passed: datagrams that policy should have blocked; must be 0.
        wrongly_blocked: datagrams that policy lets through, lost although the VM was not under way; must be 0.
        blocked: datagrams that policy blocked, as it should.
        rules_left: rules of the VSI in the switch where the VM is not; must be 0.
        streams_broken: TCP flows that did not survive, with reasons; must be empty.
    """

    vm: str
    ladder: str
    source: str
    destination: str
    outcome: ExpectedOutcome
    reason: str = ""
    error: int | None = None
    rules_staged: int = 0
    gates_staged: int = 0
    stage_ms: float | None = None
    associate_ms: float | None = None
    handover_ms: float | None = None
    first_to_vm_ms: float | None = None
    first_from_vm_ms: float | None = None
    blackout_to_vm_ms: float | None = None
    blackout_from_vm_ms: float | None = None
    sent: int = 0
    lost_to_vm: int = 0
    lost_from_vm: int = 0
    injected: int = 0
    leaked_from_staged: int = 0
    leaked_to_staged: int = 0
    wrongly_passed: int = 0
    wrongly_blocked: int = 0
    blocked: int = 0
    rules_left: int = 0
    streams_broken: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """Datagrams lost, both directions."""
        return self.lost_to_vm + self.lost_from_vm

    @property
    def blackout_ms(self) -> float | None:
        """The longer of the two blackouts."""
        return max((one for one in (self.blackout_to_vm_ms, self.blackout_from_vm_ms) if one is not None), default=None)


#: Figures that have to be zero whatever the scenario, and what it means when one is not.
ZEROS = {
    "gates_staged": "gate rules were there before Associate",
    "leaked_from_staged": "frames left the staged port before Associate",
    "leaked_to_staged": "frames reached the staged port before Associate",
    "wrongly_passed": "datagrams passed that policy blocks",
    "wrongly_blocked": "datagrams were lost that policy lets through, and the VM was not under way",
    "rules_left": "rules were left where the VM is not",
}


def failures(figures: Figures, expect: Expectation) -> list[str]:
    """Everything that is not as it has to be; empty for a success."""
    return list(_failures(figures, expect))


def _failures(figures: Figures, expect: Expectation) -> Iterator[str]:
    for name, meaning in ZEROS.items():
        if getattr(figures, name):
            yield f"{getattr(figures, name)} {meaning}"
    yield from (f"stream {one}" for one in figures.streams_broken)
    if figures.outcome is not expect.outcome:
        yield f"{figures.outcome.value} instead of {expect.outcome.value} {figures.reason}".rstrip()
    if expect.error is not None and figures.error != expect.error:
        yield f"VDP error {figures.error} instead of {expect.error}"
    if expect.lost is not None and figures.lost > expect.lost:
        yield f"{figures.lost} datagrams lost, {expect.lost} allowed"
    if expect.blackout_ms is not None and (figures.blackout_ms or 0.0) > expect.blackout_ms:
        yield f"blackout of {figures.blackout_ms:.0f} ms, {expect.blackout_ms:.0f} allowed"
    if figures.outcome is ExpectedOutcome.COMPLETED and not figures.rules_staged:
        yield "nothing was staged"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """Figures, verdict and evidence of one migration.

    Attributes:
        failures: see :func:`failures`.
        staged, active: the rules that the destination's switch held for the VSI before and after Associate.
        strays: frames seen where none should be, in hexadecimal.
        services: what each service had to do, and
        timeline: the controller's events, both as REST told them.
        ladder: the diagram as text.
    """

    figures: Figures
    failures: tuple[str, ...]
    staged: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    services: tuple[dict[str, Any], ...] = ()
    timeline: tuple[dict[str, Any], ...] = ()
    ladder: str = ""


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """A whole scenario."""

    scenario: str
    migrations: tuple[MigrationReport, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """The zeros are zeros and every expectation held."""
        return bool(self.migrations) and not any(one.failures for one in self.migrations)

    def as_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return {
            "scenario": self.scenario,
            "ok": self.ok,
            "migrations": [_migration_json(one) for one in self.migrations],
        }


def _migration_json(one: MigrationReport) -> dict[str, Any]:
    figures = {**asdict(one.figures), "outcome": one.figures.outcome.value}
    figures["lost"], figures["blackout_ms"] = one.figures.lost, one.figures.blackout_ms
    return {**asdict(one), "figures": figures}


#: Rows of the table for people: (words, figure, unit).
ROWS = (
    ("rules staged at the destination", "rules_staged", ""),
    ("gate rules before Associate", "gates_staged", "must be 0"),
    ("Pre-Associate to response", "stage_ms", "ms"),
    ("Associate to response", "associate_ms", "ms"),
    ("VM suspended to Associate (moving it)", "handover_ms", "ms"),
    ("Associate to first packet to the VM", "first_to_vm_ms", "ms"),
    ("Associate to first packet from the VM", "first_from_vm_ms", "ms"),
    ("blackout towards the VM", "blackout_to_vm_ms", "ms"),
    ("blackout from the VM", "blackout_from_vm_ms", "ms"),
    ("datagrams sent", "sent", ""),
    ("lost towards the VM", "lost_to_vm", ""),
    ("lost from the VM", "lost_from_vm", ""),
    ("injected at the staged port", "injected", ""),
    ("leaked from the staged port", "leaked_from_staged", "must be 0"),
    ("leaked to the staged port", "leaked_to_staged", "must be 0"),
    ("blocked by policy", "blocked", ""),
    ("should have been blocked and passed", "wrongly_passed", "must be 0"),
    ("should have passed and was lost", "wrongly_blocked", "must be 0"),
    ("rules left where the VM is not", "rules_left", "must be 0"),
)


def cell(figures: Figures, name: str) -> str:
    """One figure for a table."""
    value = getattr(figures, name)
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def services_told(report: MigrationReport) -> str:
    """What the services had to do, in one line for people."""
    told = []
    for one in report.services:
        words = [one["state"]]
        words += [f"{one['carried']} rules of state carried"] if one["carried"] else []
        fixed = one["fixed_up"]
        words += [f"{fixed} of them fixed up in {1000 * one['fix_up_secs']:.1f} ms"] if fixed else []
        told.append(f"{one['name']} {', '.join(words)}")
    return "; ".join(told)
