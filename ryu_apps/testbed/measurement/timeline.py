"""Figures of one move from the controller's timeline: work of the bridge that no probe shows.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BridgeFigures:
    """Work of the bridge for one move.  Times in milliseconds; None where nothing was done.

    Attributes:
        stage_ms, rules: Pre-Associate with Resource Reservation to its answer, and the rules that were new.
        carried: rules of state staged along with them.
        early: rules of state that went at the source's trigger.
        associate_ms: Associate to its answer.
        fixed_up, fix_up_ms: rules of state that only Associate brought; from Associate until all state is in force.
    """

    stage_ms: float
    rules: int
    carried: int
    early: int
    associate_ms: float
    fixed_up: int
    fix_up_ms: float | None


def bridge_figures(events: Sequence[dict[str, Any]], destination: str) -> BridgeFigures:
    """Compute the figures of a move that has ended.

    Args:
        events: of the VSI since the move began, as REST shows them.
        destination: bridge port, ``dpid:port``.
    """
    here = [event for event in events if event["port"] == destination]

    def first(kind: str, mode: str | None = None) -> dict[str, Any]:
        return next(event for event in here if event["kind"] == kind and mode in (None, event["detail"].get("mode")))

    staging, associating = first("vdp.request", "PREASSOCIATE_RR"), first("vdp.request", "ASSOCIATE")
    fix_ups = [event for event in here if event["kind"] == "state.fixed_up"]
    late = [event for event in fix_ups if event["t"] >= associating["t"]]
    carried = [event["detail"]["rules"] for event in here if event["kind"] == "state.carried"]
    return BridgeFigures(
        stage_ms=_ms(staging, first("vdp.response", "PREASSOCIATE_RR")),
        rules=first("flow.staged")["detail"]["rules"],
        carried=sum(carried),
        early=sum(event["detail"]["rules"] for event in fix_ups if event not in late),
        associate_ms=_ms(associating, first("vdp.response", "ASSOCIATE")),
        fixed_up=sum(event["detail"]["rules"] for event in late),
        fix_up_ms=_ms(associating, late[-1]) if late else None,
    )


def _ms(begin: dict[str, Any], end: dict[str, Any]) -> float:
    return float(end["t"] - begin["t"]) * 1000.0
