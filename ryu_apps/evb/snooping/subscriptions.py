"""Groups that a VSI receives: its memberships within the bounds of its type, and the type's configured groups."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.model import ALL_SOURCES, Binding, MulticastGroup, Subscription
from ryu_apps.evb.snooping.listener import MembershipTable, Terms


def carried_groups(listener: MembershipTable, terms: Terms) -> set[MulticastGroup]:
    """The configured groups of a type, and the groups that the VSI has joined and the type allows."""
    return {*terms.groups, *(group for _, group in listener.memberships if terms.allows(group))}


def subscriptions(listener: MembershipTable, terms: Terms, bindings: Iterable[Binding]) -> tuple[Subscription, ...]:
    """The subscriptions of a VSI: configured groups at all bindings, then joined groups up to the type's limit."""
    present = [binding for binding in dict.fromkeys(bindings) if binding.mac is not None]
    found = {(binding, group): ALL_SOURCES for group in terms.groups for binding in present}
    counted = set(terms.groups)
    for (binding, group), held in listener.memberships.items():
        if binding not in present or (binding, group) in found or not terms.allows(group):
            continue
        if group in counted or len(counted) < terms.max_groups:
            counted.add(group)
            found[binding, group] = held.source_filter
    return tuple(Subscription(*key, source_filter) for key, source_filter in found.items())
