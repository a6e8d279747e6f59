"""Policies of the operator that start goals: a failure, a threshold, a time of day, a maintenance window.

A policy fires when its condition becomes true, and not again before it has been false.  Goals wait for their turn:
the manager pursues one at a time.  Time is an argument; observations come from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ryu_apps.vcm.goal_events import MoveLimits
from ryu_apps.vcm.plans import Goal

#: Seconds of a day; times of day are UTC.
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition under which a policy fires; exactly one attribute is set, ``until`` goes with ``start``.

    Attributes:
        failed: a node, a switch or a power domain is reported as failed.
        load_above: percent of a node (``of``).
        rules_left_below: rules that a switch (``of``) has room for.
        start: seconds since midnight, each day.
        until: end of a maintenance window that begins at ``start``; nodes of the subject take no VM meanwhile.
    """

    failed: str | None = None
    load_above: float | None = None
    rules_left_below: int | None = None
    of: str = ""
    start: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class OperatorPolicy:
    """A condition, the goal that it starts, and how that is pursued."""

    name: str
    condition: Condition
    goal: Goal
    parallel: int = 2
    limits: MoveLimits = MoveLimits()


@dataclass(frozen=True, slots=True)
class Observation:
    """Measured or reported values; each stays as it was until it is reported anew.

    Attributes:
        failed: subject -> whether it has failed.
        load: node -> percent.
        rules_left: switch -> rules.
    """

    failed: Mapping[str, bool] = field(default_factory=dict)
    load: Mapping[str, float] = field(default_factory=dict)
    rules_left: Mapping[str, int] = field(default_factory=dict)


class Triggers:
    """All policies, what has been observed, and the goals that wait.

    Attributes:
        waiting: policies whose goals are to be pursued, in the order in which they fired.
    """

    def __init__(self, policies: Iterable[OperatorPolicy]) -> None:
        self.policies = tuple(policies)
        self.waiting: list[OperatorPolicy] = []
        self._failed: set[str] = set()
        self._load: dict[str, float] = {}
        self._rules: dict[str, int] = {}
        self._true: set[str] = set()
        self._looked: float | None = None

    def observe(self, seen: Observation, now: float) -> None:
        """Take an observation, and see which policies fire."""
        for subject, failed in seen.failed.items():
            (self._failed.add if failed else self._failed.discard)(subject)
        self._load |= seen.load
        self._rules |= seen.rules_left
        self.look(now)

    def look(self, now: float) -> None:
        """See which policies fire; failures come before all others."""
        fired = [policy for policy in self.policies if self._fires(policy, now)]
        self._looked = now
        fired.sort(key=lambda policy: policy.condition.failed is None)
        self.waiting += [policy for policy in fired if policy not in self.waiting]
        self.waiting.sort(key=lambda policy: policy.condition.failed is None)

    def take(self) -> OperatorPolicy | None:
        """The next policy whose goal is to be pursued; it waits no more."""
        return self.waiting.pop(0) if self.waiting else None

    @property
    def closed(self) -> Iterator[tuple[str, str]]:
        """Subjects of maintenance windows that are open at the last look, and the policies."""
        for policy in self.policies:
            if self._looked is not None and _is_within(policy.condition, self._looked):
                yield policy.goal.subject, policy.name

    @property
    def deadline(self) -> float | None:
        """Time of the next look, if nothing is observed before; None: never."""
        edges = [edge for policy in self.policies for edge in (policy.condition.start, policy.condition.until)]
        timed = [edge for edge in edges if edge is not None]
        if timed and self._looked is None:
            return 0.0
        return min((_next(edge, self._looked or 0.0) for edge in timed), default=None)

    def state(self) -> dict[str, Any]:
        """Everything but the policies, as JSON-serialisable data."""
        return {
            "failed": sorted(self._failed),
            "load": dict(self._load),
            "rules": dict(self._rules),
            "true": sorted(self._true),
            "looked": self._looked,
            "waiting": [policy.name for policy in self.waiting],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of the same policies."""
        self._failed, self._true = set(state["failed"]), set(state["true"])
        self._load, self._rules, self._looked = dict(state["load"]), dict(state["rules"]), state["looked"]
        self.waiting = [policy for name in state["waiting"] for policy in self.policies if policy.name == name]

    def _fires(self, policy: OperatorPolicy, now: float) -> bool:
        if policy.condition.start is not None:
            # The first look of all only sets the clock: what is past is not made up for.
            return self._looked is not None and _next(policy.condition.start, self._looked) <= now
        before = policy.name in self._true
        true = self._holds(policy.condition)
        (self._true.add if true else self._true.discard)(policy.name)
        return true and not before

    def _holds(self, condition: Condition) -> bool:
        if condition.failed is not None:
            return condition.failed in self._failed
        if condition.load_above is not None:
            return self._load.get(condition.of, 0.0) > condition.load_above
        assert condition.rules_left_below is not None
        left = self._rules.get(condition.of)
        return left is not None and left < condition.rules_left_below


def _next(edge: float, after: float) -> float:
    """The first time of day ``edge`` that is later than a Unix time."""
    midnight = after - after % DAY
    return midnight + edge if midnight + edge > after else midnight + DAY + edge


def _is_within(condition: Condition, now: float) -> bool:
    if condition.start is None or condition.until is None:
        return False
    return (now % DAY - condition.start) % DAY < (condition.until - condition.start) % DAY
