"""Rules that a switch shows as octets.

Of an entry of a flow statistics reply, age and counters are left out; what remains is compared with what the same rule
makes of a flow-mod.  Open vSwitch shows a rule with the octets with which it was sent.  Where it does not, time is lost
and nothing else: what is not recognized is decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.southbound import flow_stats
from ryu_apps.southbound.decode import PART_HEADER
from ryu_apps.southbound.encode import flow_tail
from ryu_apps.southbound.flow_stats import ENTRY_FIXED

#: In this order as in a flow statistics entry: table; then priority, both timeouts, flags and cookie.
_FORM = struct.Struct("!BHHHHxxxxQ")
#: Octets of an entry: the table, and from the priority up to the counters.
_TABLE, _FIRST, _COUNTERS = 2, 12, 32


class ShownOctets(ShownRules):
    """Rules of flow statistics replies, decoded only where they are asked for one by one."""

    def __init__(self) -> None:
        # In the order in which they were shown.
        self._left: dict[bytes, None] = {}

    def add(self, octets: bytes) -> None:
        """Add the rules of one part of a reply."""
        left, at, end = self._left, PART_HEADER, len(octets)
        while at < end:
            behind = at + (octets[at] << 8) + octets[at + 1]
            table, head = octets[at + _TABLE : at + _TABLE + 1], octets[at + _FIRST : at + _COUNTERS]
            left[table + head + octets[at + ENTRY_FIXED : behind]] = None
            at = behind

    def __len__(self) -> int:
        return len(self._left)

    def cookies(self) -> set[int]:
        return {int.from_bytes(form[_FORM.size - 8 : _FORM.size]) for form in self._left}

    def take(self, rules: Iterable[Rule]) -> list[Rule]:
        left, others = self._left, []
        for rule in rules:
            form = rule.form or _form(rule)
            if form in left:
                del left[form]
            else:
                others.append(rule)
        return others

    def left(self) -> Iterator[Rule]:
        return map(_decoded, self._left)


def _form(rule: Rule) -> bytes:
    """The octets by which a rule is recognized; kept with the rule, since gates are compared at each switch."""
    head = _FORM.pack(rule.table, rule.priority, rule.idle_timeout, rule.hard_timeout, 0, rule.cookie)
    form = head + flow_tail(rule)
    object.__setattr__(rule, "form", form)
    return form


def _decoded(form: bytes) -> Rule:
    table, priority, idle_timeout, hard_timeout, _flags, cookie = _FORM.unpack_from(form)
    middle = _FORM.size + flow_stats.match_size(form, _FORM.size)
    shown = flow_stats.FlowStatsEntry(
        table, priority, idle_timeout, hard_timeout, cookie, 0, 0, form[_FORM.size : middle], form[middle:]
    )
    return flow_stats.rule(shown)
