"""The rules and meters that a batch adds, and how a switch shows them.

A batch of a type's body is staged many times, at one switch after the other.  The first answer that shows it is
compared rule by rule.  A later one that differs from it in nothing but ages and counters shows the same rules: one
comparison of the whole answer.  While the controller compares, the switch waits for the next batch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ryu_apps.evb.flow.actions import FinTimeout
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.southbound.decode import PART_HEADER
from ryu_apps.southbound.encode import FLOW_MOD_FIXED
from ryu_apps.southbound.flow_stats import ENTRY_FIXED, FlowStatsEntry, entries, match_size

_COOKIE = struct.Struct("!8xQ")
_TIMEOUTS = struct.Struct("!26xHH")
_TABLE_AT = 24
_PRIORITY_AT = 30
_LENGTH = struct.Struct("!H")
#: Octets of a flow statistics entry that change while the rule stays: its age, its counters.
_AGE, _COUNTERS = slice(4, 12), slice(32, 48)

#: Table, priority and match octets: what makes a rule unique.
RuleOctetsKey = tuple[int, int, bytes]


class ExpectedRule(NamedTuple):
    """A rule as it was sent."""

    cookie: int
    idle_timeout: int
    hard_timeout: int
    instructions: bytes
    rule: Rule

    def is_shown(self, entry: FlowStatsEntry) -> bool:
        """Return True if an entry of the same key shows this rule."""
        return (
            self.cookie == entry.cookie
            and self.instructions == entry.instructions
            and self.hard_timeout == entry.hard_timeout
            and (self.idle_timeout == entry.idle_timeout or FinTimeout(entry.idle_timeout) in self.rule.apply)
        )


def _expected(octets: bytes, rule: Rule) -> tuple[RuleOctetsKey, ExpectedRule]:
    (cookie,) = _COOKIE.unpack_from(octets)
    middle = FLOW_MOD_FIXED + match_size(octets, FLOW_MOD_FIXED)
    priority = (octets[_PRIORITY_AT] << 8) + octets[_PRIORITY_AT + 1]
    idle, hard = _TIMEOUTS.unpack_from(octets)
    key = octets[_TABLE_AT], priority, octets[FLOW_MOD_FIXED:middle]
    return key, ExpectedRule(cookie, idle, hard, octets[middle:], rule)


class Expectation:
    """The rules and meters that a batch adds.

    Args:
        added: each message that adds something, with what it adds; the last one of a key counts.

    Attributes:
        rules: the rules by key.
        meters: the meters by id.
    """

    def __init__(self, added: Iterable[tuple[bytes, object]]) -> None:
        self.rules: dict[RuleOctetsKey, ExpectedRule] = {}
        self.meters: dict[int, Meter] = {}
        for octets, what in added:
            if isinstance(what, Meter):
                self.meters[what.meter_id] = what
            elif isinstance(what, Rule):
                key, expected = _expected(octets, what)
                self.rules[key] = expected
        # A flow-mod and the entry that shows its rule have the same size.
        sizes = (len(key[2]) + len(expected.instructions) for key, expected in self.rules.items())
        self._size = PART_HEADER + sum(ENTRY_FIXED + size for size in sizes)
        self._constant = self._shown = 0

    def is_shown_by(self, octets: bytes) -> bool:
        """Return True if an answer shows exactly these rules, as they were sent."""
        if len(octets) != self._size:
            return False
        shown = int.from_bytes(octets[PART_HEADER:])
        if self._constant and shown & self._constant == self._shown:
            return True
        if not self._each_is_shown_by(octets):
            return False
        self._constant = _constant_bits(octets)
        self._shown = shown & self._constant
        return True

    def _each_is_shown_by(self, octets: bytes) -> bool:
        left = dict(self.rules)
        for entry in entries(octets):
            expected = left.pop((entry.table, entry.priority, entry.match), None)
            if expected is None or not expected.is_shown(entry):
                return False
        return not left


def _constant_bits(octets: bytes) -> int:
    """Return ones for the bits of a flow statistics reply, behind its header, that say what the rules are."""
    mask = bytearray(b"\xff" * len(octets))
    at = PART_HEADER
    while at < len(octets):
        for changing in (_AGE, _COUNTERS):
            mask[at + changing.start : at + changing.stop] = bytes(changing.stop - changing.start)
        at += _LENGTH.unpack_from(octets, at)[0]
    return int.from_bytes(mask[PART_HEADER:])
