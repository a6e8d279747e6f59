"""Flips of gates that are computed before they are asked for, with what they were computed from.

A flip is the change of each switch that opens the gate of one program and shuts that of another.  It is known once the
program is staged, until something changes from which it was computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, joined
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.copied_vsi import Copy
from ryu_apps.evb.vsi.floods import Membership
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import OpenMeter

#: Flips that are kept: those that were prepared last.
ROOM = 64


class FlipInputs(NamedTuple):
    """Everything from which a flip is computed and that may change, but for the gates of the VSI.

    Attributes:
        port: of the station.
        binding: of the program.
        place: port behind which the VM is.
        silent: no frame from the VM is let in.
        before: memberships of the VSI until then.
        floods: versions of the floods in which the VSI is until then, and of those in which it will be.
        sets: version of the members of address sets.
        meters: the meter of its gate that is open until then, and the one that will be.
        copy: copies whose rules go with it.
        rotations: version of the load balancers of which the VSI is a back end.
    """

    port: PortId
    binding: VsiBinding
    place: Interface
    silent: bool
    before: tuple[Membership, ...]
    floods: tuple[int, ...]
    sets: int
    meters: tuple[OpenMeter | None, OpenMeter | None]
    copy: Copy | None
    rotations: int


class Departure(NamedTuple):
    """The change of the switch that a VSI leaves.

    Attributes:
        dpid: of the switch.
        detour: what forwards frames in flight, or takes the place of that.
        change: of the flip and of the detour together.
    """

    dpid: int
    detour: RuleChange
    change: RuleChange


@dataclass(frozen=True, eq=False, slots=True)
class Flip:
    """A flip.

    Attributes:
        gates, members: of the VSI from then on.
        changes: of gates, floods, rotations and egress groups, by switch.
        open_meter: the meter of its gate that is open from then on.
        same_receivers: the receivers of every multicast group stay as they are; False also if that is not known.
        departure: from the switch that the VSI leaves; None: it has no detour, or that is not known.
    """

    gates: dict[int, RuleSet]
    members: tuple[Membership, ...]
    changes: dict[int, RuleChange]
    open_meter: OpenMeter | None
    same_receivers: bool = False
    departure: Departure | None = None

    def with_detour(self, dpid: int, detour: RuleChange) -> RuleChange:
        """Return the change of a switch with its detour: the one that was prepared, if it is the same."""
        departure = self.departure
        if departure is not None and departure.dpid == dpid and departure.detour == detour:
            return departure.change
        return joined(self.changes[dpid], detour)


class PreparedFlip(NamedTuple):
    """A flip that was computed from some inputs and gates of the VSI."""

    inputs: FlipInputs
    gates: dict[int, RuleSet]
    flip: Flip


class PreparedFlips:
    """Flips by the program whose gate they open; the oldest make room for new ones."""

    def __init__(self) -> None:
        self._by_program: dict[Installation, PreparedFlip] = {}

    def put(self, program: Installation, prepared: PreparedFlip) -> None:
        """Keep the flip of a program, in place of an earlier one."""
        self.take(program)
        self._by_program[program] = prepared
        if len(self._by_program) > ROOM:
            del self._by_program[next(iter(self._by_program))]

    def get(self, program: Installation) -> PreparedFlip | None:
        """Return the flip of a program; None: it is not prepared."""
        return self._by_program.get(program)

    def take(self, program: Installation) -> PreparedFlip | None:
        """Remove and return the flip of a program; None: it is not prepared."""
        return self._by_program.pop(program, None)
