"""Flow rules, groups and meters as plain values, in the vocabulary of OpenFlow 1.3.

Independent of the pipeline, of VSIs and of the encoding: ``southbound.encode`` turns these values into
octets and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import NamedTuple

#: Registers of Open vSwitch: bits that accompany a frame through the tables.  ``xxreg1`` is ``reg4`` to ``reg7``.
REGISTERS = ("reg0", "reg1", "reg2", "reg3", "reg4", *(f"reg{number}" for number in range(8, 15)), "xxreg1")

#: Every match field evbridge uses, in the order in which Open vSwitch writes them back (the order
#: makes a read-back comparable octet by octet), with its size in octets.
FIELD_SIZES: dict[str, int] = {
    "in_port": 4,
    "eth_src": 6,
    "eth_dst": 6,
    "eth_type": 2,
    "vlan_vid": 2,
    "vlan_pcp": 1,
    "ipv4_src": 4,
    "ipv4_dst": 4,
    "ipv6_src": 16,
    "ipv6_dst": 16,
    "ip_frag": 1,
    "ip_dscp": 1,
    "ip_proto": 1,
    "tcp_src": 2,
    "tcp_dst": 2,
    "tcp_flags": 2,
    "udp_src": 2,
    "udp_dst": 2,
    "icmpv4_type": 1,
    "icmpv4_code": 1,
    "icmpv6_type": 1,
    "icmpv6_code": 1,
    "ipv6_nd_target": 16,
    "ipv6_nd_sll": 6,
    "ipv6_nd_tll": 6,
    "nd_reserved": 4,
    "nd_options_type": 1,
    "arp_op": 2,
    "arp_spa": 4,
    "arp_tpa": 4,
    "arp_sha": 6,
    "arp_tha": 6,
    **dict.fromkeys(REGISTERS, 4),
    "xxreg1": 16,
    "metadata": 8,
}

#: Field -> its place in a match, and its greatest value.
_RANK_AND_FULL = {name: (rank, (1 << (8 * size)) - 1) for rank, (name, size) in enumerate(FIELD_SIZES.items())}

#: ``vlan_vid`` carries this bit for every tagged frame (OFPVID_PRESENT).
VLAN_PRESENT = 0x1000
#: ``vlan_vid`` of a frame whose tag has a priority and no VID.
PRIORITY_TAGGED = VLAN_PRESENT
#: ``(value, mask)`` that matches any tagged frame.
ANY_TAGGED = (VLAN_PRESENT, VLAN_PRESENT)
#: The I/G bit of a MAC address as a 48-bit integer: set in group addresses.
GROUP_BIT = 1 << 40
#: ``(value, mask)`` that matches any group address, broadcast included.
ANY_GROUP = (GROUP_BIT, GROUP_BIT)
#: ``ip_frag`` of a first fragment, which has the ports of the datagram.
FIRST_FRAGMENT = 1
#: ``(value, mask)`` of ``ip_frag``: any fragment; a later fragment, which has no ports.
ANY_FRAGMENT, LATER_FRAGMENT = (1, 1), (2, 2)
#: OFPP_IN_PORT: output to the ingress port, which no other output sends a frame to.
IN_PORT = 0xFFFFFFF8
#: OFPP_CONTROLLER.
CONTROLLER = 0xFFFFFFFD
#: OFPP_TABLE: output port of a packet-out that is looked up from the first table on.
TABLES = 0xFFFFFFF9
#: Meters from this id on, and below the next one, are those of gates; they are never deleted.
FIRST_GATE_METER = 0x30000000
#: Meters from this id on belong to single VSIs.
FIRST_OF_VSIS = 0x40000000
#: Groups from this id on are for copies of broadcasts.
FIRST_FLOOD_GROUP = 0x800000
#: Meters from this id on only count: they have a rate that no frame exceeds.
FIRST_COUNTER = 0x80000000


class FieldMatch(NamedTuple):
    """One match field: its OpenFlow name, an unsigned value and a mask (None: exact)."""

    name: str
    value: int
    mask: int | None = None


#: The fields of a match in canonical order; equal matches are equal tuples.
Match = tuple[FieldMatch, ...]


#: Keyword arguments of :func:`match`, for callers that compose a match from parts.
MatchFields = dict[str, int | tuple[int, int]]


def match(**fields: int | tuple[int, int]) -> Match:
    """Build a match: ``match(in_port=1, vlan_vid=ANY_TAGGED)``.

    A value is an unsigned integer (addresses too) or a pair ``(value, mask)``.  A mask of all ones
    becomes an exact match, a mask of zero leaves the field out.

    Raises:
        ValueError: unknown field, value too large, or value bits outside the mask.
    """
    found = []
    for name, given in fields.items():
        if name not in _RANK_AND_FULL:
            raise ValueError(f"unknown match field {name!r}")
        value, mask = given if isinstance(given, tuple) else (given, None)
        rank, full = _RANK_AND_FULL[name]
        if mask == 0:
            continue
        if mask == full:
            mask = None
        if not 0 <= value <= full or (mask is not None and value & ~mask):
            raise ValueError(f"{name}={value:#x} does not fit mask {mask}")
        found.append((rank, FieldMatch(name, value, mask)))
    # Ranks differ, so that no two fields are compared.
    return tuple([field_match for _, field_match in sorted(found)])


@dataclass(frozen=True, slots=True)
class Output:
    """Send the frame out of a port; ``max_len`` counts only for the controller port."""

    port: int
    max_len: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Process the frame by a group."""

    group_id: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Overwrite one header or pipeline field."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Push an 802.1Q tag (0x8100); a SetField of ``vlan_vid`` follows."""


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Remove the outer 802.1Q tag."""


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the frame up in another table, then continue with the next action (an Open vSwitch extension)."""

    table: int


