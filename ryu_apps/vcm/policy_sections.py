"""Section ``policies`` of an inventory: conditions, and the goals that they start."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from ryu_apps.evb.config.values import PlainName
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.plans import Goal, GoalKind
from ryu_apps.vcm.triggers import Condition, OperatorPolicy


def _time_of_day(written: object) -> float:
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", written) if isinstance(written, str) else None
    if found is None:
        raise ValueError("a time of day (UTC) was expected, such as '22:30'")
    return 3600.0 * int(found[1]) + 60.0 * int(found[2])


def _kind(written: object) -> GoalKind:
    kinds = {kind.value: kind for kind in GoalKind}
    if not isinstance(written, str) or written not in kinds:
        raise ValueError(f"one of {', '.join(kinds)} was expected")
    return kinds[written]


_TEXT = WithJsonSchema({"type": "string"})
TimeOfDay = Annotated[float, PlainValidator(_time_of_day), _TEXT]


class ConditionSection(Strict):
    """Condition of a policy: one of ``failed``, ``load_above``, ``rules_left_below`` and ``at``."""

    failed: PlainName | None = None
    load_above: Annotated[float, Field(ge=0, le=100)] | None = None
    rules_left_below: Annotated[int, Field(ge=1)] | None = None
    of: PlainName | None = None
    at: TimeOfDay | None = None
    until: TimeOfDay | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        given = [self.failed, self.load_above, self.rules_left_below, self.at]
        if sum(value is not None for value in given) != 1:
            raise ValueError("one of failed, load_above, rules_left_below and at was expected")
        measured = self.load_above is not None or self.rules_left_below is not None
        if measured != (self.of is not None):
            raise ValueError("of names the node of load_above, or the switch of rules_left_below")
        if self.until is not None and self.at is None:
            raise ValueError("until ends a window that begins with at")
        return self


class OperatorPolicySection(Strict):
    """A condition and a goal; without a subject the goal is about what the condition names."""

    when: ConditionSection
    goal: Annotated[GoalKind, PlainValidator(_kind), _TEXT]
    subject: PlainName | None = None
    parallel: Annotated[int, Field(ge=1, le=1000)] = 2
    restarts: Annotated[int, Field(ge=0, le=1000)] = 0
    probe: Annotated[int, Field(ge=0, le=1000)] = 0


def policies_of(sections: Mapping[str, OperatorPolicySection]) -> tuple[OperatorPolicy, ...]:
    """The policies of a checked section."""
    return tuple(_policy(name, section) for name, section in sections.items())


def strays(
    sections: Mapping[str, OperatorPolicySection],
    nodes: Collection[str],
    switches: Collection[str],
    powers: Collection[str],
) -> Iterator[Finding]:
    """Yield names that an inventory does not have."""
    subjects = {*nodes, *switches, *powers}
    for name, section in sections.items():
        when, here = section.when, ("policies", name)
        if when.failed is not None and when.failed not in subjects:
            yield (*here, "when", "failed"), f"there is no node, switch or power domain {when.failed!r}"
        if when.load_above is not None and when.of not in nodes:
            yield (*here, "when", "of"), f"there is no node {when.of!r}"
        if when.rules_left_below is not None and when.of not in switches:
            yield (*here, "when", "of"), f"there is no switch {when.of!r}"
        subject = _subject(section)
        if section.goal is GoalKind.REBALANCE and section.subject is not None:
            yield (*here, "subject"), "rebalance is about the whole cluster"
        elif section.goal is not GoalKind.REBALANCE and subject not in subjects:
            yield (*here, "goal"), f"{section.goal.value} has no subject: a node, switch or power domain"


def _policy(name: str, section: OperatorPolicySection) -> OperatorPolicy:
    when = section.when
    condition = Condition(when.failed, when.load_above, when.rules_left_below, when.of or "", when.at, when.until)
    goal = Goal(section.goal, "" if section.goal is GoalKind.REBALANCE else _subject(section))
    limits = MoveLimits(probes=section.probe, restarts=section.restarts)
    return OperatorPolicy(name, condition, goal, section.parallel, limits)


def _subject(section: OperatorPolicySection) -> str:
    return section.subject or section.when.failed or section.when.of or ""
