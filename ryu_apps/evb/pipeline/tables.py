"""The named tables, the metadata layout and the cookie layout: the map of every switch.

::

    ADMIT -> INGRESS -> GUARD -> CLAIM -> ANTISPOOF -> ACL_FROM -> FORWARD -> ACL_TO -> OUTPUT
             (gate)                       (body)       (body)      (gate)     (body)    (infrastructure)
                                                    \\-> FLOOD -> FLOOD_VID -> FLOOD_PAGE (gate) --^
                                                    \\-> BALANCE -> FORWARD, now to a back end

Between ACL and what follows it stand the tables of the services that a VSI type has, in each direction:
FIREWALL, NEW, LEARN, LIMIT, then PROXY, FRAGMENT, COUNT; before ACL_TO there is BALANCE_TO.  CONNECTIONS, PROXY_PINS,
BALANCER_PINS and FRAGMENTS hold what a switch has learnt by itself; they are looked up on the way, and so are most of
the other tables behind OUTPUT.

No rule outside INGRESS, FORWARD and FLOOD_PAGE ever writes a VSI's metadata, so a VSI whose gate is
absent has a body that no packet can reach.  Table numbers leave room for the services between.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from ryu_apps.evb.flow.rule import FIRST_COUNTER, Bits, CookieMask


class Table(IntEnum):
    """Flow tables in the order in which a frame meets them."""

    ADMIT = 0
    """Station protocols (LLDP, ECP) to the controller; other reserved addresses dropped.  The rest gets a tag."""
    INGRESS = 10
    """Gate: which VSI does this frame come from?  A frame nobody owns stops here."""
    GUARD = 15
    """May a VM send this, whatever its policy says: router advertisements, DHCP answers, queries?"""
    CLAIM = 16
    """Does the frame claim an address that somebody else is configured to have, or that routers have?"""
    ANTISPOOF = 20
    """Body, per VSI: does the frame carry the addresses of its VSI?"""
    ACL_FROM = 30
    """Body, per type: may the VM send this?"""
    FIREWALL_FROM = 31
    """Body, per type: looks the frame up in CONNECTIONS."""
    NEW_FROM = 32
    """Body, per type: part of a connection, or may the VM begin one?"""
    LEARN_FROM = 33
    """Body, per VSI: notes a connection that the VM begins."""
    LIMIT_FROM = 34
    """Body: was there room to note it?"""
    REPORTS = 35
    """Body: group membership reports, a copy of each to the controller; a VM's queries end here."""
    PROXY_FROM = 36
    """Body, per type: does it belong to a connection that a proxy has with the VM?"""
    FRAGMENT_FROM = 37
    """Body: notes that a first fragment may pass; may a later one?  The last that can refuse a frame from the VM."""
    COUNT_FROM = 38
    """Body, per VSI: counts what the VM has sent and may send, the last before FORWARD."""
    REFUSED_FROM = 39
    """Body, per VSI: counts what the ACL has refused, and what guards have.  No way on."""
    FORWARD = 40
    """(VID, MAC) -> local VSI (gate), local host port, or the trunk towards another switch."""
    BALANCE = 41
    """To the address of a load balancer: notes where the frame was sent to, and looks up what becomes of it."""
    BALANCE_TO = 42
    """Body, per type, and the hosts of a VLAN that has a load balancer: what a back end answers bears its address."""
    FLOOD = 44
    """Broadcast and multicast: copies to the trunks of the broadcast tree."""
    FLOOD_VID = 45
    """Broadcast and multicast: the local members of a VID, page by page."""
    FLOOD_PAGE = 46
    """Gate: one copy for every VSI of a page."""
    GROUPS = 47
    """IP multicast of a VID in which somebody is snooped: to whom of its receivers?"""
    GROUP_PAGE = 48
    """One copy for every member of a group on a page of 32, or towards one trunk."""
    RECEIVERS = 49
    """Those of a VID who receive every group: hosts, VSIs that are not snooped, and the trunks to such."""
    ACL_TO = 50
    """Body, per type: may the VM receive this?"""
    FIREWALL_TO = 51
    """As FIREWALL_FROM, for frames to the VM; and so on."""
    NEW_TO = 52
    LEARN_TO = 53
    LIMIT_TO = 54
    PROXY_TO = 56
    """Body, per type: is it for a port that a proxy stands before?"""
    FRAGMENT_TO = 57
    """As FRAGMENT_FROM, for frames to the VM."""
    COUNT_TO = 58
    """Body, per type: delivers the frame, then has it counted as it was delivered."""
    COUNTED_TO = 59
    """Body, per VSI: counts what the VM has been given.  No way on."""
    OUTPUT = 60
    """Egress port -> group that strips the tag and, under reflective relay, allows the way back."""
    REFUSED_TO = 61
    """As REFUSED_FROM, for frames to the VM."""
    COUNTED_FROM = 62
    """Body, per VSI: counts as COUNT_FROM does what is sent somewhere on its way there.  No way on."""
    CONNECTIONS = 70
    """State: the connections of each VSI, both directions; says in ``reg0`` that a frame belongs to one."""
    PROXY_PINS = 71
    """State: which proxy has a connection; writes its address, and says so in ``reg2``."""
    BALANCER_PINS = 72
    """State: which back end has a connection; writes the addresses of each direction, and says so in ``reg2``."""
    PROXY_LOOKUP = 73
    """Body, per type: looks up the next three."""
    PROXY_SOURCES = 74
    """Does the frame come from a proxy?  Says so in ``reg2``."""
    PROXY_HERE = 75
    """The proxy of this switch, by VID: writes its address, and says so in ``reg2``."""
    PROXY_DECIDE = 76
    """Body: to the VM, to a proxy, or nowhere."""
    PROXY_ROOM = 77
    """Body: was there room to note which proxy has the connection?"""
    BALANCE_DECIDE = 78
    """Body, and hosts: to the back end that has the connection, to a new one, or nowhere."""
    BALANCE_PICK = 79
    """Which group has the back ends, by the load balancer's number in ``reg3`` and IP version."""
    BALANCE_NOTE = 80
    """Body, and hosts: notes the back end that was picked."""
    BALANCE_ROOM = 81
    """Body, and hosts: was there room to note it?  Then notes the way back as well."""
    ADVERTISE = 82
    """The second half of a neighbour advertisement for the address of a load balancer."""
    FRAGMENTS = 83
    """State: of whom fragments have begun that may pass; says in ``reg0`` that a later one may."""
    PROXY_ERRORS = 84
    """Copies of an ICMP error to all proxies of the fabric, by VID."""
    BALANCE_STAY = 85
    """UDP that has a pin: which group says whether its back end is in rotation?"""
    BALANCE_ANEW = 86
    """UDP whose back end is in rotation no more: back to the virtual address, and to BALANCE_PICK."""
    BALANCE_ERRORS = 87
    """A copy to the controller of an ICMP error for a client: a back end may have sent it."""
    SECOND_TAG = 88
    """Without its outer tag: is there another one?"""