@dataclass(frozen=True, slots=True)
class ClearInPort:
    """Clear the ingress port, so that a later output may send the frame back to it.

    OpenFlow suppresses output to the ingress port; reflective relay (802.1Q 8.6.1) needs it.
    """


@dataclass(frozen=True, slots=True)
class Clone:
    """Process a copy of the frame in another table, then continue (an Open vSwitch extension).

    What a meter there drops is the copy alone.  Behind a mere :class:`Resubmit` a meter drops the frame, and with it
    everything that the actions behind would have sent.
    """

    table: int


@dataclass(frozen=True, slots=True)
class FinTimeout:
    """Shorten the idle timeout of the rule once it sees a TCP FIN or RST (an Open vSwitch extension); seconds."""

    idle: int


class Bits(NamedTuple):
    """A run of bits of a field, the lowest at ``offset``."""

    name: str
    offset: int
    width: int


#: Fields that have fewer bits for :class:`Bits` than their octets have.
_NARROW = {"vlan_vid": 12, "vlan_pcp": 3, "ip_frag": 2, "ip_dscp": 6, "tcp_flags": 12}


@cache
def whole(name: str) -> Bits:
    """All bits of a field."""
    return Bits(name, 0, _NARROW.get(name, 8 * FIELD_SIZES[name]))


@dataclass(frozen=True, slots=True)
class RegLoad:
    """Overwrite some bits of a field, 64 at most (an Open vSwitch extension).

    Learnt rules have this action for every write, even of a whole field.
    """

    target: Bits
    value: int


@dataclass(frozen=True, slots=True)
class StackPush:
    """Push some bits on a stack (an Open vSwitch extension).

    Two fields change places by two pushes and two pops in the same order.
    """

    source: Bits


@dataclass(frozen=True, slots=True)
class StackPop:
    """Overwrite some bits of a field with the bits on top of the stack."""

    target: Bits


class LearnSpec(NamedTuple):
    """One match field or one action of a rule that is to be learnt.

    Attributes:
        target: bits that the new rule matches, or bits that it writes.
        source: of the value: bits of the frame at hand, or a constant.
    """

    target: Bits
    source: Bits | int


