"""Rules that a switch has learnt for a VSI: what those of all services have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from ryu_apps.evb.flow.actions import Bits, LearnSpec, whole
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    DIRECTION_BITS,
    DIRECTION_SHIFT,
    VSI_BITS,
    VSI_MASK,
    VSI_SHIFT,
    CookieKind,
    Direction,
    Table,
    cookie,
)
from ryu_apps.evb.policy.rule_kinds import IPV4, TCP, UDP

#: What a learnt rule matches so that it is about the VLAN of the frame it is made of: inside a switch all frames have
#: a tag.  The same addresses and ports in another VLAN of the VSI may be those of another machine.
OF_VLAN = LearnSpec(whole("vlan_vid"), whole("vlan_vid"))


#: One bit tells the two directions of a VSI apart.
_BY_DIRECTION = (Bits("metadata", DIRECTION_SHIFT, 1),)


def of_vsi(binding: VsiBinding) -> LearnSpec:
    """Match of a learnt rule on one VSI."""
    return LearnSpec(Bits("metadata", VSI_SHIFT, VSI_BITS), binding.vsi_index)


def in_direction(direction: Direction) -> LearnSpec:
    """Match of a learnt rule on one direction."""
    return LearnSpec(Bits("metadata", DIRECTION_SHIFT, DIRECTION_BITS), direction)


def parts_of(table: Table, kinds: Iterable[tuple[int, int]], by_direction: bool = True) -> tuple[RulePart, ...]:
    """Parts of the rules of a table: a part for each EtherType and IP protocol.

    Args:
        by_direction: each rule matches on one direction.
    """
    return tuple(
        RulePart(
            table,
            match(eth_type=eth_type, ip_proto=ip_proto),
            (*_BY_DIRECTION[:by_direction], *_ends(eth_type, ip_proto)),
        )
        for eth_type, ip_proto in kinds
    )


def _ends(eth_type: int, ip_proto: int) -> Iterator[Bits]:
    prefix = {TCP: "tcp", UDP: "udp"}.get(ip_proto, "ipv4" if eth_type == IPV4 else "ipv6")
    return map(whole, (f"{prefix}_src", f"{prefix}_dst"))


def owner(binding: VsiBinding) -> int:
    """The cookie of what a switch learns for a VSI."""
    return cookie(CookieKind.STATE, binding.vsi_index, binding.generation)


# As :mod:`ryu_apps.southbound.decode` keeps rules: it is asked for most of them again.
@lru_cache(8192)
def rewritten(rule: Rule, binding: VsiBinding) -> Rule:
    """A rule as it was learnt for one program of a VSI, for another program of it."""
    fields = tuple(
        field._replace(value=field.value & ~VSI_MASK | binding.vsi_index << VSI_SHIFT)
        if field.name == "metadata"
        else field
        for field in rule.match
    )
    return replace(rule, match=fields, cookie=owner(binding))
