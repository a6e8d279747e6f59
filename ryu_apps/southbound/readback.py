"""Proof of staging: comparison of the rules that a switch shows with those it was sent.

Of Open vSwitch octets are compared and no rule is decoded.
"""

from __future__ import annotations

from collections import deque

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import Meter, Rule, RuleKey
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.southbound.decode import meters
from ryu_apps.southbound.expectation import Expectation, ExpectedRule, RuleOctetsKey
from ryu_apps.southbound.flow_stats import entries, in_order, rule
from ryu_apps.southbound.piece import Batch


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
        self._unseen: deque[Expectation] = deque()
        self._missing: dict[RuleOctetsKey, ExpectedRule] = {}
        self._otherwise: list[ExpectedRule] = []

    def expect(self, piece: Batch) -> None:
        """Expect the rules and meters that a batch adds; the last one of a key counts."""
        expected = piece.expectation
        self._meters.update(expected.meters)
        if expected.rules:
            self._unseen.append(expected)

    def check(self, octets: bytes) -> None:
        """Take one part of the switch's answer."""
        if self._shows_meters(octets):
            return
        if self._unseen and self._unseen[0].is_shown_by(octets):
            self._unseen.popleft()
            return
        self._look_for_each()
        missing = self._missing
        for entry in entries(octets):
            expected = missing.pop((entry.table, entry.priority, entry.match), None)
            if expected is not None and not expected.is_shown(entry):
                self._otherwise.append(expected)

    def _look_for_each(self) -> None:
        """Have the rules of the batches looked for one by one: an answer may have those of several, and others."""
        while self._unseen:
            self._missing.update(self._unseen.popleft().rules)

    def verdict(self) -> str | None:
        """Return the first faults found, in words; None if there is none."""
        self._look_for_each()
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