@dataclass(frozen=True, slots=True)
class Learn:
    """Write a rule made from the frame at hand (an Open vSwitch extension).

    The switch learns by itself, so connections are tracked without a controller.  The frame from which it
    learns does not meet the new rule; the next one does.

    Attributes:
        table, priority, cookie: of the new rule.
        idle_timeout, fin_idle_timeout: seconds without a frame until the rule expires, before and after a
            TCP FIN or RST; 0: never, and as before.
        limit: rules of this exact cookie that the table may hold; at the limit no rule is added or changed;
            0: no limit.
        result_dst: bits that are set to 1, or to 0 if the limit forbids the rule; None: the result is not written.
        match: fields that it matches; the frame's own Ethernet type and protocol are given as constants, before
            the fields of which they are prerequisites.
        writes: the fields it writes, in order.
        hard_timeout: seconds until the rule expires, counted from the last frame learnt from; 0: never.
    """

    table: int
    priority: int
    cookie: int
    idle_timeout: int
    fin_idle_timeout: int
    limit: int
    result_dst: Bits | None
    match: tuple[LearnSpec, ...]
    writes: tuple[LearnSpec, ...]
    hard_timeout: int = 0


Action = (
    Output
    | OutputGroup
    | SetField
    | RegLoad
    | StackPush
    | StackPop
    | PushVlan
    | PopVlan
    | Resubmit
    | Clone
    | ClearInPort
    | FinTimeout
    | Learn
)


class RuleKey(NamedTuple):
    """The key of a rule in a switch: two rules with the same key overwrite each other (OpenFlow 1.3 6.4)."""

    table: int
    priority: int
    match: Match


@dataclass(frozen=True, slots=True)
class Rule:
    """One flow entry.

    ``apply`` are apply-actions; ``metadata`` is ``(value, mask)`` for write-metadata; ``goto`` the
    next table.  A rule without instructions drops.  Both timeouts are in seconds, 0 for a permanent rule:
    ``idle_timeout`` without a frame, ``hard_timeout`` in any case.
    """

    table: int
    priority: int
    match: Match
    cookie: int
    apply: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    meter: int | None = None
    idle_timeout: int = 0
    hard_timeout: int = 0

    @property
    def key(self) -> RuleKey:
        return RuleKey(self.table, self.priority, self.match)


class MeterCount(NamedTuple):
    """The counters of a meter.

    Attributes:
        rules: number of rules that refer to it.
        packets, octets: frames, and their octets from the destination address on, as they were when metered.
        age: seconds since it was added.
        dropped: of the frames, those beyond its rate.
    """

    meter_id: int
    rules: int
    packets: int
    octets: int
    age: float
    dropped: int = 0


class CookieMask(NamedTuple):
    """A set of rules: those with ``rule.cookie & mask == cookie``."""

    cookie: int
    mask: int

    def covers(self, cookie: int) -> bool:
        return cookie & self.mask == self.cookie


class GroupType(Enum):
    """OpenFlow 1.3 group types (value: the number on the wire)."""

    ALL = 0
    SELECT = 1
    INDIRECT = 2
    FAST_FAILOVER = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket; ``weight`` counts only for select.

    ``watch_port`` or ``watch_group`` decides if it is live; both count only for fast failover and select.
    """

    actions: tuple[Action, ...]
    watch_port: int | None = None
    weight: int = 0
    watch_group: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One group entry; another entry with the same id replaces the buckets."""

    group_id: int
    type: GroupType
    buckets: tuple[Bucket, ...]


class MeterUnit(Enum):
    """Unit of a meter's rate, a second, and of its burst."""

    PACKETS = "packets"
    KILOBITS = "kbit"


