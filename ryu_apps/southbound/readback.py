"""Proof of staging: does the switch show what it was sent?  Octets are compared, no rule is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ryu_apps.evb.flow.notation import rule_text
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound.decode import entries, match_size
from ryu_apps.southbound.encode import FLOW_MOD_FIXED
from ryu_apps.southbound.piece import Piece

_COOKIE = struct.Struct("!8xQ")
_TABLE_AT = 24
_PRIORITY_AT = 30

#: Table, priority and match octets: what makes a rule unique.
_Key = tuple[int, int, bytes]


class _Expected(NamedTuple):
    cookie: int
    instructions: bytes
    rule: Rule


class ReadBack:
    """Collects what one change adds and ticks off what the switch shows."""

    def __init__(self) -> None:
        self._missing: dict[_Key, _Expected] = {}
        self._otherwise: list[_Expected] = []

    def expect(self, piece: Piece) -> None:
        """The rules that a piece adds should be there in the end; the last one of a key counts."""
        for octets, subject in piece.messages:
            if subject.added and isinstance(subject.what, Rule):
                (cookie,) = _COOKIE.unpack_from(octets)
                middle = FLOW_MOD_FIXED + match_size(octets, FLOW_MOD_FIXED)
                priority = (octets[_PRIORITY_AT] << 8) + octets[_PRIORITY_AT + 1]
                key = octets[_TABLE_AT], priority, octets[FLOW_MOD_FIXED:middle]
                self._missing[key] = _Expected(cookie, octets[middle:], subject.what)

    def check(self, octets: bytes) -> None:
        """Take one part of the switch's answer."""
        missing = self._missing
        for table, priority, cookie, match, instructions in entries(octets):
            expected = missing.pop((table, priority, match), None)
            if expected is not None and (expected.cookie != cookie or expected.instructions != instructions):
                self._otherwise.append(expected)

    def verdict(self) -> str | None:
        """What is wrong, None if everything is as it should be."""
        wrong = [("shows another cookie or other instructions for", one) for one in self._otherwise]
        wrong += [("does not show", one) for one in self._missing.values()]
        if not wrong:
            return None
        what, first = wrong[0]
        return f"{len(wrong)} rules are not as sent; the switch {what} {rule_text(first.rule)}"
