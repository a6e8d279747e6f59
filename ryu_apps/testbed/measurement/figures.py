"""Figures of one move, and their table.  Values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ryu_apps.testbed.moves.evidence import MoveOutcome


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one move.  Times in milliseconds; None where there was nothing to measure.

    Attributes:
        vm, ladder, source, destination: of the move.
        outcome, reason: the reason is empty if it completed.
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
    outcome: MoveOutcome
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
        both = (self.blackout_to_vm_ms, self.blackout_from_vm_ms)
        return max((blackout for blackout in both if blackout is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """Return a value for ``json.dump``."""
        own = {**asdict(self), "outcome": self.outcome.value}
        return {**own, "lost": self.lost, "blackout_ms": self.blackout_ms}


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
    """Return one figure as the text of a table's cell."""
    value = getattr(figures, name)
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
