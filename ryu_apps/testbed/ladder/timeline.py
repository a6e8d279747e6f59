"""From the controller's event timeline to steps of a ladder.

The wire's own view (which frame when) is in these events too: ``vdp.request`` is written as the frame is taken from
the switch, ``vdp.response`` as the answer is handed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ryu_apps.testbed.ladder.model import LadderStep, Lane

#: A timeline event as REST shows it: t, kind, port, detail.
TimelineEntry = Mapping[str, Any]

_MODES = {
    "PREASSOCIATE": "Pre-Associate",
    "PREASSOCIATE_RR": "Pre-Associate with RR",
    "ASSOCIATE": "Associate",
    "DEASSOCIATE": "De-Associate",
}
_ERRORS = {
    0: "success",
    1: "error 1: invalid format",
    2: "error 2: insufficient resources",
    3: "error 3: unable to contact VSI manager",
    4: "error 4: other failure",
    5: "error 5: invalid VID, GroupID or MAC",
}
_HARD, _KEEP = 0x10, 0x20


def _request(detail: Mapping[str, Any]) -> str:
    mode: str = detail["mode"]
    return _MODES.get(mode, mode)


def _response(detail: Mapping[str, Any]) -> str:
    status = int(detail["status"], 16)
    words = _ERRORS.get(status & 0xF, f"error {status & 0xF}")
    flags = [name for bit, name in ((_HARD, "Hard"), (_KEEP, "Keep")) if status & bit]
    return f"{_request(detail)}: {' + '.join([words, *flags])}"


def _counted(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda detail: f"{words} ({detail['rules']} rules)" if "rules" in detail else words


def _said(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda detail: f"{words}: {detail['reason']}" if detail.get("reason") else words


#: kind -> (from the hypervisor: 1, to it: -1, within the switch: 0; words made from the detail).
_KINDS: dict[str, tuple[int, Callable[[Mapping[str, Any]], str]]] = {
    "vdp.request": (1, _request),
    "vdp.response": (-1, _response),
    "vdp.announce": (-1, _said("De-Associate, unsolicited")),
    "vdp.refused": (0, _said("refused")),
    "flow.staging": (0, _counted("body: installing")),
    "flow.staged": (0, _counted("body staged, read back")),
    "state.carried": (0, _counted("state read at the source, staging it")),
    "state.fixed_up": (0, _counted("state fixed up")),
    "state.lost": (0, _said("state lost")),
    "flow.activating": (0, lambda detail: "gate: opening"),
    "flow.activated": (0, lambda detail: "gate open"),
    "flow.swept": (0, lambda detail: "gate and body gone"),
}


def steps_of(events: Iterable[TimelineEntry], source: str, destination: str) -> list[LadderStep]:
    """The steps of a migration's timeline.

    Args:
        events: as in ``GET /evb/migrations/{id}``; kinds that have no place in a ladder are left out.
        source, destination: the two ports as REST writes them (``0000000000000001:1``).
    """
    ends = {source: (Lane.SOURCE, Lane.SOURCE_SWITCH), destination: (Lane.DESTINATION, Lane.DESTINATION_SWITCH)}
    steps = []
    for event in events:
        end, kind = ends.get(event["port"]), _KINDS.get(event["kind"])
        if end is None or kind is None:
            continue
        station, switch = end
        direction, words = kind
        origin, target = {1: (station, switch), -1: (switch, station), 0: (switch, switch)}[direction]
        steps.append(LadderStep(event["t"], origin, target, words(event["detail"])))
    return steps
