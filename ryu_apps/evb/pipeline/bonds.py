"""Rules and groups of bonds: several links to one station, which the other tables see as one port.

Frames from any link get the ingress port that stands for all of them.

In active-backup mode the station decides by which link it receives, and drops what comes by another one.  So the
switch learns the links from the frames of associated VSIs and from ECP of the known station, and needs no controller
for a failover.  While it has heard the station by one link, it sends by that one, and by another one if it is down.
While it has heard it by several, or by none, it sends by all of them.

With LACP the switch selects among the links of which it has an agreement with its partner; Open vSwitch shows others
as not live.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    RegLoad,
    Resubmit,
    SetField,
    whole,
)
from ryu_apps.evb.flow.match import Match, match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.tables import (
    BOND_GROUP,
    LINK_ASKED,
    LINK_FROM,
    LINKS_HEARD,
    PORT_BITS,
    PORT_MASK,
    PORT_SHIFT,
    TAGGED_GROUP,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.interface import BondMode, Interface

#: Seconds for which a link counts after the last frame of the station.  A station repeats ECP after 10 s by default.
#: Open vSwitch counts cached frames with a delay, so a link that a station has left counts a moment longer.
HEARD = 30
#: In ADMIT, above everything else.
_JOIN_PRIORITY = Priority.GUARD + 100
#: Bits of a group's id for the number of a link; 0: all links.
_LINK_BITS = 3
_EGRESS = Bits("metadata", PORT_SHIFT, PORT_BITS)
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def follows(interface: Interface) -> bool:
    """True if frames leave by the link by which those of the station come."""
    return bool(interface.bond) and interface.bond_mode is BondMode.ACTIVE_BACKUP


def learnt_cookie(interface: Interface) -> int:
    """The cookie of the rules that the switch learns for a bond."""
    return cookie(CookieKind.BOND_LINK, interface.port_no)


def noting(interface: Interface) -> tuple[Action, ...]:
    """Actions of rules for frames of a station: the switch notes the link by which such a frame has come."""
    return (_named(interface), Resubmit(Table.BOND_LEARN)) if follows(interface) else ()


def controller_group(interface: Interface) -> int | None:
    """The group by which frames of the controller leave; None: they leave by the port."""
    if not interface.bond:
        return None
    # Open vSwitch 3.1 loses frames of the controller in a select group: it recirculates them to hash them, and then
    # looks for their ingress port.
    return TAGGED_GROUP + interface.port_no if follows(interface) else _group_id(interface, 1)


def out_of(interface: Interface) -> tuple[Action, ...]:
    """Actions of the egress groups that send a frame to the system at a port."""
    # A frame of the controller has no metadata yet.
    return (_named(interface), Resubmit(Table.BOND)) if interface.bond else (Output(interface.port_no),)


def bond_groups(interface: Interface) -> Iterator[Group]:
    """The groups that choose a link, none for a single port."""
    if follows(interface):
        for number in range(1, len(interface.links) + 1):
            yield _preferring(interface, number)
    elif interface.bond:
        buckets = tuple(Bucket((Output(link),), watch_port=link, weight=1) for link in interface.links)
        yield Group(_group_id(interface, 0), GroupType.SELECT, buckets)
        yield _preferring(interface, 1)


def bond_rules(interface: Interface) -> Iterator[Rule]:
    """The rules of a bond, none for a single port."""
    if not interface.bond:
        return
    yield from _join(interface)
    own = metadata(port=interface.port_no), PORT_MASK
    # The switch itself compares the ingress port with the one link that it sends by.  Under reflective relay the
    # egress group has cleared the ingress port.
    yield _rule(Table.BOND, Priority.GUARD, match(in_port=interface.port_no, metadata=own))
    if follows(interface):
        yield from _follow(interface)
    else:
        yield _rule(Table.BOND, Priority.EXACT, match(metadata=own), (OutputGroup(_group_id(interface, 0)),))


def _join(interface: Interface) -> Iterator[Rule]:
    """Frames from any link begin anew in ADMIT, as from the port that stands for all links."""
    for number, link in enumerate(interface.links, start=1):
        apply = RegLoad(LINK_FROM, number), RegLoad(whole("in_port"), interface.port_no), Resubmit(Table.ADMIT)
        yield _rule(Table.ADMIT, _JOIN_PRIORITY, match(in_port=link, reg2=_is(LINK_FROM, 0)), apply)


def _follow(interface: Interface) -> Iterator[Rule]:
    """Output by the link by which the station is heard, and the rules that learn it."""
    own = metadata(port=interface.port_no), PORT_MASK
    numbers = range(1, len(interface.links) + 1)
    # The frame may have been sent to another bond before.
    asked = [action for number in numbers for action in (RegLoad(LINK_ASKED, number), Resubmit(Table.BOND_LINK))]
    apply = (RegLoad(LINKS_HEARD, 0), *asked)
    yield _rule(Table.BOND, Priority.EXACT, match(metadata=own), apply, Table.BOND_OUTPUT)
    for number in numbers:
        only = match(metadata=own, reg2=_is(LINKS_HEARD, _bit(number)))
        yield _rule(Table.BOND_OUTPUT, Priority.EXACT, only, (OutputGroup(_group_id(interface, number)),))
        came = match(metadata=own, reg2=_is(LINK_FROM, number))
        yield _rule(Table.BOND_LEARN, Priority.EXACT, came, (_lesson(interface, number),))
    everywhere = tuple(Output(link) for link in interface.links)
    yield _rule(Table.BOND_OUTPUT, Priority.WIDE, match(metadata=own), everywhere)


def _lesson(interface: Interface, number: int) -> Learn:
    place = LearnSpec(_EGRESS, interface.port_no), LearnSpec(LINK_ASKED, number)
    heard = (LearnSpec(LINKS_HEARD._replace(offset=LINKS_HEARD.offset + number - 1, width=1), 1),)
    owner = learnt_cookie(interface)
    return Learn(Table.BOND_LINK, Priority.EXACT, owner, 0, 0, 0, None, place, heard, hard_timeout=HEARD)


def _preferring(interface: Interface, number: int) -> Group:
    """The group that sends by a link while it is live, else by the first other one."""
    preferred = interface.links[number - 1]
    others = (link for link in interface.links if link != preferred)
    buckets = tuple(Bucket((Output(link),), watch_port=link) for link in (preferred, *others))
    return Group(_group_id(interface, number), GroupType.FAST_FAILOVER, buckets)


def _named(interface: Interface) -> SetField:
    """The port of a bond in metadata, by which the tables of bonds look up."""
    return SetField("metadata", metadata(port=interface.port_no))


def _group_id(interface: Interface, number: int) -> int:
    return BOND_GROUP | interface.port_no << _LINK_BITS | number


def _bit(number: int) -> int:
    return 1 << number - 1


def _is(bits: Bits, value: int) -> tuple[int, int]:
    """``(value, mask)`` of a field of which some bits have a value."""
    return value << bits.offset, (1 << bits.width) - 1 << bits.offset


def _rule(
    table: Table, priority: int, fields: Match, apply: tuple[Action, ...] = (), goto: Table | None = None
) -> Rule:
    return Rule(table, priority, fields, _COOKIE, apply, goto=goto)
