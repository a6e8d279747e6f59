"""Reads of rules that a switch has learned: counted first, then shown in slices.

Open vSwitch composes an answer in one go and does nothing else meanwhile: 5 ms and more for 4,000 rules.  What it has
learned has one cookie for each VSI.  So a request is narrowed by a match until few rules are left; between two requests
the switch forwards frames and moves gates.  To count rules costs it a tenth of showing them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import RulesRead
from ryu_apps.evb.flow.actions import Bits
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.southbound.jobs import Transport
from ryu_apps.southbound.messages import Query, aggregate_request, is_aggregate, rules_counted
from ryu_apps.southbound.portions import PortionedReadJob

#: Rules that are shown in one go.  For each request the switch looks at all rules of the cookie, 0.06 us each, and
#: to show one costs it 1.3 us: with 4,000 rules a slice takes 0.2 ms and what it shows takes 0.3 ms.
SLICE = 400
#: A bit cuts if at least this part of the rules has either value of it.
_LOPSIDED = 8
#: Bits that are tried one after the other.  More than one, since the ports that a host picks may all be even.
_TRIES = 6


class Request(NamedTuple):
    """A request for rules, or for their number."""

    query: Query
    counts: bool


#: Requests, one after the other; is sent the numbers of rules, and ends with False if there are more than permitted.
Requests = Generator[Request, int, bool]


class _Selection(NamedTuple):
    """Rules of a table under a cookie mask, by values and masks of fields."""

    query: Query
    fields: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, asked: ReadRules, part: RulePart) -> _Selection:
        exact = {name: (value, -1 if mask is None else mask) for name, value, mask in part.match}
        return cls(Query(asked.mask, part.table, part.match), exact)

    def narrowed(self, name: str, bit: int, value: int) -> _Selection:
        before, mask = self.fields.get(name, (0, 0))
        fields = {**self.fields, name: (before | value, mask | bit)}
        given = {field: pair if pair[1] >= 0 else pair[0] for field, pair in fields.items()}
        return _Selection(self.query._replace(match=match(**given)), fields)


def requests(asked: ReadRules) -> Requests:
    """The requests for the rules of a read; each rule that is there all the time is shown once."""
    everything = Query(asked.mask)
    number = yield Request(everything, True)
    if asked.most is not None and number > asked.most:
        return False
    if number <= SLICE:
        yield Request(everything, False)
        return True
    *parts, last = asked.parts
    for part in parts:
        selection = _Selection.of(asked, part)
        # A part that is thought to be empty is asked for too: a rule may have come since the others were counted.
        share = (yield Request(selection.query, True)) if number > SLICE else number
        yield from _slices(selection, part.cut_by, share)
        number -= share
    yield from _slices(_Selection.of(asked, last), last.cut_by, number)
    return True


def _slices(selection: _Selection, cut_by: tuple[Bits, ...], number: int, tried: int = 0) -> Generator[Request, int]:
    if number <= SLICE or not cut_by or tried == _TRIES:
        yield Request(selection.query, False)
        return
    (name, offset, width), *others = cut_by
    following = (Bits(name, offset + 1, width - 1),) if width > 1 else ()
    bit = 1 << offset
    ones = yield Request(selection.narrowed(name, bit, bit).query, True)
    if _LOPSIDED * min(ones, number - ones) < number:
        yield from _slices(selection, (*others, *following), number, tried + 1)
        return
    for value, share in ((bit, ones), (0, number - ones)):
        yield from _slices(selection.narrowed(name, bit, value), (*following, *others), share)


class CountedReadJob(PortionedReadJob):
    """Rules in parts; the next request is sent while the answer to the one before is decoded."""

    # An Associate is likely to come meanwhile.
    PORTION = 8

    def __init__(self, wire: Transport, asked: ReadRules, shown: Callable[[Rule], Rule]) -> None:
        super().__init__(wire, asked, shown)
        self._requests = requests(asked)
        self._permitted = True

    def send(self) -> None:
        self._steps.popleft()()

    @property
    def sends_next(self) -> bool:
        """True if :meth:`send` goes before :meth:`decode`."""
        return self.may_send and len(self._parts) < 2

    def _begin(self) -> None:
        self._send(next(self._requests))

    def _send(self, request: Request) -> None:
        if request.counts:
            self._question(partial(aggregate_request, request.query))
        else:
            self._ask_for(request.query)
            self._go_on(0)

    def _go_on(self, number: int) -> None:
        try:
            self._steps.append(partial(self._send, self._requests.send(number)))
        except StopIteration as end:
            self.all_sent, self._permitted = True, end.value

    def interim(self, xid: int, octets: bytes) -> None:
        if self.outcome is None and is_aggregate(octets):
            self._go_on(rules_counted(octets))
        else:
            super().interim(xid, octets)

    def decode(self) -> RulesRead | None:
        """Return the next portion; the last one is the outcome, and not returned."""
        portion = super().decode()
        if isinstance(self.outcome, RulesRead) and not self._permitted:
            self.outcome = replace(self.outcome, omitted=True)
        return portion


def portioned_read(wire: Transport, asked: ReadRules, shown: Callable[[Rule], Rule]) -> PortionedReadJob:
    """The job of a read that has its place in a lane."""
    return (CountedReadJob if asked.parts else PortionedReadJob)(wire, asked, shown)
