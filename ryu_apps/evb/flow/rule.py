"""Flow rules, groups and meters as plain values, in the vocabulary of OpenFlow 1.3.

Independent of the pipeline, of VSIs and of the encoding: ``southbound.encode`` turns these values into
octets and back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ryu_apps.evb.flow.actions import Action
from ryu_apps.evb.flow.match import Match

#: Meters from this id on, and below the next one, are those of gates; they are never deleted.
FIRST_GATE_METER = 0x30000000
#: Meters from this id on belong to single VSIs.
FIRST_OF_VSIS = 0x40000000
#: Ids of the groups of evbridge; those with other ids belong to other applications of the switch.
OWN_GROUPS = range(0x100000, 0x3200000)
#: Meters from this id on only count: they have a rate that no frame exceeds.
FIRST_COUNTER = 0x80000000


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

    Attributes:
        form: how a switch shows the rule, kept by those who compare it; it says nothing that the rest does not.
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
    form: bytes | None = field(default=None, init=False, repr=False, compare=False)

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
