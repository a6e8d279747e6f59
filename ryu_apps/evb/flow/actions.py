"""Actions of rules and buckets as values: those of OpenFlow 1.3, and extensions of Open vSwitch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from ryu_apps.evb.flow.match import FIELD_SIZES

#: OFPP_IN_PORT: output to the ingress port, which no other output sends a frame to.
IN_PORT = 0xFFFFFFF8
#: OFPP_CONTROLLER.
CONTROLLER = 0xFFFFFFFD
#: OFPP_TABLE: output port of a packet-out that is looked up from the first table on.
TABLES = 0xFFFFFFF9


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
