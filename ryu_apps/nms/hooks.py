"""Calls of hooks of components that speak no OpenFlow, and the log events of bridges that lead to them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from ryu_apps.evb.event_catalogue.vsis import BodyStaged, StateFixedUp, VsiActive, VsiGone
from ryu_apps.nms.schema import HookSection


class Step(Enum):
    """Steps of a VSI at a bridge; the value is the word of the configuration."""

    STAGE = "stage"
    """Its rules are in the switch, behind the gate."""
    ACTIVATE = "activate"
    """Its gate is open."""
    FIX_UP = "fix-up"
    """State that came after it was staged is in the switch."""
    RELEASE = "release"
    """Nothing is left of it at a port."""


#: Log events of a bridge that are such steps.
STEPS = {
    BodyStaged.row.kind: Step.STAGE,
    VsiActive.row.kind: Step.ACTIVATE,
    StateFixedUp.row.kind: Step.FIX_UP,
    VsiGone.row.kind: Step.RELEASE,
}


def told(hooks: Mapping[str, HookSection], bridge: str, event: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each hook that wants an event is told, by its name.

    Args:
        event: of ``/evb/events/stream``.
    """
    step = STEPS.get(str(event.get("kind")))
    if step is None:
        return {}
    call = {
        "id": f"{bridge}/{event['id']}",
        "step": step.value,
        "bridge": bridge,
        **{name: event.get(name) for name in ("vsi", "port", "dpid", "wall", "detail")},
    }
    return {name: {**call, "hook": name} for name, hook in hooks.items() if wants(hook, bridge, step.value)}


def wants(hook: HookSection, bridge: str, step: str) -> bool:
    """True if a hook is told of a step at a bridge."""
    return step in hook.steps and (hook.bridges is None or bridge in hook.bridges)
