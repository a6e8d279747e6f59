"""The copies of one VSI that moves: their rules in each switch, and how far the switches are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.flow.match import Match
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.pipeline.copies import copies, guards
from ryu_apps.evb.pipeline.infrastructure import towards
from ryu_apps.evb.topology.copy_plans import CopyPlan
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Demand, Owner, in_tables


class Step(Enum):
    """The last step that switches have been told."""

    GUARD = "the destination guards itself"
    COPY = "the others copy"
    IN_FORCE = "all have confirmed"
    END = "all end it"


@dataclass(eq=False, slots=True)
class Copy:
    """The copies of one VSI.

    Attributes:
        attachment, program: at the destination.
        source: switch at which the VSI is active.
        guards: rules of the destination's switch.
        copying: rules of each switch that copies.
        returning: guards of the source's switch once the gate has moved.
        waiting: tokens of changes that are not confirmed yet.
        step: what the switches have been told last.
        guarded: time at which the destination was told to guard itself, monotonic seconds.
        until: time until which switches may rely on the copies; 0: no switch was told to copy.
    """

    attachment: Attachment
    program: Installation
    source: int
    guards: RuleSet
    copying: dict[int, RuleSet]
    returning: RuleSet
    waiting: set[int] = field(default_factory=set)
    step: Step = Step.GUARD
    guarded: float = 0.0
    until: float = 0.0

    @property
    def destination(self) -> int:
        """The switch to which the VM moves."""
        return self.attachment.port.dpid

    def serves(self, attachment: Attachment | None, program: Installation | None) -> bool:
        """True if it is for a program of an attachment, and has not begun to end."""
        return self.step is not Step.END and self.attachment is attachment and self.program is program

    @property
    def rules(self) -> dict[int, RuleSet]:
        """All its rules, by switch."""
        return {**self.copying, self.destination: self.guards}

    @property
    def demands(self) -> Iterator[Demand]:
        """The rooms that it takes."""
        owner: Owner = "copy", self.program.binding.vsi_index
        for dpid, rules in self.rules.items():
            yield Demand(dpid, owner, in_tables(Counter(key.table for key in rules)))


def composed(
    wiring: TrunkGraph,
    plan: CopyPlan,
    attachment: Attachment,
    program: Installation,
    source: int,
    more: tuple[Match, ...],
) -> Copy:
    """Compose the copies of a VSI that is active at a switch for an attachment elsewhere; ``more``: of other frames."""
    destination, binding = attachment.port.dpid, program.binding
    metered = binding.gate_meter is not None and binding.gate_meter.both
    copying = {
        dpid: copies(towards(wiring, dpid, source), towards(wiring, dpid, destination), binding, more)
        for dpid in plan.copying
    }
    there, back = plan.guarded[destination], plan.guarded[source]
    return Copy(
        *(attachment, program, source),
        guards(there, binding, metered, more),
        copying,
        guards(back, binding, metered=False, more=more),
    )