class Direction(IntEnum):
    """Which way a frame goes as seen by the VM; 0 is neither (hosts and trunks)."""

    NONE = 0
    FROM_VM = 1
    TO_VM = 2


PORT_SHIFT, PORT_BITS = 0, 16
VSI_SHIFT, VSI_BITS = 16, 20
EPOCH_SHIFT, EPOCH_BITS = 36, 20
DIRECTION_SHIFT, DIRECTION_BITS = 56, 2
TRUNK_SHIFT, TRUNK_BITS = 58, 6

PORT_MASK = ((1 << PORT_BITS) - 1) << PORT_SHIFT
VSI_MASK = ((1 << VSI_BITS) - 1) << VSI_SHIFT
EPOCH_MASK = ((1 << EPOCH_BITS) - 1) << EPOCH_SHIFT
DIRECTION_MASK = ((1 << DIRECTION_BITS) - 1) << DIRECTION_SHIFT
TRUNK_MASK = ((1 << TRUNK_BITS) - 1) << TRUNK_SHIFT
ALL_METADATA = (1 << 64) - 1


def metadata(
    *, port: int = 0, vsi: int = 0, epoch: int = 0, direction: Direction = Direction.NONE, trunk: int = 0
) -> int:
    """Compose the 64 metadata bits.

    Args:
        port: egress port (or page number inside FLOOD_VID), 16 bits.
        vsi: VSI index, 20 bits, 0 for none.
        epoch: policy epoch of the VSI type, 20 bits, 0 for none.
        direction: which way the frame goes.
        trunk: ordinal of the trunk the frame came in by, 6 bits, 0 for none.
    """
    return (
        port << PORT_SHIFT
        | vsi << VSI_SHIFT
        | epoch << EPOCH_SHIFT
        | direction << DIRECTION_SHIFT
        | trunk << TRUNK_SHIFT
    )


