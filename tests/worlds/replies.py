"""Flow statistics replies, as Open vSwitch sends them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add, message
from ryu_apps.southbound.shown import ShownOctets

_ENTRY = struct.Struct("!HBxIIHHHHxxxxQQQ")
#: Rules of a part.
_PART = 400


class Entry(NamedTuple):
    """An entry of a reply: a rule, and what a comparison leaves aside."""

    rule: Rule
    flags: int = 0
    seconds: int = 0
    packets: int = 0

    def encode(self) -> bytes:
        """Its octets."""
        rule, tail = self.rule, flow_add(self.rule)[FLOW_MOD_FIXED:]
        timeouts = rule.idle_timeout, rule.hard_timeout
        age, counters = (self.seconds, 7), (rule.cookie, self.packets, 60 * self.packets)
        head = FLOW_MOD_FIXED + len(tail), rule.table, *age, rule.priority, *timeouts, self.flags, *counters
        return _ENTRY.pack(*head) + tail


def parts(entries: Iterable[Entry]) -> list[bytes]:
    """A reply in parts."""
    shown = [entry.encode() for entry in entries]
    head = struct.pack("!HH4x", ofp.OFPMP_FLOW, 0)
    cut = [shown[at : at + _PART] for at in range(0, len(shown), _PART)]
    return [message(ofp.OFPT_MULTIPART_REPLY, head + b"".join(part)) for part in cut]


def shown_octets(replies: Iterable[bytes]) -> ShownOctets:
    """The rules of some replies."""
    shown = ShownOctets()
    for part in replies:
        shown.add(part)
    return shown
