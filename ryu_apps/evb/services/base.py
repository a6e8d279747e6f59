"""What a service is: data that says which rules it contributes, to whom, and what of it follows a VM.

A service knows a policy and a VSI; it knows no switch, no other service and no moment in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ryu_apps.evb.flow.rule import Action, Meter, Resubmit, Rule, SetField
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.topology.fabric import Fabric


@dataclass(frozen=True, slots=True)
class Route:
    """Where a frame goes next: the tables at which the services of one VSI type begin.

    Attributes:
        stations: those tables.
        refused: tables at which frames that are refused are counted.
        numbered: a rule that judges a frame leaves its number in ``reg1``.
    """

    tables: tuple[Table, ...] = ()
    refused: tuple[Table, ...] = ()
    numbered: bool = False

    def after(self, table: Table) -> Table:
        """The first station behind a table, or what ends the direction: FORWARD, or OUTPUT."""
        end = Table.FORWARD if table < Table.FORWARD else Table.OUTPUT
        return min((one for one in self.tables if table < one < end), default=end)

    @property
    def entry(self) -> Table:
        """Where a frame for the VM begins once its gate is open."""
        return Table.BALANCE_TO if Table.BALANCE_TO in self.tables else Table.ACL_TO

    @property
    def past_services(self) -> Table:
        """Where a frame from the VM goes that no service has to look at: it is counted nevertheless."""
        return Table.COUNT_FROM if Table.COUNT_FROM in self.tables else Table.FORWARD

    def after_copy(self, table: Table) -> tuple[tuple[Action, ...], Table]:
        """How a frame from the VM goes on of which a copy is sent somewhere at a table: what comes first, and where to.

        A copy has a tag, and a switch that has made one counts the tag from then on; so the frame is
        counted before, and goes past all services behind the table.
        """
        if Table.COUNT_FROM not in self.tables:
            return (), self.after(table)
        return (Resubmit(Table.COUNTED_FROM),), self.after(Table.COUNT_FROM)

    def refuse(self, table: Table) -> Table | None:
        """Where a frame goes that is refused at a table; None: it is dropped there and then."""
        return next((one for one in self.refused if (one < Table.FORWARD) == (table < Table.FORWARD)), None)

    def mark(self, number: int) -> tuple[SetField, ...]:
        """What a rule does beside its verdict, so that frames are counted by its number."""
        return (SetField("reg1", number),) if self.numbered else ()


#: The number of a frame that passes without a rule of the policy.
UNJUDGED = 0
#: Of a type that has no service but its ACL.
DIRECT = Route()


def _nothing_per_type(vsi_type: VsiType, epoch: int, route: Route) -> Iterable[Rule]:
    return ()


def _nothing(vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
    return None


def _nothing_per_vsi(vsi_type: VsiType, binding: VsiBinding, route: Route) -> Iterable[Rule]:
    return ()


def _always(vsi_type: VsiType) -> bool:
    return True


def _no_numbers(vsi_type: VsiType) -> bool:
    return False


def _no_meters(vsi_type: VsiType, binding: VsiBinding) -> Iterable[Meter]:
    return ()


@dataclass(frozen=True, slots=True)
class Carry:
    """What a switch learns for a VSI by itself, and how it gets to the next switch.

    Extracted from the source when the destination stages, and staged there behind the same gate; what
    has come since is read when the source is done with the VM, or at Associate, and fixed up.

    Attributes:
        table: where such rules are; no other service learns there.
        rewrite: a rule as learnt for one binding -> the rule for another one; None: it stays behind.
        capacity: the most rules of one VSI; so many are reserved at Pre-Associate.
        final: read at Associate too if it was read when the source let go; between the two a switch may
            have learnt more.
    """

    table: Table
    rewrite: Callable[[Rule, VsiBinding], Rule | None]
    capacity: Callable[[VsiType], int]
    final: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One service that follows a VM.

    Attributes:
        name: as in the table of services.
        per_type: staged rules that all VSIs of a type epoch share; they match
            ``pipeline.type_metadata`` and carry the cookie of the epoch.
        per_vsi: staged rules that name one VSI's own addresses; they match
            ``pipeline.vsi_metadata`` and carry the cookie of its index and generation.
        section: what a policy file may say of it; None: it needs no word there.
        stations: the tables at which it takes a frame over, if a type has it.
        refused: the tables at which it counts what is refused.
        numbered: whether it wants to know which rule of the ACL has judged a frame.
        counters: meters that the rules of one VSI count with.
        carry: the state that it keeps in the switch; None: none.
        lacks: what a switch would need, and has not, to serve a VSI in these VLANs; None: nothing.
        meters: those that its rules of one VSI name.
        wanted: whether a type needs it, if policy files have no word for it.
        learns: the most rules that a switch may learn by itself for one VSI that go nowhere when the VSI moves.
    """

    name: str
    per_type: Callable[[VsiType, int, Route], Iterable[Rule]] = _nothing_per_type
    per_vsi: Callable[[VsiType, VsiBinding, Route], Iterable[Rule]] = _nothing_per_vsi
    section: Section | None = None
    tables: tuple[Table, ...] = ()
    refused: tuple[Table, ...] = ()
    numbered: Callable[[VsiType], bool] = _no_numbers
    counters: Callable[[VsiType, VsiBinding], Iterable[Meter]] = _no_meters
    carry: Carry | None = None
    missing_requirement: Callable[[VsiType, Fabric, int, tuple[int, ...]], str | None] = _nothing
    meters: Callable[[VsiType, VsiBinding], Iterable[Meter]] = _no_meters
    wanted: Callable[[VsiType], bool] = _always
    learns: int = 0

    def serves(self, vsi_type: VsiType) -> bool:
        """Whether VSIs of this type have it."""
        return self.wanted(vsi_type) if self.section is None else vsi_type.service(self.name) is not None

    def trigger(self, vsi_type: VsiType) -> Trigger:
        """When its state is extracted: as the service's section says, or else the type."""
        own: Trigger | None = getattr(vsi_type.service(self.name), "trigger", None)
        return own or vsi_type.trigger
