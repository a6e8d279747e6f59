"""Decoding of the rules in flow statistics replies (OFPMP_FLOW) from their octets, without Ryu objects."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import Action
from ryu_apps.evb.flow.match import MatchFields
from ryu_apps.evb.flow.match import match as match_of
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound.decode import PART_HEADER, actions_of, pieces
from ryu_apps.southbound.oxm import decode_match

_ENTRY = struct.Struct("!HBx8xHHHHxxxxQQQ")
#: Octets of a flow-stats entry before its match.
ENTRY_FIXED = 48


class FlowStatsEntry(NamedTuple):
    """One rule of a flow statistics reply; match and instructions are octets as in a flow-mod."""

    table: int
    priority: int
    idle_timeout: int
    hard_timeout: int
    cookie: int
    packets: int
    octets: int
    match: bytes
    instructions: bytes


def entries(octets: bytes) -> Iterator[FlowStatsEntry]:
    """The rules of one part of a flow statistics reply."""
    at = PART_HEADER
    end = len(octets)
    while at < end:
        length, table, priority, idle, hard, _flags, cookie, packets, counted = _ENTRY.unpack_from(octets, at)
        start = at + ENTRY_FIXED
        middle = start + match_size(octets, start)
        at += length
        yield FlowStatsEntry(
            table, priority, idle, hard, cookie, packets, counted, octets[start:middle], octets[middle:at]
        )


def match_size(octets: bytes, at: int) -> int:
    """Return the size of an ``ofp_match`` in octets, with its padding."""
    length: int = (octets[at + 2] << 8) + octets[at + 3]
    return length + -length % 8


def rule(entry: FlowStatsEntry) -> Rule:
    """The rule that an entry shows; without instructions if evbridge cannot express one of them."""
    return _rule(*entry[:5], entry.match, entry.instructions)


# The state of a VSI is read up to three times while it moves, and most of it is the same each time.
@lru_cache(8192)
def _rule(
    table: int, priority: int, idle_timeout: int, hard_timeout: int, cookie: int, match: bytes, instructions: bytes
) -> Rule:
    match_end = int.from_bytes(match[2:4])
    shown = _instructions(instructions) or _Instructions()
    return Rule(
        table=table,
        priority=priority,
        match=decode_match(match[4:match_end]),
        cookie=cookie,
        apply=shown.apply,
        metadata=shown.metadata,
        goto=shown.goto,
        meter=shown.meter,
        idle_timeout=idle_timeout,
        hard_timeout=hard_timeout,
    )


def in_order(shown: Rule) -> Rule:
    """The same rule with its match fields in canonical order, and without masks of all ones or of zeros."""
    fields: MatchFields = {}
    for name, value, mask in shown.match:
        fields[name] = value if mask is None else (value & mask, mask)
    return replace(shown, match=match_of(**fields))


@dataclass(slots=True)
class _Instructions:
    apply: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    meter: int | None = None


@lru_cache(4096)
def _instructions(octets: bytes) -> _Instructions | None:
    found = _Instructions()
    for kind, instruction in pieces(octets):
        match kind:
            case ofp.OFPIT_METER:
                (found.meter,) = struct.unpack_from("!I", instruction, 4)
            case ofp.OFPIT_APPLY_ACTIONS:
                known = actions_of(instruction[8:])
                if known is None:
                    return None
                found.apply = known
            case ofp.OFPIT_WRITE_METADATA:
                found.metadata = struct.unpack_from("!QQ", instruction, 8)
            case ofp.OFPIT_GOTO_TABLE:
                found.goto = instruction[4]
            case _:
                return None
    return found


def is_known(entry: FlowStatsEntry) -> bool:
    """True if evbridge can express the instructions of a rule."""
    return _instructions(entry.instructions) is not None
