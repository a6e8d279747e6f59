"""Tags of frames at the ports of a switch without extensions.

OpenFlow 1.3 cannot test for a second tag before the first one is gone, so the test is where frames lose their tag.
Nor can it clear the ingress port of a frame, so these ports have no reflective relay.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import Output, PopVlan
from ryu_apps.evb.flow.match import ANY_TAGGED, VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.edge import native
from ryu_apps.evb.pipeline.tables import PORT_MASK, CookieKind, Priority, Table, cookie, metadata
from ryu_apps.evb.topology.interface import Interface

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def plain_incoming(interfaces: list[Interface]) -> Iterator[Rule]:
    """The rules that give each frame its tag, behind those of reserved addresses in ADMIT."""
    for interface in interfaces:
        if interface.native_vlan is not None:
            vid = VLAN_PRESENT | interface.native_vlan
            yield from native(interface.port_no, vid, vid, look_behind=())
    yield Rule(Table.ADMIT, Priority.DEFAULT, (), _COOKIE, goto=Table.INGRESS)


def plain_outgoing(interface: Interface) -> Iterator[Rule]:
    """The rules of an edge port: untagged in its native VLAN, else tagged."""
    port, out = (metadata(port=interface.port_no), PORT_MASK), (Output(interface.port_no),)
    if interface.native_vlan is not None:
        untagged = match(metadata=port, vlan_vid=VLAN_PRESENT | interface.native_vlan)
        yield Rule(Table.OUTPUT, Priority.EXACT, untagged, _COOKIE, (PopVlan(),), goto=Table.STRIPPED)
        yield Rule(Table.STRIPPED, Priority.EXACT, match(metadata=port), _COOKIE, out)
    yield Rule(Table.OUTPUT, Priority.WIDE, match(metadata=port), _COOKIE, out)


def second_tags() -> Iterator[Rule]:
    """Drop frames that still have a tag after the one that names their VLAN: a neighbour would read another VLAN."""
    for table in (Table.STRIPPED, Table.FLOOD_STRIPPED):
        yield Rule(table, Priority.GUARD, match(vlan_vid=ANY_TAGGED), _COOKIE)
