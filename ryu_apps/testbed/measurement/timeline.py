"""Figures of one move from the controller's timeline: work of the bridge that no probe shows.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.event_catalogue.catalogue import from_json
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    StateCarried,
    StateFixedUp,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiSuspended,
)
from ryu_apps.evb.wire.vdp import VdpMode


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
    here = [(entry["t"], from_json(entry)) for entry in events if entry["port"] == destination]
    requested = [(t, event) for t, event in here if isinstance(event, VdpRequested)]
    answered = [(t, event) for t, event in here if isinstance(event, VdpAnswered)]
    staging, associating = (_first(requested, mode) for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE))
    staged, associated = (_first(answered, mode) for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE))
    fix_ups = [(t, event.rules) for t, event in here if isinstance(event, StateFixedUp)]
    late = [(t, rules) for t, rules in fix_ups if t >= associating]
    return BridgeFigures(
        stage_ms=_ms(staging, staged),
        rules=next(event.rules for _, event in here if isinstance(event, BodyStaged)),
        carried=sum(event.rules for _, event in here if isinstance(event, StateCarried)),
        early=sum(rules for t, rules in fix_ups if t < associating),
        associate_ms=_ms(associating, associated),
        fixed_up=sum(rules for _, rules in late),
        fix_up_ms=_ms(associating, late[-1][0]) if late else None,
    )


@dataclass(frozen=True, slots=True)
class Exchanges:
    """VDP of one move at both ports: requests, answers and unsolicited De-Associates; answered requests."""

    messages: int
    round_trips: int


def exchanges(events: Sequence[dict[str, Any]]) -> Exchanges:
    """Count the VDP messages of a move; keep-alives and their answers are in no timeline.

    An Associate with the S bit repeats one that is in force: the timeline has the suspension, and the answer, which
    VDP's table makes of every repetition, goes without an event.
    """
    found = [from_json(entry) for entry in events]
    repeated = sum(isinstance(event, VsiSuspended) for event in found)
    messages = sum(isinstance(event, VdpRequested | VdpAnswered | UnsolicitedDeassociate) for event in found)
    answered = sum(isinstance(event, VdpAnswered) for event in found)
    return Exchanges(messages + 2 * repeated, answered + repeated)


def _first(events: Iterable[tuple[float, VdpRequested | VdpAnswered]], mode: VdpMode) -> float:
    """Return the time of the first event about a mode."""
    return next(t for t, event in events if event.mode is mode)


def _ms(begin: float, end: float) -> float:
    return (end - begin) * 1000.0
