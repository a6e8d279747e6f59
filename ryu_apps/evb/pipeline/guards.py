"""Guards: VMs may not act as router, DHCP server or querier, or claim a configured address.

The same for all VSIs of a switch, so they are installed once; the exceptions of a VSI type have a higher
priority (``services.guards``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ryu_apps.evb.flow.actions import SetField
from ryu_apps.evb.flow.guarded import (
    ADVERTISEMENTS,
    LOW_LINK_LOCAL,
    MaskedPrefix,
    NetworkRole,
    claims,
    derived_link_local,
    frames_of,
    plain_advertisements,
)
from ryu_apps.evb.flow.match import VLAN_PRESENT, MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.fragments import incomplete, of_neighbour_discovery
from ryu_apps.evb.pipeline.tables import GUARDED, CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role

#: In GUARD, above the exceptions of a type's roles: no role permits these frames.
_UNCONDITIONAL = 400
#: Above the guard of routers, which matches all neighbour advertisements.
_NO_ROUTER = 250

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def guards(fabric: Fabric) -> Iterator[Rule]:
    """Rules of every switch for frames from VMs, in the tables GUARD and CLAIM."""
    for fields in (*incomplete(), *of_neighbour_discovery()):
        yield _drop(Table.GUARD, _UNCONDITIONAL, fields)
    for fields in plain_advertisements():
        yield Rule(Table.GUARD, _NO_ROUTER, match(**fields), _COOKIE, goto=Table.CLAIM)
    yield from _common(fabric)


def plain_guards(fabric: Fabric) -> Iterator[Rule]:
    """The same for a switch without extensions, which drops all fragments and counts nothing.

    OpenFlow 1.3 has no match field for the flags of a neighbour advertisement, so all advertisements pass.
    """
    yield Rule(Table.GUARD, _NO_ROUTER, match(**ADVERTISEMENTS), _COOKIE, goto=Table.CLAIM)
    for rule in _common(fabric):
        yield rule if rule.goto != Table.REFUSED_FROM else replace(rule, apply=(), goto=None)


def _common(fabric: Fabric) -> Iterator[Rule]:
    for role in NetworkRole:
        for fields in frames_of(role):
            yield _drop(Table.GUARD, Priority.EXACT, fields)
    yield Rule(Table.GUARD, Priority.DEFAULT, (), _COOKIE, goto=Table.CLAIM)
    for vid, net in dict.fromkeys(_configured(fabric)):
        for fields in claims(net):
            yield _drop(Table.CLAIM, Priority.EXACT, {"vlan_vid": VLAN_PRESENT | vid, **fields})
    for fields in claims(LOW_LINK_LOCAL):
        yield _drop(Table.CLAIM, Priority.WIDE, fields)
    yield Rule(Table.CLAIM, Priority.DEFAULT, (), _COOKIE, goto=Table.ANTISPOOF)


def _drop(table: Table, priority: int, fields: MatchFields) -> Rule:
    """A rule that drops: its frames continue only to the table that counts them for VSIs with statistics."""
    counted = (SetField("reg1", GUARDED),)
    return Rule(table, priority, match(**fields), _COOKIE, counted, goto=Table.REFUSED_FROM)


def _configured(fabric: Fabric) -> Iterator[tuple[int, MaskedPrefix]]:
    """The addresses of end systems and load balancers, with their VID, and link-local addresses derived from MACs."""
    for port in fabric.ports(Role.HOST):
        interface = fabric.interface(port)
        assert interface is not None
        for vid in interface.vids:
            yield from ((vid, MaskedPrefix.of(address)) for address in interface.addresses)
            yield from ((vid, derived_link_local(mac)) for mac in interface.macs)
    for balancer in fabric.balancers:
        yield from ((balancer.vid, MaskedPrefix.of(address)) for address in balancer.addresses)
