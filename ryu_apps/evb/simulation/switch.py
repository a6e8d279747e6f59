"""Simulation of Open vSwitch: the frames it emits for one frame, given rules and groups.

Answers a test, or an operator's question, without a switch.  Follows Open vSwitch where it is stricter than
OpenFlow 1.3: resubmit, buckets as action sets, learning, the limits of a translation.

Limits: two VLAN tags, of which rules match the outer one; the caller names the meters whose rate is exceeded; no
counters of rules; a port is up or down only for the bucket that watches it; FIN and RST shorten idle timeouts, but no
rule expires.  A real switch picks the bucket of a select group by a hash; the simulation takes the first live bucket
with a weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ryu_apps.evb.flow.rule import (
    CONTROLLER,
    IN_PORT,
    LATER_FRAGMENT,
    REGISTERS,
    VLAN_PRESENT,
    Action,
    Bits,
    Bucket,
    ClearInPort,
    Clone,
    FieldMatch,
    FinTimeout,
    FlowTable,
    Group,
    GroupType,
    Learn,
    Match,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    Rule,
    SetField,
    StackPop,
    StackPush,
)
from ryu_apps.evb.simulation.learning import learn, overwrite

#: Open vSwitch aborts the translation and drops the frame beyond either limit: the nesting of buckets and of lookups
#: in the same or an earlier table; and the number of all lookups, the first one not counted.
MAX_DEPTH, MAX_LOOKUPS = 64, 4096

#: The flags FIN and RST.
_ENDS = 0x05
_FIRST_RESERVED, _LOCAL = 0xFFFFFF00, 0xFFFFFFFE
_ALWAYS_THERE = frozenset({"in_port", "metadata", "eth_dst", "eth_src", "eth_type", *REGISTERS})

_IPV4, _IPV6, _FRAGMENT_HEADER = 0x0800, 0x86DD, 44
#: Neighbour solicitation and advertisement.
_ICMPV6, _DISCOVERY = 58, (135, 136)
#: Match fields of the header behind IP, by protocol.
_BEHIND_IP = {
    1: ("icmpv4_type", "icmpv4_code"),
    6: ("tcp_src", "tcp_dst", "tcp_flags"),
    17: ("udp_src", "udp_dst"),
    58: ("icmpv6_type", "icmpv6_code"),
}

#: Keys of a frame with two tags: the inner one.
INNER_VID, INNER_PCP = "inner vlan_vid", "inner vlan_pcp"

PacketFields = dict[str, int]


class SimulationError(ValueError):
    """The switch refuses the rules, or OpenFlow leaves their result undefined."""


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
    fields = {"metadata": 0, "vlan_vid": 0} | dict.fromkeys(REGISTERS, 0) | as_read(frame)
    if fields["vlan_vid"] & VLAN_PRESENT:
        fields.setdefault("vlan_pcp", 0)
    if "in_port" not in fields:
        raise SimulationError("the frame has no in_port")
    walk = _Walk(table, live_ports, fields, exceeded)
    walk.lookup(0, depth=0)
    return Passage(walk.emitted, walk.metered)


def as_read(frame: Mapping[str, int]) -> PacketFields:
    """The fields of a frame as Open vSwitch reads them with ``frags=nx-match`` (OFPC_FRAG_NX_MATCH).

    First fragments have their ports then.  Fields that cannot be read of a fragment are 0; the protocol of a later
    IPv6 fragment is that of the fragment header.
    """
    fields = dict(frame)
    if fields.get("eth_type") not in (_IPV4, _IPV6):
        return fields
    if fields.get("ip_proto") == _ICMPV6 and fields.get("icmpv6_type") in _DISCOVERY:
        fields.setdefault("nd_reserved", 0)
    ip_frag = fields.get("ip_frag", 0)
    behind = _BEHIND_IP.get(fields.get("ip_proto", 0), ()) if ip_frag else ()
    if ip_frag & LATER_FRAGMENT[0]:
        fields |= dict.fromkeys(behind, 0)
        if fields["eth_type"] == _IPV6:
            fields["ip_proto"] = _FRAGMENT_HEADER
    for name in behind:
        fields.setdefault(name, 0)
    return fields


def matches(wanted: Match, fields: Mapping[str, int]) -> bool:
    """True if a frame with these fields satisfies every field of a match."""
    return all(_field_matches(field_match, _value(field_match.name, fields)) for field_match in wanted)


def _value(name: str, fields: Mapping[str, int]) -> int | None:
    whole = 0 if name == "ip_frag" and fields.get("eth_type") in (_IPV4, _IPV6) else None
    return fields.get(name, whole)


def _field_matches(wanted: FieldMatch, value: int | None) -> bool:
    if value is None:
        return False
    return value == wanted.value if wanted.mask is None else value & wanted.mask == wanted.value


class _Walk:
    """One frame on its way through the tables; ``_fields`` has its current values."""

    def __init__(
        self,
        table: FlowTable,
        live_ports: Collection[int] | None,
        fields: PacketFields,
        exceeded: Container[int],
    ) -> None:
        self.emitted: list[Emitted] = []
        self.metered: list[Metered] = []
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
        if rule is None:
            return
        if rule.meter is not None and not self._dropped:
            self.metered.append(Metered(rule.meter, self._tagged))
            self._dropped = rule.meter in self._exceeded
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
                    self._lookup_from(table, target, depth)
                case Clone(target):
                    self._clone(table, target, depth)
                case StackPush(source):
                    self._stack.append(self._fields.get(source.name, 0) >> source.offset & (1 << source.width) - 1)
                case StackPop(target):
                    self._pop(target)
                case Learn():
                    self._fields |= learn(action, self._table.rules, self._fields)
                case FinTimeout():
                    pass
                case _:
                    _rewrite(self._fields, action)

    def _clone(self, table: int, target: int, depth: int) -> None:
        """Send a copy through another table; the frame is as before, also if a meter drops the copy."""
        before = dict(self._fields), list(self._stack), self._dropped, self._tagged
        self._lookup_from(table, target, depth)
        self._fields, self._stack, self._dropped, self._tagged = before

    def _pop(self, target: Bits) -> None:
        if not self._stack:
            raise SimulationError("a pop from an empty stack")
        _rewrite(self._fields, RegLoad(target, self._stack.pop()))

    def _output(self, port: int) -> None:
        if port >= _FIRST_RESERVED and port not in (CONTROLLER, IN_PORT, _LOCAL):
            raise SimulationError(f"output to the reserved port {port:#x}")
        back = port == IN_PORT
        port = self._fields["in_port"] if back else port
        if (back or port != self._fields["in_port"]) and not self._dropped:
            self._tagged = bool(self._fields["vlan_vid"] & VLAN_PRESENT)
            self.emitted.append(Emitted(port, dict(self._fields)))

    def _group(self, group_id: int, table: int, depth: int) -> None:
        """Carry out each chosen bucket on its own copy of the frame."""
        if group_id not in self._table.groups:
            raise SimulationError(f"no group {group_id:#x}")
        self._check_depth(table, depth)
        before, stack = self._fields, self._stack
        for bucket in self._chosen(self._table.groups[group_id]):
            self._fields, self._stack = dict(before), list(stack)
            self._do(action_set(bucket.actions), table, depth + 1)
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


def action_set(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """A bucket's actions in the order of an action set (OpenFlow 1.3 5.10): pop, push, set, then one output at most.

    Of several outputs a group has precedence over a port, a port over a resubmit; of two of the same type the last
    one counts.
    """
    pop = [action for action in actions if isinstance(action, PopVlan)][-1:]
    push = [action for action in actions if isinstance(action, PushVlan)][-1:]
    fields = [action for action in actions if isinstance(action, SetField | RegLoad | ClearInPort)]
    for output_type in (OutputGroup, Output, Resubmit):
        last = [action for action in actions if isinstance(action, output_type)][-1:]
        if last:
            return (*pop, *push, *fields, *last)
    return (*pop, *push, *fields)


def _rewrite(fields: PacketFields, action: Action) -> None:
    """Carry out an action that changes header or pipeline fields."""
    tagged = bool(fields["vlan_vid"] & VLAN_PRESENT)
    match action:
        case SetField("vlan_vid" | "vlan_pcp") if not tagged:
            raise SimulationError("a tag rewritten on an untagged frame")
        case SetField(name, value) if name in _ALWAYS_THERE or name in fields:
            fields[name] = value
        case RegLoad(Bits("vlan_vid" | "vlan_pcp")) if not tagged:
            pass
        case RegLoad(target, value) if target.name in _ALWAYS_THERE or target.name in fields:
            fields[target.name] = overwrite(fields.get(target.name, 0), target, value)
        case PushVlan() if tagged and INNER_VID in fields:
            raise SimulationError("a third tag pushed")
        case PushVlan() if tagged:
            fields |= {INNER_VID: fields["vlan_vid"], INNER_PCP: fields.get("vlan_pcp", 0)}
        case PushVlan():
            fields |= {"vlan_vid": VLAN_PRESENT, "vlan_pcp": 0}
        case PopVlan():
            fields["vlan_vid"] = fields.pop(INNER_VID, 0)
            fields.pop("vlan_pcp", None)
            if fields["vlan_vid"]:
                fields["vlan_pcp"] = fields.pop(INNER_PCP)
        case ClearInPort():
            fields["in_port"] = 0
