"""Slices of a large block of rules, read back without stalling the switch.

Open vSwitch answers a request for rules in one go, and forwards nothing meanwhile: some 10 ms for
10,000 rules.  A request can be narrowed by a match, so a large block is cut into slices whose rules
agree in a few bits that all of them match exactly.  Rules that fit no slice come first, and are read
while there is little else to read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from ryu_apps.evb.flow.rule import FIELD_SIZES, REGISTERS, CookieMask, FieldMatch, Match, Rule
from ryu_apps.southbound.encode import ALL_ONES
from ryu_apps.southbound.messages import ALL_TABLES, Query

#: Rules that are read with one request, roughly.  A request costs the switch as much as reading some
#: 2,000 rules, however few it returns: many small ones would be no better.
SLICE = 1500
_MOST_BITS = 6
#: Rules looked at to find the bits, and bits tried.
_SAMPLE = 64
_CANDIDATES = 16
#: Fields whose bits a request may name without naming others, but for the context.
_CUTTING = {
    *("metadata", "eth_src", "eth_dst", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst"),
    *("tcp_src", "tcp_dst", "udp_src", "udp_dst", "arp_spa", "arp_tpa", *REGISTERS),
}
#: Fields that others need beside them; a request has to name them as well.
_CONTEXT = ("eth_type", "ip_proto")


class Slice(NamedTuple):
    """Rules that are staged and read back together, and the match of the requests for them."""

    rules: tuple[Rule, ...]
    table: int = ALL_TABLES
    match: Match = ()

    @property
    def queries(self) -> list[Query]:
        """The requests that bring them all back, one a cookie."""
        cookies = dict.fromkeys(rule.cookie for rule in self.rules)
        return [Query(CookieMask(cookie, ALL_ONES), self.table, self.match) for cookie in cookies]


#: Field name -> the bits that make the difference.
_Bits = dict[str, int]
#: Table, and the fields of the context.
_Context = tuple[int, Match]


def cut(rules: Sequence[Rule]) -> list[Slice]:
    """Cut rules into slices; together they are the rules, those of one key in their order."""
    if len(rules) <= SLICE:
        return [Slice(tuple(rules))]
    rest: list[Rule] = []
    slices: list[Slice] = []
    for (table, context), members in _by_context(rules).items():
        bits = _telling_bits(members) if len(members) > SLICE else {}
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


def _telling_bits(rules: Sequence[Rule]) -> _Bits:
    """Bits that cut the rules into parts as even as can be, by a sample; empty if nothing cuts them."""
    sample = [rule.match for rule in rules[:: len(rules) // _SAMPLE]]
    bits: _Bits = {}
    parts = 1
    candidates = _candidates(sample)
    for _ in range(min((len(rules) // SLICE).bit_length(), _MOST_BITS)):
        trials = [_with(bits, *candidate) for candidate in candidates]
        best = min(trials, key=lambda trial: _largest_part(sample, trial), default=bits)
        found = len({_values(match, best) for match in sample})
        if found <= parts:
            break
        bits, parts = best, found
    return bits


def _with(bits: _Bits, name: str, bit: int) -> _Bits:
    return bits | {name: bits.get(name, 0) | bit}


def _largest_part(sample: Sequence[Match], bits: _Bits) -> int:
    return max(Counter(_values(match, bits) for match in sample).values())


def _candidates(sample: Sequence[Match]) -> list[tuple[str, int]]:
    """The bits that most of a sample match on, the most undecided first."""
    ones: Counter[tuple[str, int]] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    for name, value, mask in chain.from_iterable(sample):
        for place in range(8 * FIELD_SIZES[name] if name in _CUTTING else 0):
            bit = 1 << place
            if mask is None or mask & bit:
                seen[name, bit] += 1
                ones[name, bit] += bool(value & bit)
    undecided = {bit: min(ones[bit], count - ones[bit]) for bit, count in seen.items() if 2 * count > len(sample)}
    ordered = sorted(undecided, key=lambda bit: -undecided[bit])
    return [bit for bit in ordered[:_CANDIDATES] if undecided[bit]]


def _criterion(context: Match, bits: _Bits, values: tuple[int, ...]) -> Match:
    """Return the match of a request; ``values`` are in the order of the fields of a match."""
    named = sorted(bits, key=list(FIELD_SIZES).index)
    wanted = [*context, *(FieldMatch(name, value, bits[name]) for name, value in zip(named, values, strict=True))]
    return tuple(sorted(wanted, key=lambda field: list(FIELD_SIZES).index(field.name)))
