"""Content of a ladder diagram: lanes, and steps in the order of time.

Independent of renderers and scenarios; ``timeline`` makes one from events, ``text``, ``mermaid`` and ``svg`` draw it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Lane(Enum):
    """Participants, in the order of the diagram; the values are the headings."""

    VCM = "VCM"
    SOURCE = "source hypervisor"
    DESTINATION = "dest. hypervisor"
    SOURCE_SWITCH = "source switch"
    DESTINATION_SWITCH = "dest. switch"
    VM = "VM"


@dataclass(frozen=True, slots=True)
class LadderStep:
    """A message from one lane to another, or a note when both are the same.

    Attributes:
        t: monotonic seconds.
        origin, target: lanes.
        text: what it says, one line.
    """

    t: float
    origin: Lane
    target: Lane
    text: str

    @property
    def is_note(self) -> bool:
        """Something that happens within one lane."""
        return self.origin is self.target


@dataclass(frozen=True, slots=True)
class LadderDiagram:
    """A whole diagram.

    Attributes:
        title: one line.
        names: what each lane is called in this cluster (``hv1``, ``s2``, ``vm1``).
        steps: in any order; :meth:`in_order` sorts them.
    """

    title: str
    names: dict[Lane, str]
    steps: tuple[LadderStep, ...]

    def in_order(self) -> list[LadderStep]:
        """The steps by time; simultaneous ones as they were given."""
        return sorted(self.steps, key=lambda step: step.t)

    def milliseconds(self, step: LadderStep) -> float:
        """Time of a step since the first one."""
        return (step.t - self.in_order()[0].t) * 1000.0

    def name_of(self, lane: Lane) -> str:
        """``hv1``; empty for a lane without a name, or named as its role."""
        name = self.names.get(lane, "")
        return "" if name == lane.value else name

    def heading(self, lane: Lane) -> str:
        """``source hypervisor hv1``."""
        return f"{lane.value} {self.name_of(lane)}".rstrip()
