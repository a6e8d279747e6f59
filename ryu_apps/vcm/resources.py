"""The manager's REST resources: method, path and body in, status and JSON out.

Without HTTP server and clock; ``vcm_server.py`` has both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from ryu_apps.evb.policy.validate import BodyError, read_body
from ryu_apps.vcm.bodies import (
    AliveBody,
    AnswerBody,
    GoalBody,
    HaltBody,
    LapsedBody,
    NodeBody,
    ObservationBody,
    VmsBody,
)
from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.inventory import Occupancy, natural
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import Do
from ryu_apps.vcm.placement import Ranking
from ryu_apps.vcm.plans import Goal, GoalError, PlannedMove
from ryu_apps.vcm.service import GoalRun, ManagerService, NameTaken, Unknown
from ryu_apps.vcm.triggers import Observation, OperatorPolicy
from ryu_apps.vcm.vm_interface import VmInterface

__all__ = ["PATHS", "ManagerReply", "changes", "serve"]

JsonObject = dict[str, Any]


class ManagerReply(NamedTuple):
    """HTTP status and body."""

    status: int
    body: object


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def serve(service: ManagerService, method: str, path: str, body: bytes, now: float) -> ManagerReply:
    """Serve one request; what cannot be served changes nothing and says why.

    Args:
        path: without a query, unquoted.
        body: JSON; empty where none is wanted.
        now: seconds; never before those of an earlier request.
    """
    try:
        reply = _served(service, method, path.strip("/").split("/"), body, now)
        if changes(method, path):
            service.begin_waiting(now)
        return reply
    except BodyError as error:
        return ManagerReply(error.status, {"error": str(error)})
    except _Refused as refused:
        return ManagerReply(refused.status, {"error": str(refused)})
    except Unknown as error:
        return ManagerReply(404, {"error": str(error)})
    except NameTaken as error:
        return ManagerReply(409, {"error": str(error)})
    except GoalError as error:
        return ManagerReply(422, {"error": str(error)})


def _served(service: ManagerService, method: str, path: list[str], body: bytes, now: float) -> ManagerReply:
    match method, path:
        case "GET", ["vcm", "inventory"]:
            return ManagerReply(200, _inventory_json(service))
        case "GET", ["vcm", "vms", vm, "places"]:
            ranking = _ranking_json(service.rank(vm))
            return ManagerReply(200, {"vm": vm, "at": _sorted(service.occupancy.places[vm]), **ranking})
        case "GET", ["vcm", "vms", vm, "ovf"]:
            return ManagerReply(200, {"vm": vm, "ovf": service.descriptor(vm) or None})
        case "PUT", ["vcm", "nodes", node]:
            return _node(service, node, read_body(AliveBody, body))
        case "GET", ["vcm", "policies"]:
            return ManagerReply(200, [_policy_json(service, policy) for policy in service.triggers.policies])
        case "POST", ["vcm", "observations"]:
            asked = read_body(ObservationBody, body)
            service.observe(Observation(asked.failed, asked.load, asked.rules_left), now)
            return ManagerReply(200, {"waiting": [policy.name for policy in service.triggers.waiting]})
        case "GET", ["vcm", "goals"]:
            return ManagerReply(200, [_brief(run) for run in service.pursuits])
        case "POST", ["vcm", "goals"]:
            return ManagerReply(201, _pursuit_json(_begin(service, read_body(GoalBody, body), now)))
        case "GET", ["vcm", "goals", number]:
            return ManagerReply(200, _pursuit_json(service.pursuit(_number(number))))
        case "POST", ["vcm", "goals", number, what] if what in _ACTIONS:
            return ManagerReply(200, _pursuit_json(_ACTIONS[what](service, _number(number), body, now)))
    methods = _methods(path)
    if methods:
        raise _Refused(405, f"{method} is none of {', '.join(methods)}")
    raise _Refused(404, f"there is nothing at /{'/'.join(path)}")


def changes(method: str, path: str) -> bool:
    """Return True if such a request may change something."""
    return method != "GET" and method in _methods(path.strip("/").split("/"))


def _methods(path: list[str]) -> tuple[str, ...]:
    return next((methods for pattern, methods in PATHS if _fits(path, pattern)), ())


def _fits(path: list[str], pattern: str) -> bool:
    parts = pattern.split("/")
    return len(parts) == len(path) and all(place in ("*", part) for place, part in zip(parts, path, strict=True))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise _Refused(400, f"{text!r} is not the number of a goal")
    return int(text)


# --- what can be done ------------------------------------------------------------------------------
def _begin(service: ManagerService, asked: GoalBody, now: float) -> GoalRun:
    settings = MoveLimits(asked.ladder, asked.delay, asked.ahead, asked.probe, asked.restarts)
    return service.pursue(Goal(asked.goal, asked.subject), settings, asked.parallel, now)


def _node(service: ManagerService, node: str, asked: AliveBody) -> ManagerReply:
    if not asked.alive:
        raise _Refused(409, "what becomes of its VMs is a goal: fail-over, or lost while one is being pursued")
    service.revived(node)
    return ManagerReply(200, _node_json(service, service.occupancy, node))


def _answers(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    said = read_body(AnswerBody, body)
    return service.answered(number, said.step, said.failure, now, said.network)


def _lapsed(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    said = read_body(LapsedBody, body)
    return service.lapsed(number, said.vm, said.node, now)


def _lost(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    return service.lost(number, read_body(NodeBody, body).node, now)


def _use(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    return service.use(number, tuple(read_body(VmsBody, body or b"{}").vms), now)


def _release(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    return service.release(number, tuple(read_body(VmsBody, body or b"{}").vms), now)


def _halt(service: ManagerService, number: int, body: bytes, now: float) -> GoalRun:
    return service.halt(number, read_body(HaltBody, body or b"{}").undo, now)


_Action = Callable[[ManagerService, int, bytes, float], GoalRun]
_ACTIONS: dict[str, _Action] = {
    "answers": _answers,
    "lapsed": _lapsed,
    "lost": _lost,
    "use": _use,
    "release": _release,
    "halt": _halt,
}
#: What there is, ``*`` for a name or number, and by which methods.
PATHS = (
    ("vcm/inventory", ("GET",)),
    ("vcm/vms/*/places", ("GET",)),
    ("vcm/vms/*/ovf", ("GET",)),
    ("vcm/nodes/*", ("PUT",)),
    ("vcm/policies", ("GET",)),
    ("vcm/observations", ("POST",)),
    ("vcm/goals", ("GET", "POST")),
    ("vcm/goals/*", ("GET",)),
    *((f"vcm/goals/*/{what}", ("POST",)) for what in _ACTIONS),
)


# --- what is shown ---------------------------------------------------------------------------------
def _sorted(names: frozenset[str]) -> list[str]:
    return sorted(names, key=natural)


def _inventory_json(service: ManagerService) -> JsonObject:
    inventory, occupancy = service.inventory, service.occupancy
    return {
        "name": inventory.name,
        "nodes": [_node_json(service, occupancy, name) for name in sorted(inventory.nodes, key=natural)],
        "vms": [
            {
                "vm": name,
                "at": _sorted(occupancy.places[name]),
                "vsi": vm.interface.vsi,
                "vlan": vm.interface.vlan,
                "group_id": vm.interface.group_id,
                "interfaces": [_interface_json(face) for face in vm.interfaces],
                "group": vm.group,
                "purpose": vm.purpose.value,
            }
            for name, vm in inventory.vms.items()
        ],
    }


def _interface_json(face: VmInterface) -> JsonObject:
    return {
        "vsi": face.vsi,
        "mac": face.mac,
        "vlan": face.vlan,
        "group_id": face.group_id,
        "type_id": face.type_id,
        "version": face.version,
    }


def _node_json(service: ManagerService, occupancy: Occupancy, name: str) -> JsonObject:
    node = service.inventory.nodes[name]
    used = occupancy.used(name)
    return {
        "node": name,
        "switch": node.switch,
        "power": node.power,
        "alive": name not in service.dead,
        "slots": node.capacity.slots,
        "memory_mib": node.capacity.memory_mib,
        "used": {"slots": used.slots, "memory_mib": used.memory_mib},
        "vms": list(occupancy.at(name)),
    }


def _ranking_json(ranking: Ranking) -> JsonObject:
    return {
        "candidates": [{"node": candidate.node, "words": candidate.words} for candidate in ranking.candidates],
        "rejected": [{"node": node.node, "reasons": list(node.reasons)} for node in ranking.rejected],
    }


def _brief(pursuit: GoalRun) -> JsonObject:
    return {
        "id": pursuit.number,
        "goal": str(pursuit.plan.goal),
        "open": pursuit.open,
        "policy": pursuit.policy or None,
    }


def _policy_json(service: ManagerService, policy: OperatorPolicy) -> JsonObject:
    return {
        "policy": policy.name,
        "when": {name: value for name, value in asdict(policy.condition).items() if value not in (None, "")},
        "goal": str(policy.goal),
        "parallel": policy.parallel,
        "waiting": policy in service.triggers.waiting,
    }


def _pursuit_json(pursuit: GoalRun) -> JsonObject:
    orchestrator = pursuit.orchestrator
    return {
        **_brief(pursuit),
        "settled": orchestrator.settled,
        "halted": orchestrator.halted,
        "plan": [_planned_json(planned) for planned in pursuit.plan.moves],
        "moves": [_move_json(move) for move in orchestrator.moves],
        "steps": [_step_json(number, do) for number, do in pursuit.handed.items()],
    }


def _planned_json(planned: PlannedMove) -> JsonObject:
    return {
        "vm": planned.vm,
        "source": planned.source,
        "target": planned.target,
        "words": planned.words,
        "ties": list(planned.ties),
    }


def _move_json(move: Move) -> JsonObject:
    return {
        "vm": move.vm,
        "source": move.source,
        "node": move.node or None,
        "network": asdict(move.network) if move.network else None,
        "way": move.way.value,
        "state": move.state.value,
        "ended": move.ended,
        "kept": move.kept,
        "home": move.home,
        "tried": dict(move.tried),
        "story": [{"t": note.t, "node": note.node, "text": note.text} for note in move.log],
    }


def _step_json(number: int, do: Do) -> JsonObject:
    return {
        "id": number,
        "vm": do.vm,
        "step": do.step.value,
        "node": do.node,
        "source": do.source,
        "datastore": do.datastore or None,
    }
