"""Proof of staging: comparison of the rules that a switch shows with those it was sent, octet by octet."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import FinTimeout, Meter, Rule
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.southbound.decode import FlowStatsEntry, entries, match_size, meters
from ryu_apps.southbound.encode import FLOW_MOD_FIXED
from ryu_apps.southbound.piece import Batch

_COOKIE = struct.Struct("!8xQ")
_TIMEOUTS = struct.Struct("!26xHH")
_TABLE_AT = 24
_PRIORITY_AT = 30

#: Table, priority and match octets: what makes a rule unique.
_Key = tuple[int, int, bytes]


class _Expected(NamedTuple):
    cookie: int
    idle_timeout: int
    hard_timeout: int
    instructions: bytes
    rule: Rule

    def is_shown(self, entry: FlowStatsEntry) -> bool:
        return (
            self.cookie == entry.cookie
            and self.instructions == entry.instructions
            and self.hard_timeout == entry.hard_timeout
            and (self.idle_timeout == entry.idle_timeout or FinTimeout(entry.idle_timeout) in self.rule.apply)
        )


class ReadBack:
    """The rules that one change adds, less those that the switch has shown."""

    def __init__(self) -> None:
        self._missing: dict[_Key, _Expected] = {}
        self._otherwise: list[_Expected] = []
        self._meters: dict[int, Meter] = {}

    def expect(self, piece: Batch) -> None:
        """Expect the rules and meters that a batch adds; the last one of a key counts."""
        for octets, subject in piece.messages:
            if subject.added and isinstance(subject.what, Meter):
                self._meters[subject.what.meter_id] = subject.what
            if subject.added and isinstance(subject.what, Rule):
                (cookie,) = _COOKIE.unpack_from(octets)
                middle = FLOW_MOD_FIXED + match_size(octets, FLOW_MOD_FIXED)
                priority = (octets[_PRIORITY_AT] << 8) + octets[_PRIORITY_AT + 1]
                key = octets[_TABLE_AT], priority, octets[FLOW_MOD_FIXED:middle]
                idle, hard = _TIMEOUTS.unpack_from(octets)
                self._missing[key] = _Expected(cookie, idle, hard, octets[middle:], subject.what)

    def check(self, octets: bytes) -> None:
        """Take one part of the switch's answer."""
        if int.from_bytes(octets[8:10]) == ofp.OFPMP_METER_CONFIG:
            self._check_meters(octets)
            return
        missing = self._missing
        for entry in entries(octets):
            expected = missing.pop((entry.table, entry.priority, entry.match), None)
            if expected is not None and not expected.is_shown(entry):
                self._otherwise.append(expected)

    def _check_meters(self, octets: bytes) -> None:
        for meter in meters(octets):
            if self._meters.get(meter.meter_id) == meter:
                del self._meters[meter.meter_id]

    def verdict(self) -> str | None:
        """Return the first faults found, in words; None if there is none."""
        if self._meters:
            return f"{len(self._meters)} meters are not as sent; the first is {next(iter(self._meters))}"
        wrong = [("shows another cookie or timeout or other instructions for", rule) for rule in self._otherwise]
        wrong += [("does not show", rule) for rule in self._missing.values()]
        if not wrong:
            return None
        what, first = wrong[0]
        return f"{len(wrong)} rules are not as sent; the switch {what} {rule_text(first.rule)}"
