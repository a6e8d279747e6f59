"""Base class of services: the rules that a service stages for a VSI type or a VSI, and the state that follows the VM.

A service depends on a policy and a VSI alone: not on a switch, another service or the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from ryu_apps.evb.flow.actions import Action, Resubmit, SetField
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.model import Minimum, VsiBinding
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.topology.fabric import Fabric


@dataclass(frozen=True, slots=True)
class Route:
    """Next tables of a frame: those at which the services of one VSI type begin.

    Attributes:
        tables: those tables.
        refused: tables at which refused frames are counted.
        counts_per_rule: a rule of the ACL leaves its number in ``reg1``.
        steers: frames go to an appliance first.
    """

    tables: tuple[Table, ...] = ()
    refused: tuple[Table, ...] = ()
    counts_per_rule: bool = False
    steers: bool = False

    def after(self, table: Table) -> Table:
        """Return the first of the tables behind one, or the end of the direction: FORWARD or OUTPUT."""
        end = Table.FORWARD if table < Table.FORWARD else Table.OUTPUT
        return min((later for later in self.tables if table < later < end), default=end)

    @property
    def entry(self) -> Table:
        """First table of a frame for the VM behind its gate."""
        if self.steers:
            return Table.STEER
        return Table.BALANCE_TO if Table.BALANCE_TO in self.tables else Table.ACL_TO

    @property
    def past_services(self) -> Table:
        """Next table of a frame from the VM that bypasses the services; it is counted nevertheless."""
        return Table.COUNT_FROM if Table.COUNT_FROM in self.tables else Table.FORWARD

    def after_copy(self, table: Table) -> tuple[tuple[Action, ...], Table]:
        """Actions and next table of a frame from the VM of which a copy was sent at a table.

        A copy has a tag, and Open vSwitch counts the tag in the original too from then on; so the frame is counted
        before, and bypasses all services behind the table.
        """
        if Table.COUNT_FROM not in self.tables:
            return (), self.after(table)
        return (Resubmit(Table.COUNTED_FROM),), self.after(Table.COUNT_FROM)

    def refuse(self, table: Table) -> Table | None:
        """Return the table that counts frames refused at a table; None: they are dropped at once."""
        return next(
            (counting for counting in self.refused if (counting < Table.FORWARD) == (table < Table.FORWARD)), None
        )

    def set_rule_number(self, number: int) -> tuple[SetField, ...]:
        """Return the actions of a rule by which frames are counted by its number."""
        return (SetField("reg1", number),) if self.counts_per_rule else ()


#: The number of a frame that passes without a rule of the policy.
UNJUDGED = 0
#: Of a type that has no service but its ACL.
DIRECT = Route()


@dataclass(frozen=True, slots=True)
class LearnedState:
    """Rules that a switch learns for a VSI by itself and that follow the VSI to its next switch.

    They are extracted from the source when the destination stages, and staged there behind the same gate; rules
    learnt since then are read when the source has let the VM go, or at Associate, and fixed up.

    Attributes:
        table: the table of such rules; no other service learns there.
        parts: those rules by what they match on, each in one part.
        final: they are read at Associate too if they were read when the source let go; between the two a switch may
            have learnt more.
    """

    table: Table
    parts: tuple[RulePart, ...]
    final: bool = False


class Service:
    """Base class of the services that follow a VM; each overrides what it needs.

    Attributes:
        name: as in the table of services.
        section: its part of a policy file; None: it has none.
        tables: the tables at which it takes a frame over, if a type has it.
        refused: the tables at which it counts refused frames.
        learned: the state that it keeps in the switch and that follows the VSI; None: none.
        learns: table -> the most rules that a switch may learn by itself for one VSI and that are left behind when it
            moves.
        plain: its rules are OpenFlow 1.3 without extensions.
    """

    name: ClassVar[str]
    section: ClassVar[Section | None] = None
    tables: ClassVar[tuple[Table, ...]] = ()
    refused: ClassVar[tuple[Table, ...]] = ()
    learned: ClassVar[LearnedState | None] = None
    learns: ClassVar[Mapping[Table, int]] = {}
    plain: ClassVar[bool] = False

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterable[Rule]:
        """Return the staged rules that all VSIs of a type epoch share.

        They match ``pipeline.tables.type_metadata`` and have the cookie of the epoch.
        """
        return ()

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterable[Rule]:
        """Return the staged rules that name one VSI's own addresses.

        They match ``pipeline.tables.vsi_metadata`` and have the cookie of its index and generation.
        """
        return ()

    def meters(self, vsi_type: VsiType, binding: VsiBinding) -> Iterable[Meter]:
        """Return the rate limits that the rules of one VSI name."""
        return ()

    def counters(self, vsi_type: VsiType, binding: VsiBinding) -> Iterable[Meter]:
        """Return the meters that the rules of one VSI count with."""
        return ()

    def gate_meter(self, vsi_type: VsiType, binding: VsiBinding) -> int | None:
        """Return the one of :meth:`meters` by which the gate limits frames from the VM; None: it does not."""
        return None

    def minimum(self, vsi_type: VsiType) -> Minimum:
        """Return the rates that are reserved for one VSI."""
        return Minimum()

    def learned_capacity(self, vsi_type: VsiType) -> int:
        """Return the most rules of :attr:`learned` that one VSI may have; they are reserved at Pre-Associate."""
        return 0

    def counts_per_rule(self, vsi_type: VsiType) -> bool:
        """Return whether the rules of the ACL leave their numbers in ``reg1`` for it."""
        return False

    def missing_requirement(self, vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
        """Return what a switch lacks to serve a VSI in these VLANs; None: nothing."""
        return None

    def missing_names(self, vsi_type: VsiType, fabric: Fabric) -> Iterable[Finding]:
        """Return what a type names and the configuration has nowhere, with its place in the policy file."""
        return ()

    def needed_by(self, vsi_type: VsiType) -> bool:
        """Return whether a type without a section in its file needs it; asked only of services that have none."""
        return True

    def serves(self, vsi_type: VsiType) -> bool:
        """Return whether VSIs of this type have it."""
        return self.needed_by(vsi_type) if self.section is None else vsi_type.service(self.name) is not None

    def trigger(self, vsi_type: VsiType) -> Trigger:
        """Return when its state is extracted: as the service's section says, or else the type."""
        own: Trigger | None = getattr(vsi_type.service(self.name), "trigger", None)
        return own or vsi_type.trigger
