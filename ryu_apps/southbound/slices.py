"""Slices of a block of rules, read back without stalling the switch.

Open vSwitch answers a request for rules in one go, and forwards nothing meanwhile: 1.4 us a rule that it shows.  It
finds the rules of one whole cookie without a look at any other, so the pages of a type's body need nothing else.  Where
one cookie has more rules, requests are narrowed by a match: a few bits that all rules of a slice match exactly.  Rules
that fit no slice come first, and are read while there is little else to read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import groupby
from operator import or_
from typing import NamedTuple

from ryu_apps.evb.flow.match import (
    FIELD_SIZES,
    REGISTERS,
    FieldMatch,
    Match,
)
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.pipeline.tables import PAGE_OF_BODY
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.messages import ALL_TABLES, Query

#: Rules that are read with one request, roughly; more if one cookie has more than :data:`MOST_SLICES` times as many.
SLICE = PAGE_OF_BODY
#: Slices of one cookie: for each the switch looks at all its rules, so that 4,000 cost 0.2 ms and 40,000 cost 2.5 ms.
MOST_SLICES = 32
_MOST_BITS = 6
#: Rules looked at to find the bits, and bits tried.
_SAMPLE = 256
_CANDIDATES = 16
#: Fields whose bits a request may name without naming others, but for the context.
_CUTTING = {
    *("metadata", "eth_src", "eth_dst", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst"),
    *("tcp_src", "tcp_dst", "udp_src", "udp_dst", "arp_spa", "arp_tpa", *REGISTERS),
}
#: Fields that others need beside them; a request has to name them as well.
_CONTEXT = ("eth_type", "ip_proto")


class Slice(NamedTuple):
    """Rules of one cookie that are staged and read back together, and the match of the request for them."""

    rules: tuple[Rule, ...]
    table: int = ALL_TABLES
    match: Match = ()

    @property
    def query(self) -> Query:
        """The request that brings them back."""
        return Query(CookieMask(self.rules[0].cookie, ALL_ONES), self.table, self.match)


#: Field name -> the bits that make the difference.
_Bits = dict[str, int]
#: Table, and the fields of the context.
_Context = tuple[int, Match]
#: Of each rule of a sample, the value of one bit; None: the rule leaves it open.
_Column = list[bool | None]


def cut(rules: Iterable[Rule]) -> Iterator[Slice]:
    """Cut rules into slices; together they are the rules, those of one key in their order."""
    for _cookie, run in groupby(rules, lambda rule: rule.cookie):
        yield from _of_one_cookie(tuple(run))


def _of_one_cookie(rules: tuple[Rule, ...]) -> list[Slice]:
    size = max(SLICE, -(-len(rules) // MOST_SLICES))
    if len(rules) <= size:
        return [Slice(rules)]
    rest: list[Rule] = []
    slices: list[Slice] = []
    for (table, context), members in _by_context(rules).items():
        bits = _telling_bits(members, -(-len(members) // size)) if len(members) > size else {}
        shared: dict[tuple[int, ...] | None, list[Rule]] = defaultdict(list)
        for rule in members:
            shared[_values(rule.match, bits)].append(rule)
        for values, group in shared.items():
            if bits and values is not None:
                slices.append(Slice(tuple(group), table, _criterion(context, bits, values)))
            else:
                rest += group
    return [Slice(tuple(rest)), *slices] if rest else slices


def _by_context(rules: Iterable[Rule]) -> dict[_Context, list[Rule]]:
    found: dict[_Context, list[Rule]] = defaultdict(list)
    for rule in rules:
        context: Match = ()
        for test in rule.match:
            if test[0] in _CONTEXT and test[2] is None:
                context += (test,)
        found[rule.table, context].append(rule)
    return found


def _values(match: Match, bits: _Bits) -> tuple[int, ...] | None:
    """Return a rule's values of the bits; None if it leaves a bit open."""
    found: tuple[int, ...] = ()
    for name, value, mask in match:
        wanted = bits.get(name)
        if wanted and (mask is None or mask & wanted == wanted):
            found += (value & wanted,)
    return found if len(found) == len(bits) else None


def _telling_bits(rules: Sequence[Rule], wanted: int) -> _Bits:
    """Bits that cut the rules into parts as even as can be, by a sample; empty if nothing cuts them.

    Args:
        wanted: number of parts.
    """
    sample = [rule.match for rule in rules[:: -(-len(rules) // _SAMPLE)]]
    columns = _columns(sample)
    bits: _Bits = {}
    parts: list[tuple[bool | None, ...]] = [()] * len(sample)
    for _ in range(min((wanted - 1).bit_length(), _MOST_BITS)):
        trials = {bit: [(*part, value) for part, value in zip(parts, columns[bit], strict=True)] for bit in columns}
        best = min(trials, key=lambda bit: max(Counter(trials[bit]).values()), default=None)
        if best is None or len(set(trials[best])) <= len(set(parts)):
            break
        name, place = best
        bits[name] = bits.get(name, 0) | place
        parts = trials[best]
    return bits


def _columns(sample: Sequence[Match]) -> dict[tuple[str, int], _Column]:
    """The bits that most of a sample match on and that differ, the most undecided first."""
    tested = [{name: (value, -1 if mask is None else mask) for name, value, mask in match} for match in sample]
    found: dict[tuple[str, int], _Column] = {}
    for name in sorted(_CUTTING):
        known = [fields[name] for fields in tested if name in fields]
        if 2 * len(known) <= len(sample):
            continue
        ones, zeros = reduce(or_, (value for value, _ in known)), reduce(or_, (~value & mask for value, mask in known))
        for place in range(8 * FIELD_SIZES[name]):
            if ones & zeros & 1 << place:
                found[name, 1 << place] = [_bit(fields.get(name), 1 << place) for fields in tested]
    undecided = sorted(found, key=lambda bit: -min(found[bit].count(True), found[bit].count(False)))
    return {bit: found[bit] for bit in undecided[:_CANDIDATES]}


def _bit(tested: tuple[int, int] | None, place: int) -> bool | None:
    return None if tested is None or not tested[1] & place else bool(tested[0] & place)


def _criterion(context: Match, bits: _Bits, values: tuple[int, ...]) -> Match:
    """Return the match of a request; ``values`` are in the order of the fields of a match."""
    named = sorted(bits, key=list(FIELD_SIZES).index)
    wanted = [*context, *(FieldMatch(name, value, bits[name]) for name, value in zip(named, values, strict=True))]
    return tuple(sorted(wanted, key=lambda field: list(FIELD_SIZES).index(field.name)))
