"""Guards: no VM is a router, a DHCP server or a querier, or has the address of somebody who is configured.

The same for all VSIs of a switch, whatever their types allow, and so here once; what a type says against it stands
above these rules (``services.guards``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.guarded import (
    LOW_LINK_LOCAL,
    MaskedPrefix,
    NetworkRole,
    claims,
    derived_link_local,
    frames_of,
    plain_advertisements,
)
from ryu_apps.evb.flow.rule import VLAN_PRESENT, MatchFields, Rule, SetField, match
from ryu_apps.evb.pipeline.fragments import incomplete, of_neighbour_discovery
from ryu_apps.evb.pipeline.tables import GUARDED, CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Fabric, Role

#: In GUARD, above what a type's roles let pass.
_NOBODY = 400
#: Above the guard of routers, which names all neighbour advertisements.
_NO_ROUTER = 250

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def guards(fabric: Fabric) -> Iterator[Rule]:
    """What every switch drops of frames from VMs before it asks whose they are."""
    for fields in (*incomplete(), *of_neighbour_discovery()):
        yield _drop(Table.GUARD, _NOBODY, fields)
    for role in NetworkRole:
        for fields in frames_of(role):
            yield _drop(Table.GUARD, Priority.EXACT, fields)
    for fields in plain_advertisements():
        yield Rule(Table.GUARD, _NO_ROUTER, match(**fields), _COOKIE, goto=Table.CLAIM)
    yield Rule(Table.GUARD, Priority.DEFAULT, (), _COOKIE, goto=Table.CLAIM)
    for vid, net in dict.fromkeys(_configured(fabric)):
        for fields in claims(net):
            yield _drop(Table.CLAIM, Priority.EXACT, {"vlan_vid": VLAN_PRESENT | vid, **fields})
    for fields in claims(LOW_LINK_LOCAL):
        yield _drop(Table.CLAIM, Priority.WIDE, fields)
    yield Rule(Table.CLAIM, Priority.DEFAULT, (), _COOKIE, goto=Table.ANTISPOOF)


def _drop(table: Table, priority: int, fields: MatchFields) -> Rule:
    """Frames go no further than where those of VSIs with statistics are counted."""
    counted = (SetField("reg1", GUARDED),)
    return Rule(table, priority, match(**fields), _COOKIE, counted, goto=Table.REFUSED_FROM)


def _configured(fabric: Fabric) -> Iterator[tuple[int, MaskedPrefix]]:
    """The addresses of end systems and load balancers, by VID; a link-local one that follows from a MAC included."""
    for port in fabric.ports(Role.HOST):
        interface = fabric.interface(port)
        assert interface is not None
        for vid in interface.vids:
            yield from ((vid, MaskedPrefix.of(address)) for address in interface.addresses)
            yield from ((vid, derived_link_local(mac)) for mac in interface.macs)
    for balancer in fabric.balancers:
        yield from ((balancer.vid, MaskedPrefix.of(address)) for address in balancer.addresses)
