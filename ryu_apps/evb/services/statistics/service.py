"""Statistics: what each VM has sent and received, counted in the switch that does it.

Counted by meters whose rate is beyond all reach.  A switch adds to the counters of its rules when it next
looks at its cached flows, which Open vSwitch does twice a second, and to those of the rules that apply by
*then*: at a move, what has passed since the last look would not be counted for any VSI.  A meter counts as the
frame goes by (``docs/decisions/0015-meters-count.rst``).

From the VM a frame is counted before it is forwarded, as it came; before the controller gets a copy if it
gets one.  To the VM it is delivered first and counted then, as it was delivered: with the tag, or without,
that the VM's own interface sees.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import Resubmit
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    GUARDED,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    counter_id,
    type_metadata,
    vsi_metadata,
)
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, UNJUDGED, Route, Service
from ryu_apps.evb.services.statistics.entries import StatisticsEntry, entries, statistics_of
from ryu_apps.evb.services.statistics.schema import NAME, SECTION

#: Frames a second that no switch will ever see.
_BEYOND_REACH = 0xFFFFFFFF


def _place(entry: StatisticsEntry, route: Route) -> tuple[Table, Table | None]:
    """Table that counts an entry, and the next table of its frames."""
    from_vm = entry.direction is Direction.FROM_VM
    if not entry.passed:
        return (Table.REFUSED_FROM if from_vm else Table.REFUSED_TO), None
    return (Table.COUNT_FROM, route.after(Table.COUNT_FROM)) if from_vm else (Table.COUNTED_TO, None)


class StatisticsService(Service):
    """Meters that count what a VSI sends and receives."""

    name = NAME
    section = SECTION
    tables = (Table.COUNT_FROM, Table.COUNT_TO)
    refused = (Table.REFUSED_FROM, Table.REFUSED_TO)

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        scope = match(metadata=type_metadata(epoch, Direction.TO_VM))
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        yield Rule(
            Table.COUNT_TO, Priority.DEFAULT, scope, owner, apply=(Resubmit(Table.OUTPUT),), goto=Table.COUNTED_TO
        )

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        for entry in entries(vsi_type):
            table, goto = _place(entry, route)
            scope = vsi_metadata(binding.vsi_index, entry.direction)
            # Without rule numbers an entry counts all frames; with them, those that have none.
            # Guards set their own number in every frame.
            numbered = entry.number == GUARDED or (route.counts_per_rule and entry.number != UNJUDGED)
            number: MatchFields = {"reg1": entry.number} if numbered else {}
            priority = Priority.EXACT if number else Priority.DEFAULT
            meter = counter_id(entry.slot, binding.vsi_index)
            matched = match(metadata=scope, **number)
            yield Rule(table, priority, matched, owner, meter=meter, goto=goto)
            if table == Table.COUNT_FROM and Table.REPORTS in route.tables:
                yield Rule(Table.COUNTED_FROM, priority, matched, owner, meter=meter)

    def counters(self, vsi_type: VsiType, binding: VsiBinding) -> Iterator[Meter]:
        for entry in entries(vsi_type):
            yield Meter(counter_id(entry.slot, binding.vsi_index), _BEYOND_REACH, _BEYOND_REACH)

    def counts_per_rule(self, vsi_type: VsiType) -> bool:
        wanted = statistics_of(vsi_type)
        return wanted is not None and wanted.per_rule


STATISTICS = StatisticsService()
