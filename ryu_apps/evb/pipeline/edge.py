"""Tags of frames at edge ports: native VLANs, second tags, and the VIDs of stations (802.1Q 6.9).

Inside the pipeline every frame has one tag with a relay VID.  At a switch with local VIDs the tags of stations are
translated; the number of rules is that of translated VLANs, however many ports and VSIs there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import (
    Action,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.match import (
    ANY_TAGGED,
    PRIORITY_TAGGED,
    VLAN_PRESENT,
    Match,
    match,
)
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import (
    PORT_MASK,
    STACKED,
    TAGGED_GROUP,
    UNTAGGED_GROUP,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.vid_translation import VidTranslation

#: In ADMIT, below reserved addresses.
_NATIVE_PRIORITY = 50
_TRANSLATED_PRIORITY = 20
_TAGGED_PRIORITY = 10
#: Test for a second tag.  A switch that parses one tag (``vlan-limit=1``) shows the second as the Ethernet type, which
#: the services drop; a switch that parses more shows the type behind both.  OpenFlow neither reports the limit nor
#: matches a second tag.  So the first tag is removed for one lookup and then restored.
_LOOK_BEHIND: tuple[Action, ...] = (
    StackPush(whole("vlan_vid")),
    StackPush(whole("vlan_pcp")),
    PopVlan(),
    Resubmit(Table.SECOND_TAG),
    PushVlan(),
    StackPop(whole("vlan_pcp")),
    StackPop(whole("vlan_vid")),
)
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def incoming(interfaces: list[Interface], translation: VidTranslation) -> Iterator[Rule]:
    """The rules that give each frame its tag, behind those of reserved addresses in ADMIT.

    Args:
        interfaces: all ports of the switch, trunks included.
        translation: the VIDs at its station ports.
    """
    for interface in interfaces:
        yield from incoming_at(interface, translation)
    yield _rule(Table.ADMIT, _TAGGED_PRIORITY, match(vlan_vid=ANY_TAGGED), _LOOK_BEHIND, Table.INGRESS)
    yield _rule(Table.ADMIT, Priority.DEFAULT, (), goto=Table.INGRESS)
    yield _rule(Table.SECOND_TAG, Priority.DEFAULT, match(vlan_vid=ANY_TAGGED), (RegLoad(STACKED, 1),))
    yield _rule(Table.INGRESS, Priority.GUARD, match(reg2=(1 << STACKED.offset, 1 << STACKED.offset)))
    yield from _translated(translation) if translation else ()


def incoming_at(interface: Interface, translation: VidTranslation) -> Iterator[Rule]:
    """The rules among these that are those of one port."""
    relay = _native_relay_vid(interface, translation)
    if interface.native_vlan is not None and relay is not None:
        yield from native(interface.port_no, VLAN_PRESENT | interface.native_vlan, VLAN_PRESENT | relay)
    if interface.has_local_vids and translation:
        tagged = match(in_port=interface.port_no, vlan_vid=ANY_TAGGED)
        yield _rule(Table.ADMIT, _TRANSLATED_PRIORITY, tagged, _LOOK_BEHIND, Table.TRANSLATE_IN)


def outgoing(interface: Interface, translation: VidTranslation) -> Iterator[Rule]:
    """The rules of OUTPUT for an edge port: untagged in its native VLAN, else tagged."""
    port = metadata(port=interface.port_no), PORT_MASK
    relay = _native_relay_vid(interface, translation)
    if relay is not None:
        untagged = match(metadata=port, vlan_vid=VLAN_PRESENT | relay)
        yield _rule(Table.OUTPUT, Priority.EXACT, untagged, (OutputGroup(UNTAGGED_GROUP + interface.port_no),))
    output: tuple[Action, ...] = (OutputGroup(TAGGED_GROUP + interface.port_no),)
    if interface.has_local_vids and translation:
        # Other copies of the frame may follow, and need the relay VID again.
        vid = whole("vlan_vid")
        output = (StackPush(vid), Resubmit(Table.TRANSLATE_OUT), *output, StackPop(vid))
    yield _rule(Table.OUTPUT, Priority.WIDE, match(metadata=port), output)


def _native_relay_vid(interface: Interface, translation: VidTranslation) -> int | None:
    """The relay VID of a port's native VLAN; None: the port has no native VLAN."""
    if interface.native_vlan is None or not interface.has_local_vids:
        return interface.native_vlan
    return translation.relay(interface.native_vlan)


def native(port_no: int, native_vid: int, relay: int, look_behind: tuple[Action, ...] = _LOOK_BEHIND) -> Iterator[Rule]:
    """Classification of untagged and priority-tagged frames to the native VLAN.

    Frames tagged with the native VID are refused: the port sends that VLAN untagged, and only accepts it untagged.

    Args:
        native_vid, relay: ``vlan_vid`` of the VLAN at the port, and inside the pipeline.
        look_behind: actions that test for a second tag.
    """
    classified = SetField("vlan_vid", relay)
    for fields, apply in (
        ({"vlan_vid": 0}, (PushVlan(), classified)),
        ({"vlan_vid": PRIORITY_TAGGED}, (*look_behind, classified)),
    ):
        yield _rule(Table.ADMIT, _NATIVE_PRIORITY, match(in_port=port_no, **fields), apply, Table.INGRESS)
    yield _rule(Table.ADMIT, _NATIVE_PRIORITY, match(in_port=port_no, vlan_vid=native_vid))


def _translated(translation: VidTranslation) -> Iterator[Rule]:
    for vid in translation.unused():
        yield _rule(Table.TRANSLATE_IN, Priority.EXACT, match(vlan_vid=VLAN_PRESENT | vid))
    for relay, local in translation.local_vids.items():
        inside, outside = VLAN_PRESENT | relay, VLAN_PRESENT | local
        fields = match(vlan_vid=outside)
        yield _rule(Table.TRANSLATE_IN, Priority.EXACT, fields, (SetField("vlan_vid", inside),), Table.INGRESS)
        yield _rule(Table.TRANSLATE_OUT, Priority.EXACT, match(vlan_vid=inside), (SetField("vlan_vid", outside),))
    yield _rule(Table.TRANSLATE_IN, Priority.DEFAULT, (), goto=Table.INGRESS)


def _rule(
    table: Table, priority: int, fields: Match, apply: tuple[Action, ...] = (), goto: Table | None = None
) -> Rule:
    return Rule(table, priority, fields, _COOKIE, apply, goto=goto)
