"""Bodies of the manager's REST requests, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from ryu_apps.evb.config.values import VlanId
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.vcm.move_events import LIVE_LADDERS, GrantedNetwork, Ladder
from ryu_apps.vcm.plans import GoalKind

GoalName = Annotated[str, Field(min_length=1, max_length=64)]


def _one_of(written: object, values: dict[str, object]) -> object:
    if not isinstance(written, str) or written not in values:
        raise ValueError(f"one of {', '.join(values)} was expected")
    return values[written]


# Functions, since on Python 3.13 an enumeration does not look like one of a single argument.
def _kind(written: object) -> object:
    return _one_of(written, {kind.value: kind for kind in GoalKind})


def _way(written: object) -> object:
    return _one_of(written, {ladder.value: ladder for ladder in LIVE_LADDERS})


_TEXT = WithJsonSchema({"type": "string"})


class GoalBody(Strict):
    """A goal, and how it is to be pursued; the words and defaults of ``evbridge vcm run``."""

    goal: Annotated[GoalKind, PlainValidator(_kind), _TEXT]
    subject: Annotated[str, Field(max_length=64)] = ""
    parallel: Annotated[int, Field(ge=1, le=1000)] = 2
    ladder: Annotated[Ladder, PlainValidator(_way), _TEXT] = Ladder.MINIMIZE_LATENCY
    ahead: bool = False
    delay: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    probe: Annotated[int, Field(ge=0, le=1000)] = 0
    restarts: Annotated[int, Field(ge=0, le=1000)] = 0


class AnswerBody(Strict):
    """Result of the step of that number.

    ``failure`` is the reason of a failure, null for a success.  ``vid`` and ``pcp`` are those of the bridge's answer.
    """

    step: Annotated[int, Field(ge=1)]
    failure: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    vid: VlanId | None = None
    pcp: Annotated[int, Field(ge=0, le=7)] | None = None

    @model_validator(mode="after")
    def _pcp_of_a_vid(self) -> Self:
        if self.pcp is not None and self.vid is None:
            raise ValueError("pcp is the priority of a VID: vid is missing")
        return self

    @property
    def network(self) -> GrantedNetwork | None:
        """Network that the bridge has answered, if it was told."""
        return None if self.vid is None else GrantedNetwork(self.vid, self.pcp)


class ObservationBody(Strict):
    """Measured or reported values: failures by subject, percent by node, room for rules by switch."""

    failed: Annotated[dict[GoalName, bool], Field(max_length=10_000)] = Field(default_factory=dict)
    load: Annotated[dict[GoalName, Annotated[float, Field(ge=0, le=1000)]], Field(max_length=10_000)] = Field(
        default_factory=dict
    )
    rules_left: Annotated[dict[GoalName, int], Field(max_length=10_000)] = Field(default_factory=dict)


class LapsedBody(Strict):
    """A reservation that the bridge has taken back."""

    vm: GoalName
    node: GoalName


class NodeBody(Strict):
    """A node that is dead."""

    node: GoalName


class VmsBody(Strict):
    """VMs; none: all whose reservations are kept."""

    vms: Annotated[list[GoalName], Field(max_length=100_000)] = Field(default_factory=list)


class HaltBody(Strict):
    """A halt; ``undo``: also of what is done."""

    undo: bool = False


class AliveBody(Strict):
    """State of a node."""

    alive: bool
