"""Simulation of Open vSwitch: the frames it emits for one frame, given rules and groups.

Answers a test, or an operator's question, without a switch.  Follows Open vSwitch where it is stricter than
OpenFlow 1.3: resubmit, buckets as action sets, learning, the limits of a translation.

Limits: two VLAN tags, of which rules match the outer one; the caller names the meters whose rate is exceeded, but a
meter also drops a frame that passes it more often than its burst has frames; no counters of rules; a port is up or down
only for the bucket that watches it; FIN and RST shorten idle timeouts, but no rule expires.  A real switch picks the
bucket of a select group by a hash; the simulation takes the first live bucket with a weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    IN_PORT,
    Action,
    Bits,
    Clone,
    FinTimeout,
    Learn,
    Output,
    OutputGroup,
    RegLoad,
    Resubmit,
    StackPop,
    StackPush,
)
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import REGISTERS, VLAN_PRESENT
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    MeterUnit,
    Rule,
)
from ryu_apps.evb.simulation.learning import learn
from ryu_apps.evb.simulation.packet import PacketFields, SimulationError, action_set, as_read, matches, rewrite
from ryu_apps.evb.simulation.steps import Step, StepLog

#: Open vSwitch aborts the translation and drops the frame beyond either limit: the nesting of buckets and of lookups
#: in the same or an earlier table; and the number of all lookups, the first one not counted.
MAX_DEPTH, MAX_LOOKUPS = 64, 4096

#: The flags FIN and RST.
_ENDS = 0x05
_FIRST_RESERVED, _LOCAL = 0xFFFFFF00, 0xFFFFFFFE


class Metered(NamedTuple):
    """A frame at a meter, with or without a tag.

    Open vSwitch defers changes of a frame until the next output, so a meter counts a tag that was pushed or
    popped only from that output on.
    """

    meter_id: int
    tagged: bool


class Passage(NamedTuple):
    """The result for one frame: copies that left the switch and meters passed, each in order."""

    emitted: list[Emitted]
    metered: list[Metered]


class Trace(NamedTuple):
    """The steps of one frame.

    Attributes:
        error: why the switch gave up; None: it did not.  It then sends nothing.
    """

    steps: list[Step]
    error: str | None = None


class Emitted(NamedTuple):
    """One copy of the frame that leaves the switch: the port, and the fields at that moment.

    ``fields`` includes the pipeline fields ``in_port``, ``metadata`` and the registers.
    """

    port: int
    fields: PacketFields


def forward(table: FlowTable, frame: Mapping[str, int], live_ports: Collection[int] | None = None) -> list[Emitted]:
    """Copies of one frame that leave the switch, in order; see :func:`passage`."""
    return passage(table, frame, live_ports).emitted


def passage(
    table: FlowTable,
    frame: Mapping[str, int],
    live_ports: Collection[int] | None = None,
    exceeded: Container[int] = (),
) -> Passage:
    """Send one frame through the tables, from table 0.

    Args:
        table: rules and groups; learnt rules are written into it and apply to later frames only.
        frame: match field name -> value, ``in_port`` among them; ``vlan_vid`` with VLAN_PRESENT, or 0 or
            absent for an untagged frame; ``ip_frag`` is 0 if absent from an IP packet, 1 for a first fragment, 3 for
            a later one.  A rule that matches on any other absent field does not match.
        live_ports: ports whose link is up; all if None.  Counts for fast-failover groups only.
        exceeded: ids of the meters that drop the frame.

    Raises:
        SimulationError: no such group, a tag pushed on a tagged frame or rewritten on an untagged one, a
            goto backwards, an output to a reserved port, two different rules of the same priority, or
            recursion beyond the switch's limits.
    """
    walk = _Walk(table, live_ports, _at_arrival(frame), exceeded)
    walk.lookup(0, depth=0)
    return Passage(walk.emitted, walk.metered)


def steps(table: FlowTable, frame: Mapping[str, int], live_ports: Collection[int] | None = None) -> Trace:
    """Send one frame through the tables as :func:`passage` does; no rate is exceeded.

    An error of the switch ends the steps instead of being raised.
    """
    walk = _Walk(table, live_ports, _at_arrival(frame), log=StepLog(wanted=True))
    try:
        walk.lookup(0, depth=0)
    except SimulationError as error:
        return Trace(walk.log.steps, str(error))
    return Trace(walk.log.steps)


def _at_arrival(frame: Mapping[str, int]) -> PacketFields:
    fields = {"metadata": 0, "vlan_vid": 0} | dict.fromkeys(REGISTERS, 0) | as_read(frame)
    if fields["vlan_vid"] & VLAN_PRESENT:
        fields.setdefault("vlan_pcp", 0)
    if "in_port" not in fields:
        raise SimulationError("the frame has no in_port")
    return fields


class _Walk:
    """One frame on its way through the tables; ``_fields`` has its current values."""

    def __init__(
        self,
        table: FlowTable,
        live_ports: Collection[int] | None,
        fields: PacketFields,
        exceeded: Container[int] = (),
        log: StepLog | None = None,
    ) -> None:
        self.emitted: list[Emitted] = []
        self.metered: list[Metered] = []
        self.log = log or StepLog(wanted=False)
        self._exceeded = exceeded
        # Open vSwitch translates the rest all the same: a dropped frame teaches, but nothing of it leaves.
        self._dropped = False
        self._tagged = bool(fields["vlan_vid"] & VLAN_PRESENT)
        self._table = table
        self._live_ports = live_ports
        self._fields = fields
        self._lookups = 0
        self._stack: list[int] = []
        # The rules at the frame's arrival: Open vSwitch applies a learnt rule from the next frame on.
        self._tables: defaultdict[int, list[Rule]] = defaultdict(list)
        for rule in table.rules.values():
            self._tables[rule.table].append(rule)

    def lookup(self, table: int, depth: int) -> None:
        """Find the frame's rule in a table and carry out its instructions; without a rule the frame is dropped."""
        rule = self._best(table)
        self.log.looked_up(table, rule, self._fields)
        if rule is None:
            return
        if rule.meter is not None and not self._dropped:
            self.metered.append(Metered(rule.meter, self._tagged))
            self._dropped = rule.meter in self._exceeded or self._needs_more_than_a_burst(rule.meter)
            self.log.metered(rule.meter, self._dropped)
        if self._fields.get("tcp_flags", 0) & _ENDS:
            self._shorten(rule)
        self._do(rule.apply, table, depth)
        if rule.metadata is not None:
            value, mask = rule.metadata
            self._fields["metadata"] = self._fields["metadata"] & ~mask | value & mask
        if rule.goto is not None:
            if rule.goto <= table:
                raise SimulationError(f"goto from table {table} back to {rule.goto}")
            self._lookup_from(table, rule.goto, depth)

    def _needs_more_than_a_burst(self, meter_id: int) -> bool:
        """Return True if the frame passes a meter of packets more often than its bucket ever lets it."""
        meter = self._table.meters.get(meter_id)
        passes = sum(metered.meter_id == meter_id for metered in self.metered)
        return meter is not None and meter.unit is MeterUnit.PACKETS and passes > meter.burst

    def _shorten(self, rule: Rule) -> None:
        """Apply the FinTimeout of the rule that a FIN or RST has met."""
        for action in rule.apply:
            present = self._table.rules.get(rule.key)
            if isinstance(action, FinTimeout) and present is not None:
                shorter = min(present.idle_timeout or action.idle, action.idle)
                self._table.rules[rule.key] = replace(present, idle_timeout=shorter)

    def _lookup_from(self, table: int, target: int, depth: int) -> None:
        """Continue in another table; only lookups in the same or an earlier table can loop and count as depth."""
        self._check_depth(table, depth)
        self._lookups += 1
        self.lookup(target, depth + (target <= table))

    def _check_depth(self, table: int, depth: int) -> None:
        if depth >= MAX_DEPTH or self._lookups >= MAX_LOOKUPS:
            raise SimulationError(f"recursion too deep in table {table}")

    def _best(self, table: int) -> Rule | None:
        found = [rule for rule in self._tables[table] if matches(rule.match, self._fields)]
        if not found:
            return None
        best = max(found, key=lambda rule: rule.priority)
        for rule in found:
            if rule.priority == best.priority and _instructions(rule) != _instructions(best):
                raise SimulationError(f"two rules of the same priority apply: {rule.key} and {best.key}")
        return best

    def _do(self, actions: Iterable[Action], table: int, depth: int) -> None:
        for action in actions:
            match action:
                case Output(port):
                    self._output(port)
                case OutputGroup(group_id):
                    self._group(group_id, table, depth)
                case Resubmit(target):
                    self._nested(table, target, depth)
                case Clone(target):
                    self._clone(table, target, depth)
                case StackPush(source):
                    self._stack.append(self._fields.get(source.name, 0) >> source.offset & (1 << source.width) - 1)
                case StackPop(target):
                    self._pop(target)
                case Learn():
                    self._learn(action)
                case FinTimeout():
                    pass
                case _:
                    rewrite(self._fields, action)

    def _clone(self, table: int, target: int, depth: int) -> None:
        """Send a copy through another table; the frame is as before, also if a meter drops the copy."""
        before = dict(self._fields), list(self._stack), self._dropped, self._tagged
        self._nested(table, target, depth)
        self._fields, self._stack, self._dropped, self._tagged = before

    def _nested(self, table: int, target: int, depth: int) -> None:
        self.log.level += 1
        self._lookup_from(table, target, depth)
        self.log.level -= 1

    def _learn(self, action: Learn) -> None:
        done = learn(action, self._table.rules, self._fields)
        self._fields |= done.fields
        self.log.learned(action, done.allowed)

    def _pop(self, target: Bits) -> None:
        if not self._stack:
            raise SimulationError("a pop from an empty stack")
        rewrite(self._fields, RegLoad(target, self._stack.pop()))

    def _output(self, port: int) -> None:
        if port >= _FIRST_RESERVED and port not in (CONTROLLER, IN_PORT, _LOCAL):
            raise SimulationError(f"output to the reserved port {port:#x}")
        back = port == IN_PORT
        port = self._fields["in_port"] if back else port
        way_back = not back and port == self._fields["in_port"]
        if not self._dropped:
            self.log.sent(port, way_back, self._fields)
        if not way_back and not self._dropped:
            self._tagged = bool(self._fields["vlan_vid"] & VLAN_PRESENT)
            self.emitted.append(Emitted(port, dict(self._fields)))

    def _group(self, group_id: int, table: int, depth: int) -> None:
        """Carry out each chosen bucket on its own copy of the frame."""
        if group_id not in self._table.groups:
            raise SimulationError(f"no group {group_id:#x}")
        self._check_depth(table, depth)
        before, stack = self._fields, self._stack
        group = self._table.groups[group_id]
        chosen = self._chosen(group)
        self.log.grouped(group_id, len(chosen), len(group.buckets))
        self.log.level += 1
        for bucket in chosen:
            self._fields, self._stack = dict(before), list(stack)
            self._do(action_set(bucket.actions), table, depth + 1)
        self.log.level -= 1
        self._fields, self._stack = before, stack

    def _chosen(self, group: Group) -> tuple[Bucket, ...]:
        match group.type:
            case GroupType.ALL | GroupType.INDIRECT:
                return group.buckets
            case GroupType.SELECT:
                return tuple(bucket for bucket in group.buckets if bucket.weight and self._alive(bucket))[:1]
            case GroupType.FAST_FAILOVER:
                return tuple(bucket for bucket in group.buckets if self._alive(bucket))[:1]

    def _alive(self, bucket: Bucket) -> bool:
        if bucket.watch_group is not None:
            watched = self._table.groups.get(bucket.watch_group)
            return watched is not None and any(map(self._alive, watched.buckets))
        return self._live_ports is None or bucket.watch_port is None or bucket.watch_port in self._live_ports


def _instructions(rule: Rule) -> tuple[object, ...]:
    return rule.apply, rule.metadata, rule.goto
