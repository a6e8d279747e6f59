"""What a VSI is to receive: what it listens to, within what its type configures and allows."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.model import ALL_SOURCES, Binding, MulticastGroup, Subscription
from ryu_apps.evb.snooping.listener import MembershipTable, Terms


def carried_groups(listener: MembershipTable, terms: Terms) -> set[MulticastGroup]:
    """The groups that a VSI is to receive by the bounds of a type, and those it has joined that the type allows."""
    return {*terms.groups, *(group for _, group in listener.memberships if terms.allows(group))}


def subscriptions(listener: MembershipTable, terms: Terms, bindings: Iterable[Binding]) -> tuple[Subscription, ...]:
    """What a VSI is to receive: what is configured, and what of the learnt its type allows."""
    there = [binding for binding in dict.fromkeys(bindings) if binding.mac is not None]
    found = {(binding, group): ALL_SOURCES for group in terms.groups for binding in there}
    room = terms.max_groups - len(terms.groups)
    for (binding, group), held in listener.memberships.items():
        if binding not in there or (binding, group) in found or not terms.allows(group):
            continue
        if group not in {binding for _, binding in found}:
            room -= 1
        if room >= 0:
            found[binding, group] = held.source_filter
    return tuple(Subscription(*key, source_filter) for key, source_filter in found.items())
