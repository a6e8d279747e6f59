"""A change of gates without bundles: stages of flow-mods, each confirmed before the next is sent.

A switch carries out the messages of a stage in any order, so a stage has rules of one table.  First it loses the rules
that let frames in at a port (table INGRESS) and are to go.  Then it gets groups, and rules from the last table to the
first, so that each rule leads to what is there already, and a port is opened last.  Then the other rules go, from the
first table to the last, and what they led to.

So at no moment does a VSI send from two ports, and no frame is let in that later tables would not judge.  If a stage
is refused, the later ones are not sent; the engine then compares the switch with what it should hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from ryu_apps.evb.events.effect import Apply
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import barrier, numbered
from ryu_apps.southbound.piece import (
    KnownObjects,
    QueuedMessage,
    addition,
    group_messages,
    meter_deletions,
    meter_messages,
    openings,
    removal,
    sweeps,
)

Stage = tuple[QueuedMessage, ...]


def stages(change: RuleChange, known: KnownObjects) -> Iterator[Stage]:
    """The stages of a change in their order; none is empty."""
    parts = (
        map(removal, (rule for rule in change.remove if rule.table == Table.INGRESS)),
        meter_messages(change, known.meters),
        group_messages(change, known),
        *(map(addition, rules) for rules in _by_table(_added(change), descending=True)),
        *(map(removal, rules) for rules in _by_table(_removed(change), descending=False)),
        sweeps(change, known),
        meter_deletions(change, known.meters),
        openings(change, known.meters),
    )
    yield from (stage for part in parts if (stage := tuple(part)))


def _added(change: RuleChange) -> list[Rule]:
    return [*(rule for block in change.blocks for rule in block), *change.add]


def _removed(change: RuleChange) -> list[Rule]:
    return [rule for rule in change.remove if rule.table != Table.INGRESS]


def _by_table(rules: Iterable[Rule], descending: bool) -> Iterator[list[Rule]]:
    # A stable sort: of two rules of the same key the later one counts.
    ordered = sorted(rules, key=lambda rule: rule.table, reverse=descending)
    for _, of_table in groupby(ordered, key=lambda rule: rule.table):
        yield list(of_table)


class OrderedJob(Job):
    """Mode.ATOMIC for a switch without bundles."""

    def __init__(self, wire: Transport, asked: Apply, parts: Iterator[Stage]) -> None:
        super().__init__(wire, asked.dpid, asked.token)
        self._parts = parts
        self._next = next(parts, ())

    def send(self) -> None:
        messages, self._next = self._next, next(self._parts, ())
        self.all_sent = not self._next
        xids = self.wire.reserve(len(messages) + 1)
        self.wire.launch(SentRequest(self, xids, messages))
        octets = [numbered(octets, xid) for (octets, _subject), xid in zip(messages, xids, strict=False)]
        self.wire.send(b"".join([*octets, barrier(xids[-1])]))

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        if self.all_sent:
            self.outcome = self.outcome or Confirmed(self.dpid, self.token)
        else:
            self.send()