def type_metadata(epoch: int, direction: Direction) -> tuple[int, int]:
    """``(value, mask)`` that a rule shared by all VSIs of a type epoch matches on."""
    return metadata(epoch=epoch, direction=direction), EPOCH_MASK | DIRECTION_MASK


def vsi_metadata(vsi: int, direction: Direction) -> tuple[int, int]:
    """``(value, mask)`` that a rule of one VSI matches on."""
    return metadata(vsi=vsi, direction=direction), VSI_MASK | DIRECTION_MASK


#: ``reg2`` of a frame that may concern a proxy: it comes from one; its connection has a pin; this switch has a proxy,
#: whose address it bears now; a pin was noted; the pin is that of a connection that stands.
FROM_PROXY, PINNED, PROXY_FOUND, PIN_NOTED, PIN_LASTS = (Bits("reg2", bit, 1) for bit in range(5))
#: ``reg2`` of a frame for a load balancer: its connection has a back end; that has been answered; a pin was noted.
BALANCED, BALANCED_LASTS, BALANCE_NOTED = (Bits("reg2", bit, 1) for bit in range(5, 8))
#: ``reg2`` of the same: the life of the connection that is looked up or noted, and the newest that was found; it
#: begins another connection with the ports of one that stood.
BALANCED_LIFE, BALANCED_NEWEST, BALANCED_AGAIN = Bits("reg2", 8, 2), Bits("reg2", 10, 2), Bits("reg2", 12, 1)
#: ``reg2`` of an ICMP error that the controller has translated.
TRANSLATED = Bits("reg2", 13, 1)
#: ``reg2`` of a frame that may concern a proxy: the life of the pins that are looked up or noted, and the newest that
#: was found; it begins another connection with the ports of one that stood; the pin of its answers has been looked for.
PIN_LIFE, PIN_NEWEST = Bits("reg2", 15, 2), Bits("reg2", 17, 2)
PIN_AGAIN, PIN_SOUGHT = Bits("reg2", 19, 1), Bits("reg2", 20, 1)
#: ``reg2`` of a frame that has a second tag which the switch has looked for.
STACKED = Bits("reg2", 14, 1)


class CookieKind(IntEnum):
    """What a rule is part of; 4 bits of its cookie."""

    INFRASTRUCTURE = 1
    TYPE_BODY = 2
    """``owner`` is the policy epoch."""
    VSI_BODY = 3
    """``owner`` is the VSI index."""
    GATE = 4
    """``owner`` is the VSI index."""
    MEMBERSHIP = 5
    """Flood rules shared by the VSIs of a VID; ``owner`` is the VID."""
    STATE = 6
    """What a switch has learnt for a VSI, or was told that another one had; ``owner`` is the VSI index.

    Of index 0 are the connections of end systems through a load balancer; ``generation`` is its number.
    """
    DETOUR = 7
    """For some seconds the way from where a VSI was to where it is; ``owner`` is the VSI index."""