@dataclass(frozen=True, slots=True)
class Meter:
    """A rate limit: drop above ``rate`` units a second, with ``burst`` units of slack.

    A meter with a rate that no frame exceeds drops nothing and only counts.
    """

    meter_id: int
    rate: int
    burst: int
    unit: MeterUnit = MeterUnit.PACKETS


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class RuleBlock:
    """A run of rules that is compiled once and installed on many switches.

    Compared by identity, so that a driver may keep its serialised form beside it.
    """

    rules: tuple[Rule, ...]

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Additions and deletions at one switch, carried out in this order.

    ``meters`` are written anew and begin at 0; ``counters`` are meters that continue if present.
    ``blocks`` and ``add`` add or overwrite (same key: the old rule is replaced).  ``remove`` deletes strictly
    by key *and* exact cookie, so a rule that a newer owner has overwritten stays.  ``delete_by_cookie`` deletes
    by cookie mask in all tables.  ``delete_meters`` deletes meters, and with a meter every rule that refers to
    it; ``keep_meters``, unless it is None, are the only ids from ``FIRST_OF_VSIS`` on that stay.  A bundle
    cannot delete meters.  ``opened`` are meters that are written when the switch has taken everything else.
    ``keep_groups``, unless it is None, are the only groups from ``FIRST_FLOOD_GROUP`` on that stay in a switch without
    extensions; others have none.
    """

    meters: tuple[Meter, ...] = ()
    groups: tuple[Group, ...] = ()
    blocks: tuple[RuleBlock, ...] = ()
    add: tuple[Rule, ...] = ()
    remove: tuple[Rule, ...] = ()
    delete_by_cookie: tuple[CookieMask, ...] = ()
    delete_groups: tuple[int, ...] = ()
    counters: tuple[Meter, ...] = ()
    delete_meters: tuple[int, ...] = ()
    keep_meters: frozenset[int] | None = None
    keep_groups: frozenset[int] | None = None
    opened: tuple[Meter, ...] = ()

    def __bool__(self) -> bool:
        # Field by field: a comparison with NO_CHANGE takes longer, and an Associate asks this of dozens of changes.
        return bool(
            self.add
            or self.remove
            or self.groups
            or self.blocks
            or self.delete_by_cookie
            or self.meters
            or self.delete_groups
            or self.counters
            or self.delete_meters
            or self.opened
            or self.keep_meters is not None
            or self.keep_groups is not None
        )

    def groups_that_go(self, known: Iterable[int]) -> list[int]:
        """The groups that this change deletes: those that it names, and out of those that a switch has."""
        keep = self.keep_groups
        left = (group_id for group_id in known if group_id >= FIRST_FLOOD_GROUP)
        return [*self.delete_groups, *(group_id for group_id in left if keep is not None and group_id not in keep)]

    def meters_that_go(self, known: Iterable[int]) -> list[int]:
        """The meters that this change deletes out of those that a switch has."""
        keep = self.keep_meters
        return [
            meter_id
            for meter_id in known
            if meter_id in self.delete_meters
            or (meter_id >= FIRST_OF_VSIS and keep is not None and meter_id not in keep)
        ]


#: The change that changes nothing.
NO_CHANGE = RuleChange()


@dataclass(slots=True)
class FlowTable:
    """The rules, groups and meters of one switch according to its confirmed changes."""

    rules: dict[RuleKey, Rule] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    meters: dict[int, Meter] = field(default_factory=dict)

    def apply(self, change: RuleChange) -> None:
        """Carry out a change as the switch does."""
        self.meters.update((meter.meter_id, meter) for meter in change.meters)
        self.meters.update((meter.meter_id, meter) for meter in change.counters)
        self.groups.update((group.group_id, group) for group in change.groups)
        for block in change.blocks:
            self.rules.update((rule.key, rule) for rule in block)
        self.rules.update((rule.key, rule) for rule in change.add)
        for rule in change.remove:
            present = self.rules.get(rule.key)
            if present is not None and present.cookie == rule.cookie:
                del self.rules[rule.key]
        for mask in change.delete_by_cookie:
            self.rules = {key: rule for key, rule in self.rules.items() if not mask.covers(rule.cookie)}
        for group_id in change.groups_that_go(list(self.groups)):
            self.groups.pop(group_id, None)
        for meter_id in change.meters_that_go(list(self.meters)):
            del self.meters[meter_id]
            self.rules = {key: rule for key, rule in self.rules.items() if rule.meter != meter_id}
        self.meters.update((meter.meter_id, meter) for meter in change.opened)
