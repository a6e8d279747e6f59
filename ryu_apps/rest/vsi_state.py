"""State of a VSI as one document: read where it is active, and staged where it is reserved.

A pod reads it from another one; an NMS reads it from one bridge and puts it to the next.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ryu_apps.evb.bridge.state_imports import Cause, StateImports
from ryu_apps.evb.events.other import StateGiven, StateWanted
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pods.state_document import (
    MAX_RULES,
    StateDocument,
    StateError,
    VsiState,
    memberships_of,
    rule_of,
    to_json,
)
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.rest.bridge import Bridge, Later, RestError
from ryu_apps.rest.numbers import INTEGRAL

#: Octets of the body of a ``PUT``.
MAX_STATE = 16_000_000

_Short = Annotated[int, Field(ge=0, le=0xFFFF), INTEGRAL]
_Hexadecimal = Annotated[str, Field(pattern="^0x[0-9a-f]{1,32}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 63), INTEGRAL]
#: Characters of the memberships, and of a name.
_MAX_MEMBERSHIPS, _LONGEST = 1_000_000, 200
_STATUSES = {Cause.UNKNOWN: 404, Cause.ACTIVE: 409, Cause.ROOM: 409, Cause.AWAY: 503, Cause.FOREIGN: 422}


class StagedAtJson(TypedDict):
    """State that is staged at one port: number of rules by service."""

    port: str
    services: dict[str, int]


class StagedJson(TypedDict):
    """State that is staged for a VSI."""

    vsi: str
    staged: list[StagedAtJson]


class BroughtRule(Strict):
    """A rule that a switch has learned for a VSI, without its cookie."""

    table: Annotated[str, Field(min_length=1, max_length=64)]
    priority: _Short
    match: Annotated[
        dict[str, _Hexadecimal | Annotated[list[_Hexadecimal], Field(min_length=2, max_length=2)]],
        Field(max_length=32),
    ]
    actions: Annotated[list[Annotated[list[str | int], Field(min_length=1, max_length=5)]], Field(max_length=32)]
    idle_timeout: _Short
    hard_timeout: _Short


def _converted(written: list[BroughtRule]) -> tuple[Rule, ...] | StateError:
    """Rules of a document, or its first mistake: a VSI that is not reserved is to be answered with that."""
    try:
        return tuple(rule_of(rule.model_dump()) for rule in written)
    except StateError as error:
        return error


class BroughtTotals(Strict):
    """Frames and octets of a VSI at all places where it was, for each direction."""

    from_vm: Annotated[list[_Count], Field(min_length=2, max_length=2)]
    to_vm: Annotated[list[_Count], Field(min_length=2, max_length=2)]


class BroughtState(Strict):
    """State of a VSI as ``GET`` shows it.

    Attributes:
        final: the gate was shut when it was read.
        memberships: groups of multicast, encoded.
    """

    version: Annotated[Literal[1], INTEGRAL]
    vsi: Annotated[str, Field(max_length=_LONGEST)]
    type: Annotated[str, Field(max_length=_LONGEST)]
    digest: Annotated[str, Field(max_length=_LONGEST)]
    final: bool
    rules: Annotated[list[BroughtRule], Field(max_length=MAX_RULES), AfterValidator(_converted)]
    memberships: Annotated[str, Field(max_length=_MAX_MEMBERSHIPS, pattern="^[A-Za-z0-9+/]*={0,2}$")]
    totals: BroughtTotals | None

    def state(self) -> VsiState:
        """The same as the core has it.

        Raises:
            StateError: a rule or the memberships cannot be used.
        """
        rules: object = self.rules
        if isinstance(rules, StateError):
            raise rules
        assert isinstance(rules, tuple)
        totals = None if self.totals is None else (_pair(self.totals.from_vm), _pair(self.totals.to_vm))
        memberships = memberships_of(self.memberships)
        return VsiState(self.vsi, self.type, self.digest, self.final, rules, memberships, totals)


def _pair(count: list[int]) -> tuple[int, int]:
    packets, octets = count
    return packets, octets


def state(bridge: Bridge, now: float, vsi: str) -> Later[StateDocument]:
    """State of a VSI where it is active: what switches have learned for it, its groups and totals.

    Raises:
        RestError: 404, it is active at no port, and has not left within the last minute; 503, its switch is not
            connected.
    """
    bridge.deliver(StateWanted(vsi))

    def ready() -> bool:
        found = bridge.queries.pods.state(vsi)
        return found is None or found.complete or found.failure is not None

    def answer(later: float) -> StateDocument:
        found = bridge.queries.pods.state(vsi)
        if found is None:
            raise RestError(404, f"VSI {vsi} is active at no port")
        if found.failure is not None:
            raise RestError(503, found.failure)
        return to_json(found.state)

    return Later(ready, answer)


def put_state(bridge: Bridge, now: float, vsi: str, body: BroughtState) -> Later[StagedJson]:
    """Stage the state of a VSI behind the gate of its reservation, in the place of what was put before.

    The answer comes when the switches and the store have confirmed.

    Raises:
        RestError: 404, it is reserved at no port; 409, it is active here, or there is no room for so much; 422, it is
            about another VSI, or no switch could have learned it; 503, a switch is not connected, or the store fails.
    """
    imports = bridge.queries.imports
    if not imports.staged(vsi) and (refusal := imports.objection(VsiState(vsi, "", "", False))) is not None:
        raise RestError(_STATUSES[refusal.cause], refusal.reason)
    if body.vsi != vsi:
        raise RestError(422, f"vsi: the state is about VSI {body.vsi}")
    try:
        state = body.state()
    except StateError as error:
        raise RestError(422, str(error)) from None
    if (refusal := imports.objection(state)) is not None:
        raise RestError(_STATUSES[refusal.cause], refusal.reason)
    bridge.deliver(StateGiven(state))
    return Later(lambda: imports.is_written(vsi), lambda later: _staged_json(imports, vsi))


def _staged_json(imports: StateImports, vsi: str) -> StagedJson:
    if (failure := imports.failure(vsi)) is not None:
        raise RestError(503, f"the store: {failure}")
    staged: list[StagedAtJson] = [
        {"port": found.port, "services": dict(found.services)} for found in imports.staged(vsi)
    ]
    return {"vsi": vsi, "staged": staged}
