"""Steps of a frame through one switch: lookups, meters, groups, learning, copies that leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ryu_apps.evb.flow.actions import Learn
from ryu_apps.evb.flow.rule import Rule


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A lookup in a table.

    Attributes:
        level: nesting: 0, and one more in each resubmit, clone and bucket.
        rule: the one that applies; None: no rule matches.
        fields: of the frame at that moment, pipeline fields included.
    """

    level: int
    table: int
    rule: Rule | None
    fields: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MeterPassed:
    """The meter of a rule; ``exceeded``: it drops the frame."""

    level: int
    meter_id: int
    exceeded: bool


@dataclass(frozen=True, slots=True)
class Grouped:
    """A group; ``buckets`` of its ``present`` buckets are carried out."""

    level: int
    group_id: int
    buckets: int
    present: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A learn action; ``allowed``: the limit allows the rule."""

    level: int
    action: Learn
    allowed: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """A copy that leaves by a port.

    Attributes:
        way_back: it is the ingress port, so the switch sends nothing.
        fields: of the copy.
    """

    level: int
    port: int
    way_back: bool
    fields: Mapping[str, int]


Step = LookedUp | MeterPassed | Grouped | Learned | Sent


@dataclass(slots=True)
class StepLog:
    """Steps in their order; without ``wanted`` none is kept.

    Attributes:
        level: nesting of the next step.
    """

    wanted: bool
    level: int = 0
    steps: list[Step] = field(default_factory=list)

    def looked_up(self, table: int, rule: Rule | None, fields: Mapping[str, int]) -> None:
        """Note a lookup."""
        if self.wanted:
            self.steps.append(LookedUp(self.level, table, rule, dict(fields)))

    def metered(self, meter_id: int, exceeded: bool) -> None:
        """Note a meter."""
        if self.wanted:
            self.steps.append(MeterPassed(self.level, meter_id, exceeded))

    def grouped(self, group_id: int, buckets: int, present: int) -> None:
        """Note a group."""
        if self.wanted:
            self.steps.append(Grouped(self.level, group_id, buckets, present))

    def learned(self, action: Learn, allowed: bool) -> None:
        """Note a learn action."""
        if self.wanted:
            self.steps.append(Learned(self.level, action, allowed))

    def sent(self, port: int, way_back: bool, fields: Mapping[str, int]) -> None:
        """Note an output."""
        if self.wanted:
            self.steps.append(Sent(self.level, port, way_back, dict(fields)))