#: The upper 16 bits of every cookie of ours: other applications' rules never match it.
COOKIE_MAGIC = 0xEB47
_MAGIC_SHIFT, _KIND_SHIFT, _OWNER_SHIFT = 48, 44, 24
OWNER_BITS = 20
GENERATION_BITS = 24

#: Every rule evbridge ever installed.
OURS = CookieMask(COOKIE_MAGIC << _MAGIC_SHIFT, 0xFFFF << _MAGIC_SHIFT)


class Cookie(NamedTuple):
    """A cookie taken apart."""

    kind: CookieKind
    owner: int
    generation: int


def cookie(kind: CookieKind, owner: int = 0, generation: int = 0) -> int:
    """Compose a cookie: magic(16) kind(4) owner(20) generation(24).

    The generation is the one of the association that wrote the rule; deleting by the full cookie
    therefore never touches the rules of a newer owner.
    """
    return (
        COOKIE_MAGIC << _MAGIC_SHIFT
        | kind << _KIND_SHIFT
        | owner << _OWNER_SHIFT
        | generation & ((1 << GENERATION_BITS) - 1)
    )


def parse_cookie(value: int) -> Cookie | None:
    """Take a cookie apart; None when it is not one of ours."""
    if not OURS.covers(value):
        return None
    try:
        kind = CookieKind(value >> _KIND_SHIFT & 0xF)
    except ValueError:
        return None
    return Cookie(kind, value >> _OWNER_SHIFT & ((1 << OWNER_BITS) - 1), value & ((1 << GENERATION_BITS) - 1))


def owned_by(kind: CookieKind, owner: int, generation: int | None = None) -> CookieMask:
    """All rules of one owner: of one generation, or of every generation."""
    if generation is not None:
        return CookieMask(cookie(kind, owner, generation), (1 << 64) - 1)
    return CookieMask(cookie(kind, owner), (1 << 64) - 1 - ((1 << GENERATION_BITS) - 1))


class Priority(IntEnum):
    """Priorities used outside the ACL tables (there the compiler counts down from 60000)."""

    DEFAULT = 1
    WIDE = 100
    EXACT = 200
    DETOUR = 300
    GUARD = 65000


#: Counters are meters from FIRST_COUNTER on: 11 bits of slot, the VSI index.
SLOT_BITS = 11
MAX_SLOTS = (1 << SLOT_BITS) - 2
#: ``reg1`` of a frame that a guard drops: a number that no rule of a policy has, and that has a slot.
GUARDED = MAX_SLOTS // 2 - 1


def counter_id(slot: int, vsi: int) -> int:
    """The id of a counter of a VSI's program; OpenFlow's own meters begin above the last slot.

    Raises:
        ValueError: no such slot.
    """
    if not 0 <= slot < MAX_SLOTS:
        raise ValueError(f"slot {slot} of {MAX_SLOTS}")
    return FIRST_COUNTER | slot << VSI_BITS | vsi


def parse_counter(meter_id: int) -> tuple[int, int] | None:
    """Slot and VSI index of a counter; None for any other meter."""
    if meter_id < FIRST_COUNTER:
        return None
    return meter_id >> VSI_BITS & ((1 << SLOT_BITS) - 1), meter_id & ((1 << VSI_BITS) - 1)


#: Group ids: one per port and tag form, one per trunk, one for frames that a proxy may get, two per load balancer, one
#: per back end for UDP, and, where there is more than one way, one per other switch.
TAGGED_GROUP = 0x100000
UNTAGGED_GROUP = 0x200000
TRUNK_GROUP = 0x300000
PROXY_GROUP = 0x400000
BALANCER_GROUP = 0x500000
WAY_GROUP = 0x600000
BACKEND_GROUP = 0x700000

#: Meters have the number of the port that they bound; this one those of ICMP errors about balanced connections.
BALANCER_METER = 0x20000

#: Ethernet destination of IGMP reports between switches, that of all IGMPv3 routers (224.0.0.22).  OpenFlow cannot
#: tell IGMP messages apart, and a report of version 2 bears the address of its group as data does.
REPORTS_MAC = 0x01005E000016
