"""A client of ``evbridge vcm serve``: the manager's REST API as an external agent uses it.

Used like the library's ``Orchestrator``; uses the REST resources only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from ryu_apps.vcm.goal_events import (
    Go,
    HaltGoal,
    MoveLimits,
    NodeLost,
    OrchestratorEvent,
    ReleasePlaces,
    RoomAsked,
    StepAnswer,
    Use,
)
from ryu_apps.vcm.move_events import (
    DeadlinePassed,
    Do,
    GrantedNetwork,
    Ladder,
    Lapsed,
    MoveStep,
    Note,
    StepDone,
    StepFailed,
)
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.plans import Goal

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class RemoteMove:
    """A move as REST shows it; see ``ryu_apps.vcm.move.Move``."""

    vm: str
    source: str
    node: str
    way: Ladder
    state: MoveState
    kept: bool
    home: bool
    network: GrantedNetwork | None
    tried: dict[str, str]
    log: list[Note]


class RemoteOrchestrator:
    """One goal, pursued by the manager at a URL.

    Attributes:
        moves, settled, halted: as the manager has told them last.
        deadline: always None: it stays with the manager, which is asked from time to time.
    """

    deadline: float | None = None

    def __init__(self, url: str, goal: Goal, settings: MoveLimits, parallel: int) -> None:
        self.moves: list[RemoteMove] = []
        self.settled = self.halted = False
        self._url = url
        self._asked = {
            "goal": goal.kind.value,
            "subject": goal.subject,
            "parallel": parallel,
            "ladder": settings.way.value,
            "ahead": settings.ahead,
            "delay": settings.delay,
            "probe": settings.probes,
            "restarts": settings.restarts,
        }
        self._path = ""
        self._open: dict[int, Do] = {}
        self._opener = build_opener(ProxyHandler({}))

    def newest(self, vm: str) -> RemoteMove | None:
        """The newest move of a VM."""
        return next((move for move in reversed(self.moves) if move.vm == vm), None)

    def feed(self, event: OrchestratorEvent, now: float) -> list[Do]:
        """Tell the manager, and say what it wants done that it has not wanted before; ``now`` is its own business."""
        match event:
            case Go():
                found = self._call("POST", "/vcm/goals", self._asked)
                self._path = f"/vcm/goals/{found['id']}"
            case StepAnswer(vm, Lapsed(node)):
                found = self._call("POST", f"{self._path}/lapsed", {"vm": vm, "node": node})
            case StepAnswer(vm, StepDone(step, node) | StepFailed(step, node) as end):
                # Steps of a VM are done in their order: the oldest of them is the one that has ended.
                asked = ((number, do) for number, do in self._open.items() if do.vm == vm)
                number = next(number for number, do in asked if (do.step, do.node) == (step, node))
                told = {"failure": end.reason} if isinstance(end, StepFailed) else _network_of(end)
                found = self._call("POST", f"{self._path}/answers", {"step": number, **told})
            case NodeLost(node):
                found = self._call("POST", f"{self._path}/lost", {"node": node})
            case Use(vms) | ReleasePlaces(vms):
                what = "use" if isinstance(event, Use) else "release"
                found = self._call("POST", f"{self._path}/{what}", {"vms": list(vms)})
            case HaltGoal(undo):
                found = self._call("POST", f"{self._path}/halt", {"undo": undo})
            case DeadlinePassed() | RoomAsked():  # the manager asks by itself
                found = self._call("GET", self._path)
        return self._taken(found)

    def _taken(self, found: dict[str, Any]) -> list[Do]:
        self.moves = [_move(move) for move in found["moves"]]
        self.settled, self.halted = found["settled"], found["halted"]
        wanted = {
            step["id"]: Do(step["vm"], MoveStep(step["step"]), step["node"], step["source"], step["datastore"] or "")
            for step in found["steps"]
        }
        new = [do for number, do in wanted.items() if number not in self._open]
        self._open = wanted
        return new

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with self._opener.open(request, timeout=_PATIENCE) as response:
            found: dict[str, Any] = json.load(response)
        return found


def _step(told: dict[str, Any]) -> Do:
    return Do(told["vm"], MoveStep(told["step"]), told["node"], told["source"])


def _network_of(answer: StepDone) -> dict[str, Any]:
    return asdict(answer.network) if answer.network is not None else {}


def _move(told: dict[str, Any]) -> RemoteMove:
    return RemoteMove(
        told["vm"],
        told["source"],
        told["node"] or "",
        Ladder(told["way"]),
        MoveState(told["state"]),
        told["kept"],
        told["home"],
        GrantedNetwork(**told["network"]) if told["network"] else None,
        told["tried"],
        [Note(note["t"], note["node"], note["text"]) for note in told["story"]],
    )
