"""Proof of staging: comparison of the rules that a switch shows with those it was sent.

Of Open vSwitch octets are compared and no rule is decoded.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import FinTimeout
from ryu_apps.evb.flow.rule import Meter, Rule, RuleKey
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.southbound.decode import FlowStatsEntry, entries, in_order, match_size, meters, rule
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


class _MeterReadBack:
    """The meters that one change adds, less those that the switch has shown."""

    def __init__(self) -> None:
        self._meters: dict[int, Meter] = {}

    def _shows_meters(self, octets: bytes) -> bool:
        """Take one part of the switch's answer; False if it shows rules."""
        if int.from_bytes(octets[8:10]) != ofp.OFPMP_METER_CONFIG:
            return False
        for meter in meters(octets):
            if self._meters.get(meter.meter_id) == meter:
                del self._meters[meter.meter_id]
        return True

    def _faults(self, otherwise: list[Rule], missing: list[Rule]) -> str | None:
        """Describe meters that are not as sent, else rules shown otherwise or not at all; None: all is there."""
        if self._meters:
            return f"{len(self._meters)} meters are not as sent; the first is {next(iter(self._meters))}"
        wrong = [("shows another cookie or timeout or other instructions for", found) for found in otherwise]
        wrong += [("does not show", found) for found in missing]
        if not wrong:
            return None
        what, first = wrong[0]
        return f"{len(wrong)} rules are not as sent; the switch {what} {rule_text(first)}"


class ReadBack(_MeterReadBack):
    """The rules and meters that one change adds, less those that the switch has shown."""

    def __init__(self) -> None:
        super().__init__()
        self._missing: dict[_Key, _Expected] = {}
        self._otherwise: list[_Expected] = []

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
        if self._shows_meters(octets):
            return
        missing = self._missing
        for entry in entries(octets):
            expected = missing.pop((entry.table, entry.priority, entry.match), None)
            if expected is not None and not expected.is_shown(entry):
                self._otherwise.append(expected)

    def verdict(self) -> str | None:
        """Return the first faults found, in words; None if there is none."""
        return self._faults(
            [expected.rule for expected in self._otherwise], [expected.rule for expected in self._missing.values()]
        )


class DecodedReadBack(_MeterReadBack):
    """The same for any switch: rules are decoded, since one may show their octets in another order."""

    def __init__(self) -> None:
        super().__init__()
        self._missing: dict[RuleKey, Rule] = {}
        self._otherwise: list[Rule] = []

    def expect(self, piece: Batch) -> None:
        """Expect the rules and meters that a batch adds; the last one of a key counts."""
        for _octets, subject in piece.messages:
            if subject.added and isinstance(subject.what, Meter):
                self._meters[subject.what.meter_id] = subject.what
            if subject.added and isinstance(subject.what, Rule):
                self._missing[subject.what.key] = subject.what

    def check(self, octets: bytes) -> None:
        """Take one part of the switch's answer."""
        if self._shows_meters(octets):
            return
        for entry in entries(octets):
            shown = in_order(rule(entry))
            expected = self._missing.pop(shown.key, None)
            if expected is not None and expected != shown:
                self._otherwise.append(expected)

    def verdict(self) -> str | None:
        """Return the first faults found, in words; None if there is none."""
        return self._faults(self._otherwise, list(self._missing.values()))
