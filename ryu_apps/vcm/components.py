"""Components at an NMS that a step of a move waits for.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ryu_apps.vcm.move_events import Coordination, MoveStep

#: Steps of components that a step of a move waits for; one that need not come.
_STEPS = {
    MoveStep.AWAIT_STAGE: ("stage",),
    MoveStep.AWAIT_ACTIVATE: ("activate", "fix-up"),
    MoveStep.AWAIT_RELEASE: ("release",),
}
_OPTIONAL = "fix-up"
#: Steps of a move in which it waits.
AWAITING = frozenset(_STEPS)


class PendingComponent(NamedTuple):
    """A component that has not done a step, in words; ``failed``: it has given up."""

    words: str
    failed: bool


def steps_path(coordination: Coordination, vsi: str, port: str) -> str:
    """Path at the NMS of the steps of a VSI at a port of the bridge."""
    return f"/nms/vsis/{quote(vsi)}/steps?{urlencode({'bridge': coordination.bridge, 'port': port})}"


def pending(coordination: Coordination, step: MoveStep, answer: Iterable[Mapping[str, Any]]) -> list[PendingComponent]:
    """Components that have not done what a step of a move waits for, from the answer to :func:`steps_path`.

    Raises:
        KeyError, TypeError: it is not the answer of an NMS.
    """
    wanted = [name for name in _STEPS[step] if name in coordination.steps]
    left = [each for each in answer if each["step"] in wanted and each["state"] != "done"]
    return [
        PendingComponent(
            f"{each['hook']} {each['step']} {each['state']}{': ' if each['error'] else ''}{each['error'] or ''}",
            each["state"] == "failed",
        )
        for each in left
        if (each["step"], each["state"]) != (_OPTIONAL, "not told")
    ]


def not_ready(left: Iterable[PendingComponent], coordination: Coordination) -> str:
    """The reason why a move does not go on: components that have given up, or else those that are late."""
    failed = [found.words for found in left if found.failed]
    late = f" within {coordination.deadline:g} s" if not failed else ""
    return f"not ready{late}: {'; '.join(failed or [found.words for found in left])}"
