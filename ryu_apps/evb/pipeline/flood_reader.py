"""Members of broadcasts, read from the rules of a switch with extensions."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from ryu_apps.evb.flow.actions import Resubmit, SetField
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.tables import CookieKind, Table, parse_cookie

#: A rule of a page has three actions for each member.
_ACTIONS = 3


class ShownMember(NamedTuple):
    """A member of the broadcasts of a VID.

    Attributes:
        page: index of its page, from 0.
    """

    vid: int
    page: int
    member: FloodMember


def shown_members(rules: Iterable[Rule], ended: Container[tuple[int, int]] = ()) -> Iterator[ShownMember]:
    """The VSIs to which a switch sends copies of broadcasts and for which it has a gate.

    Args:
        ended: index and generation of programs whose rules are out of date.
    """
    rules = tuple(rules)
    gates = {place for rule in rules if (place := _gate(rule, ended)) is not None}
    snooped = {_field(rule, "vlan_vid") for rule in rules if rule.table == Table.RECEIVERS}
    # In a VID with snooped VSIs only pages of others get the frames to every group.
    open_pages = {
        (_field(rule, "vlan_vid"), first.value)
        for rule in rules
        if rule.table == Table.RECEIVERS
        for first, then in pairwise(rule.apply)
        if isinstance(first, SetField) and then == Resubmit(Table.FLOOD_PAGE)
    }
    for rule in rules:
        if rule.table == Table.FLOOD_PAGE:
            vid, page = _field(rule, "vlan_vid"), _field(rule, "metadata")
            hears_all = vid not in snooped or (vid, page) in open_pages
            for mac, metadata in _copies(rule):
                if (vid, mac, metadata) in gates:
                    yield ShownMember(vid & ~VLAN_PRESENT, page - 1, FloodMember(metadata, mac, snooped=not hears_all))


def _copies(rule: Rule) -> Iterator[tuple[int, int]]:
    """MAC address and metadata of each copy."""
    for first, second in zip(rule.apply[::_ACTIONS], rule.apply[1::_ACTIONS], strict=False):
        if isinstance(first, SetField) and isinstance(second, SetField):
            yield first.value, second.value


def _gate(rule: Rule, ended: Container[tuple[int, int]]) -> tuple[int, int, int] | None:
    """VID, MAC address and metadata of a gate to a VSI of the switch; None for any other rule."""
    owner = parse_cookie(rule.cookie)
    if rule.table != Table.FORWARD or rule.metadata is None or owner is None or owner.kind is not CookieKind.GATE:
        return None
    if (owner.owner, owner.generation) in ended:
        return None
    return _field(rule, "vlan_vid"), _field(rule, "eth_dst"), rule.metadata[0]


def _field(rule: Rule, name: str) -> int:
    return next((field.value for field in rule.match if field.name == name), 0)
