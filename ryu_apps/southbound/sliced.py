"""The read of all rules of evbridge in a switch: in slices of the request, and in portions of the answer.

Open vSwitch composes an answer in one go and forwards no other message meanwhile: 90 to 130 ms for 40,000 rules.  So
each table is asked for by itself, and one with many rules by owners and pages.  A slice is asked for when that
before it has come.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import SwitchRead
from ryu_apps.evb.flow.rule import CookieMask, Meter, Rule
from ryu_apps.evb.flow.shown import DecodedRules, ShownRules
from ryu_apps.evb.pipeline.cookie_masks import divided, without
from ryu_apps.southbound import decode, flow_stats
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.jobs import SentRequest, Transport
from ryu_apps.southbound.messages import Query, aggregate_request, multipart_request, rules_counted
from ryu_apps.southbound.portions import PortionedReadJob
from ryu_apps.southbound.questions import ALL_METERS
from ryu_apps.southbound.shown import ShownOctets

#: Most rules of a slice, roughly, and most slices of a table for each kind of rules.  To find the rules of a slice the
#: switch looks at all of the table, 0.03 us each, and it shows one in 1.3 us: 1 ms for a slice of 10,000 rules.
SLICE, MOST_SLICES = 500, 64
#: Parts of answers that wait for being taken in: with more, no further slice is asked for.
MOST_PARTS = 4
#: Table number and number of rules, in an entry of table statistics.
_TABLE = struct.Struct("!B3xI16x")
_PART_HEADER = 16


class SlicedReadJob(PortionedReadJob):
    """All rules of evbridge and all meters, for a comparison; rules are not decoded."""

    URGENT = False

    def __init__(self, wire: Transport, asked: ReadRules) -> None:
        super().__init__(wire, asked, flow_stats.in_order)
        self._octets = ShownOctets()
        self._meters: list[Meter] | None = None
        self._meters_xid: int | None = None
        self._counting: tuple[int, Generator[CookieMask, int, None]] | None = None

    @property
    def sends_next(self) -> bool:
        """True if :meth:`send` goes before :meth:`decode`."""
        return self.may_send and len(self._parts) < MOST_PARTS

    def decode(self) -> None:
        """Take in the next portion; behind the last one all of them are the outcome."""
        if self._take_in() and self._is_answered:
            meters = None if self._meters is None else tuple(self._meters)
            self.outcome = SwitchRead(self.dpid, self.token, self._result(), meters)

    def _take_in(self) -> bool:
        """Take in one part of an answer; returns True if there is no other."""
        if self._parts:
            self._octets.add(self._parts.popleft())
        return not self._parts

    def _result(self) -> ShownRules:
        return self._octets

    def interim(self, xid: int, octets: bytes) -> None:
        match int.from_bytes(octets[8:10]):
            case ofp.OFPMP_METER_CONFIG:
                self._meters = [*(self._meters or []), *decode.meters(octets)]
            case ofp.OFPMP_TABLE:
                self._divide(_TABLE.iter_unpack(octets[_PART_HEADER:]))
            case ofp.OFPMP_AGGREGATE:
                self._counted(rules_counted(octets))
            case _:
                super().interim(xid, octets)

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        """Reject the read, unless the refused request was for meters, which a switch may not have."""
        if xid != self._meters_xid:
            super().refused(flight, xid, error)
        self._unanswered -= 1

    def _begin(self) -> None:
        """Ask for the meters, and for the number of rules of each table."""
        self._meters_xid = self._question(partial(multipart_request, ofp.OFPMP_METER_CONFIG, ALL_METERS))
        self._question(partial(multipart_request, ofp.OFPMP_TABLE, b""))

    def _divide(self, tables: Iterator[tuple[int, int]]) -> None:
        for table, count in tables:
            if 0 < count <= SLICE:
                self._ask_later(self._asked.mask, table)
            elif count and self._asked.left_out is not None:
                counting = self._count(table, count, self._asked.left_out)
                self._steps.append(partial(self._ask_number, table, counting, next(counting)))
            elif count:
                self._ask_for_parts([self._asked.mask], table, count)

    def _count(self, table: int, count: int, left_out: CookieMask) -> Generator[CookieMask, int, None]:
        """Decide what a table has to show; yields cookie masks, and is sent how many rules there are under each.

        What need not be shown is left out, unless some of it has none of the expected cookies.
        """
        spare = unexpected = yield left_out
        for cookie in self._asked.expected:
            if unexpected <= 0:
                break
            # To find the rules of one whole cookie the switch looks at no other rule.
            unexpected -= yield CookieMask(cookie, ALL_ONES)
        if unexpected > 0 or not spare:
            self._ask_for_parts([self._asked.mask], table, count)
        else:
            self._ask_for_parts([*without(self._asked.mask, left_out)], table, count - spare)

    def _ask_number(self, table: int, counting: Generator[CookieMask, int, None], mask: CookieMask) -> None:
        self._counting = table, counting
        self._question(partial(aggregate_request, Query(mask, table)))

    def _counted(self, number: int) -> None:
        assert self._counting is not None, "the switch was asked for a number"
        table, counting = self._counting
        with suppress(StopIteration):
            # Before the other tables: one is counted at a time.
            self._steps.appendleft(partial(self._ask_number, table, counting, counting.send(number)))

    def _ask_for_parts(self, masks: list[CookieMask], table: int, count: int) -> None:
        for mask in masks:
            for part in divided(mask, min(-(-count // SLICE), MOST_SLICES)):
                self._ask_later(part, table)

    def _ask_later(self, mask: CookieMask, table: int) -> None:
        self._steps.append(partial(self._ask_for, Query(mask, table)))


class DecodedSlicedReadJob(SlicedReadJob):
    """The same for any switch: rules are decoded, since one may show their octets in another order."""

    def __init__(self, wire: Transport, asked: ReadRules) -> None:
        super().__init__(wire, asked)
        self._rules: list[Rule] = []

    def _take_in(self) -> bool:
        rules = tuple(islice(self._entries, self.PORTION))
        self._rules += rules
        if ended := len(rules) < self.PORTION:
            # An iterator that has ended begins no more.
            self._entries = self._decoded()
        return ended

    def _result(self) -> ShownRules:
        return DecodedRules(self._rules)
