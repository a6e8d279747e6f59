"""The named tables, the metadata layout and the cookie layout of every switch.

::

    ADMIT -> INGRESS -> GUARD -> CLAIM -> ANTISPOOF -> ACL_FROM -> FORWARD -> ACL_TO -> OUTPUT
             (gate)                       (body)       (body)      (gate)     (body)    (infrastructure)
                                                    \\-> FLOOD -> FLOOD_VID -> FLOOD_PAGE (gate) --^
                                                    \\-> BALANCE -> FORWARD, now to a back end

The tables of the services of a VSI type follow its ACL, in each direction: FIREWALL, NEW, LEARN, LIMIT, then PROXY,
FRAGMENT, METER (to the VM), COUNT; BALANCE_TO precedes ACL_TO.  CONNECTIONS, PROXY_PINS, BALANCER_PINS and FRAGMENTS
hold rules that the switch has learnt, and so does BOND_LINK; like most other tables behind OUTPUT they are reached by
resubmit.
TRANSLATE_IN, between ADMIT and INGRESS, and TRANSLATE_OUT have rules only at switches with local VIDs.

Only rules of INGRESS, FORWARD, GROUP_GATE and FLOOD_PAGE write a VSI's epoch and direction, so without its gate no
packet reaches the body of a VSI.  Table numbers leave room for services between.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from ryu_apps.evb.flow.actions import Bits
from ryu_apps.evb.flow.rule import (
    FIRST_COUNTER,
    FIRST_OF_VSIS,
    CookieMask,
)


class Table(IntEnum):
    """Flow tables in the order in which a frame meets them."""

    ADMIT = 0
    """Station protocols (LLDP, ECP) to the controller; other reserved addresses dropped.  The rest gets a tag."""
    TRANSLATE_IN = 5
    """Tagged frames from stations, at a switch with local VIDs: local VID -> relay VID."""
    INGRESS = 10
    """Gate: the VSI of a frame from a station port.  A frame of no associated VSI is dropped."""
    GUARD = 15
    """Frames that VMs may not send, whatever their policy: router advertisements, DHCP answers, queries."""
    CLAIM = 16
    """Claims of addresses that are configured for other end systems, or are usual for routers."""
    ANTISPOOF = 20
    """Body, per VSI: source addresses of its frames."""
    ACL_FROM = 30
    """Body, per type: access control list of frames from the VM."""
    FIREWALL_FROM = 31
    """Body, per type: lookup in CONNECTIONS."""
    NEW_FROM = 32
    """Body, per type: frames of a connection, and connections that the VM may begin."""
    LEARN_FROM = 33
    """Body, per VSI: learns a connection that the VM begins."""
    LIMIT_FROM = 34
    """Body: drops a connection that the limit forbade to learn."""
    REPORTS = 35
    """Body: group membership reports, a copy of each to the controller; a VM's queries end here."""
    PROXY_FROM = 36
    """Body, per type: frames of a connection that a proxy has with the VM."""
    FRAGMENT_FROM = 37
    """Body: learns first fragments that pass, and drops later ones without such.  The last that may drop a frame."""
    COUNT_FROM = 38
    """Body, per VSI: counts permitted frames from the VM; the last table before FORWARD."""
    REFUSED_FROM = 39
    """Body, per VSI: counts frames that the ACL or guards refuse, then drops them."""
    FORWARD = 40
    """(VID, MAC) -> local VSI (gate), local host port, or the trunk towards another switch."""
    BALANCE = 41
    """Frames to the address of a load balancer: keeps the virtual address, and looks up pins."""
    BALANCE_TO = 42
    """Body, per type, and hosts of a VLAN with a load balancer: restores the virtual address in answers."""
    GROUP_GATE = 43
    """Gate: copies of IP multicast, to a VSI here, or to the trunk towards a VSI elsewhere."""
    FLOOD = 44
    """Broadcast and multicast: copies to the trunks of the broadcast tree."""
    FLOOD_VID = 45
    """Broadcast and multicast: the local members of a VID, page by page."""
    FLOOD_PAGE = 46
    """Gate: one copy for every VSI of a page."""
    GROUPS = 47
    """IP multicast of a VID with a snooped VSI: selects the receivers of its group."""
    GROUP_PAGE = 48
    """Members of a group on a page of 32, a copy of each to GROUP_GATE; or one copy to a trunk."""
    RECEIVERS = 49
    """Receivers of every group of a VID: hosts, VSIs that are not snooped, and the trunks towards them."""
    ACL_TO = 50
    """Body, per type: access control list of frames to the VM."""
    FIREWALL_TO = 51
    """As FIREWALL_FROM, for frames to the VM; and so on."""
    NEW_TO = 52
    LEARN_TO = 53
    LIMIT_TO = 54
    PROXY_TO = 55
    """Body, per type: frames to a port that is redirected to a proxy."""
    FRAGMENT_TO = 56
    """As FRAGMENT_FROM, for frames to the VM."""
    METER_TO = 57
    """Body, per type: sends a copy on by METERED_TO, which may drop it."""
    COUNT_TO = 58
    """Body, per type: delivers the frame, then counts it in the form in which it was delivered."""
    COUNTED_TO = 59
    """Body, per VSI: counts frames delivered to the VM, then drops them."""
    OUTPUT = 60
    """Egress port -> group that strips the tag and, under reflective relay, permits the ingress port."""
    REFUSED_TO = 61
    """As REFUSED_FROM, for frames to the VM."""
    FLOOD_STRIPPED = 62
    """Without extensions: copies of broadcasts without their tag, unless another one follows."""
    STRIPPED = 63
    """Without extensions: frames for one port without their tag, unless another one follows."""
    TRANSLATE_OUT = 64
    """Tagged frames to stations, at a switch with local VIDs: relay VID -> local VID."""
    COUNTED_FROM = 65
    """Body, per VSI: counts, as COUNT_FROM does, frames that an earlier table has sent; then drops them."""
    STEER = 66
    """Body, per type: chosen frames from and to the VM go to an appliance, others go on."""
    STEER_SHARE = 67
    """Shares frames out among the instances of an appliance, by both addresses of IP.  Writes ``reg14``."""
    STEER_PLACE = 68
    """The group of the appliance whose number is in ``reg13``, by VLAN, share and direction."""
    STEER_FAILED = 69
    """Body, per type: frames for an appliance without an instance: on as if it were not there, or dropped."""
    CONNECTIONS = 70
    """State: the connections of each VSI, both directions; a match sets a bit of ``reg0``."""
    PROXY_PINS = 71
    """State: the proxy of each connection; a match writes its address and sets a bit of ``reg2``."""
    BALANCER_PINS = 72
    """State: the back end of each connection; a match writes the addresses and sets bits of ``reg2``."""
    PROXY_LOOKUP = 73
    """Body, per type: lookup in the next three tables."""
    PROXY_SOURCES = 74
    """Frames from a proxy: sets a bit of ``reg2``."""
    PROXY_HERE = 75
    """The proxy of this switch, by VID: writes its address and sets a bit of ``reg2``."""
    PROXY_DECIDE = 76
    """Body: forwards to the VM or to a proxy, or drops."""
    PROXY_ROOM = 77
    """Body: drops a connection whose proxy the limit forbade to learn."""
    BALANCE_DECIDE = 78
    """Body, and hosts: forwards to the back end of the connection or picks one, or drops."""
    BALANCE_PICK = 79
    """Group of the back ends, by the load balancer's number in ``reg3`` and IP version."""
    BALANCE_NOTE = 80
    """Body, and hosts: learns the back end that was picked."""
    BALANCE_ROOM = 81
    """Body, and hosts: drops a connection that the limit forbade to learn, else learns the other direction."""
    FRAGMENTS = 83
    """State: datagrams whose first fragment passed; a match of a later fragment sets a bit of ``reg0``."""
    STEER_BACK = 82
    """Frames of an appliance: those from its legs get the VID of frames that have passed."""
    PROXY_ERRORS = 84
    """Copies of an ICMP error to all proxies of the fabric, by VID."""
    BALANCE_STAY = 85
    """UDP with a pin: group that tests if its back end is in rotation."""
    BALANCE_ANEW = 86
    """UDP whose back end is no longer in rotation: restores the virtual address, continues in BALANCE_PICK."""
    BALANCE_ERRORS = 87
    """A copy to the controller of an ICMP error to a client: a back end may have sent it."""
    SECOND_TAG = 88
    """Frame without its outer tag: test for another tag."""
    METERED_TO = 89
    """Body, per VSI: meters frames to the VM, then goes on behind METER_TO."""
    BOND = 90
    """Frames to the station of a bond, unless they have come from it: looks up the links by which it was heard."""
    BOND_LINK = 91
    """State: links by which frames of the station of a bond have come lately; a match sets a bit of ``reg2``."""
    BOND_OUTPUT = 92
    """The links in ``reg2`` -> the group of the only one, or all links of the bond."""
    BOND_LEARN = 93
    """Learns the link by which a frame of the station of a bond has come."""
    MEMBERS = 94
    """Gate: addresses of members of the set whose number is in ``reg13`` and ``reg14``; a match sets a bit."""
    MIRRORS = 95
    """A copy to the mirror whose number is in ``reg13``: its port, or the trunk towards it with a second tag."""
    GATE_METER = 96
    """Body, per VSI: the meter of its gate, which is shut while the VSI is staged."""
    GATE_POLICER = 97
    """Body, per VSI: the rate limit of frames from the VM, behind the meter of its gate."""
    COPIES = 98
    """The rate limit of all copies that the switch sends to second places of VMs that move."""
    GATE_COPIES = 99
    """Body: copies to a staged VSI, by (VID, MAC), through the meter of its gate."""
    WAYS = 100
    """The way to the switch whose number is in ``reg13``, by VLAN."""


class Direction(IntEnum):
    """Direction of a frame as seen by the VM; 0 is neither (hosts and trunks)."""

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
        direction: as seen by the VM.
        trunk: ordinal of the ingress trunk, 6 bits, 0 for none.
    """
    return (
        port << PORT_SHIFT
        | vsi << VSI_SHIFT
        | epoch << EPOCH_SHIFT
        | direction << DIRECTION_SHIFT
        | trunk << TRUNK_SHIFT
    )


def type_metadata(epoch: int, direction: Direction) -> tuple[int, int]:
    """``(value, mask)`` of the metadata in rules shared by all VSIs of a type epoch."""
    return metadata(epoch=epoch, direction=direction), EPOCH_MASK | DIRECTION_MASK


def vsi_metadata(vsi: int, direction: Direction) -> tuple[int, int]:
    """``(value, mask)`` of the metadata in rules of one VSI."""
    return metadata(vsi=vsi, direction=direction), VSI_MASK | DIRECTION_MASK


#: Bits of ``reg2`` for proxies: the frame comes from a proxy; its connection has a pin; this switch has a proxy, and
#: the frame has its address; a pin was learnt; the pin is of an established connection.
FROM_PROXY, PINNED, PROXY_FOUND, PIN_NOTED, PIN_LASTS = (Bits("reg2", bit, 1) for bit in range(5))
#: Bits of ``reg2`` for load balancers: the connection has a back end; the client has acknowledged it; a pin was learnt.
BALANCED, BALANCED_LASTS, BALANCE_NOTED = (Bits("reg2", bit, 1) for bit in range(5, 8))
#: The same: the life of pins that is looked up or learnt, and the newest life found; the frame begins a connection on
#: the ports of an established one.
BALANCED_LIFE, BALANCED_NEWEST, BALANCED_AGAIN = Bits("reg2", 8, 2), Bits("reg2", 10, 2), Bits("reg2", 12, 1)
#: Bit of ``reg2`` of an ICMP error that the controller has translated.
TRANSLATED = Bits("reg2", 13, 1)
#: Bits of ``reg2`` for proxies: the life of pins that is looked up or learnt, and the newest life found; the frame
#: begins a connection on the ports of an established one; the pin of its answers has been looked up.
PIN_LIFE, PIN_NEWEST = Bits("reg2", 15, 2), Bits("reg2", 17, 2)
PIN_AGAIN, PIN_SOUGHT = Bits("reg2", 19, 1), Bits("reg2", 20, 1)
#: Bit of ``reg11`` of a frame that no rule of an appliance in FORWARD takes again.
STEERED = Bits("reg11", 6, 1)
#: Bit of ``reg2`` of a frame with a second tag.
STACKED = Bits("reg2", 14, 1)
#: Bits of ``reg2`` for bonds: number of the link by which a frame has come, 0 for none; number of the link that is
#: looked up; the links found, the first one in the lowest bit.
LINK_FROM, LINK_ASKED, LINKS_HEARD = Bits("reg2", 21, 4), Bits("reg2", 25, 3), Bits("reg2", 28, 4)


def sent_to(trunk: int) -> Bits:
    """Bit of ``reg9`` or ``reg10`` of a multicast frame of which a trunk has got its copy.

    Args:
        trunk: its ordinal, 1 to 63.
    """
    return Bits(("reg9", "reg10")[trunk >> 5], trunk & 31, 1)


class CookieKind(IntEnum):
    """Owner type of a rule; 4 bits of its cookie."""

    INFRASTRUCTURE = 1
    TYPE_BODY = 2
    """``owner`` is the policy epoch; ``generation`` is the number of the page."""
    VSI_BODY = 3
    """``owner`` is the VSI index."""
    GATE = 4
    """``owner`` is the VSI index."""
    MEMBERSHIP = 5
    """Flood rules shared by the VSIs of a VID; ``owner`` is the VID."""
    STATE = 6
    """Rules learnt for a VSI, by this switch or transferred from another; ``owner`` is the VSI index.

    Index 0 has the connections of end systems through a load balancer; ``generation`` is its number.
    """
    DETOUR = 7
    """Rules of a VSI that moves, for some seconds: its detour, or copies to both ends; ``owner`` is the VSI index."""
    BOND_LINK = 8
    """Links in use of a bond, learnt by the switch; ``owner`` is the port number."""


#: The upper 16 bits of every cookie of evbridge, so that rules of other applications are never matched.
COOKIE_MAGIC = 0xEB47
_MAGIC_SHIFT, _KIND_SHIFT, _OWNER_SHIFT = 48, 44, 24
OWNER_BITS = 20
GENERATION_BITS = 24

#: Rules of a page of a type body.  A switch finds the rules of one whole cookie without a look at any other, and shows
#: so many in 0.2 ms.
PAGE_OF_BODY = 100

#: All rules of evbridge.
OURS = CookieMask(COOKIE_MAGIC << _MAGIC_SHIFT, 0xFFFF << _MAGIC_SHIFT)


class Cookie(NamedTuple):
    """A cookie taken apart."""

    kind: CookieKind
    owner: int
    generation: int


def cookie(kind: CookieKind, owner: int = 0, generation: int = 0) -> int:
    """Compose a cookie: magic(16) kind(4) owner(20) generation(24).

    The generation is that of the association that wrote the rule, so deleting by the full cookie never
    deletes rules of a newer owner.
    """
    return (
        COOKIE_MAGIC << _MAGIC_SHIFT
        | kind << _KIND_SHIFT
        | owner << _OWNER_SHIFT
        | generation & ((1 << GENERATION_BITS) - 1)
    )


def parse_cookie(value: int) -> Cookie | None:
    """Take a cookie apart; None for a cookie of another application."""
    if not OURS.covers(value):
        return None
    try:
        kind = CookieKind(value >> _KIND_SHIFT & 0xF)
    except ValueError:
        return None
    return Cookie(kind, value >> _OWNER_SHIFT & ((1 << OWNER_BITS) - 1), value & ((1 << GENERATION_BITS) - 1))


def owned_by(kind: CookieKind, owner: int, generation: int | None = None) -> CookieMask:
    """Mask of all rules of one owner: of one generation, or of every generation."""
    if generation is not None:
        return CookieMask(cookie(kind, owner, generation), (1 << 64) - 1)
    return CookieMask(cookie(kind, owner), (1 << 64) - 1 - ((1 << GENERATION_BITS) - 1))


def of_kind(kind: CookieKind) -> CookieMask:
    """Mask of all rules of a kind."""
    return CookieMask(cookie(kind), OURS.mask | 0xF << _KIND_SHIFT)


def owner_bits(owner: int) -> int:
    """The bits of an owner at their place in a cookie."""
    return owner << _OWNER_SHIFT


class Priority(IntEnum):
    """Priorities used outside the ACL tables (there the compiler counts down from 60000)."""

    DEFAULT = 1
    WIDE = 100
    EXACT = 200
    COPY = 250
    DETOUR = 300
    STEER = 340
    GUARD = 65000


#: Counters are meters from FIRST_COUNTER on: 11 bits of slot, the VSI index.
SLOT_BITS = 11
MAX_SLOTS = (1 << SLOT_BITS) - 2
#: ``reg1`` of a frame that a guard drops: a number above those of a policy's rules, with a slot of its own.
GUARDED = MAX_SLOTS // 2 - 1


def counter_id(slot: int, vsi: int) -> int:
    """The meter id of a VSI's counter; OpenFlow's reserved meter ids begin above the last slot.

    Raises:
        ValueError: the slot is out of range.
    """
    if not 0 <= slot < MAX_SLOTS:
        raise ValueError(f"slot out of range: {slot} of {MAX_SLOTS}")
    return FIRST_COUNTER | slot << VSI_BITS | vsi


def parse_counter(meter_id: int) -> tuple[int, int] | None:
    """Slot and VSI index of a counter; None for any other meter."""
    if meter_id < FIRST_COUNTER:
        return None
    return meter_id >> VSI_BITS & ((1 << SLOT_BITS) - 1), meter_id & ((1 << VSI_BITS) - 1)


#: Policers are meters from FIRST_POLICER on: 2 bits of direction, the VSI index.
FIRST_POLICER = FIRST_OF_VSIS


def policer_id(direction: Direction, vsi: int) -> int:
    """The meter id of a VSI's rate limit in one direction."""
    return FIRST_POLICER | direction << VSI_BITS | vsi


#: Group ids: one per port and tag form, one per trunk, one for copies to a proxy, two per load balancer, one per back
#: end for UDP, one per link of a bond, 16 per appliance, and, if there are alternative paths, one per other switch;
#: without extensions, for copies of broadcasts one per VID, class and tag form.
TAGGED_GROUP = 0x100000
UNTAGGED_GROUP = 0x200000
TRUNK_GROUP = 0x300000
PROXY_GROUP = 0x400000
BALANCER_GROUP = 0x500000
WAY_GROUP = 0x600000
BACKEND_GROUP = 0x700000
FLOOD_GROUP = 0x800000
BOND_GROUP = 0x780000
STEER_GROUP = 0x7A0000
#: Where VLANs do not use all trunks: 20 bits of the switch, 8 of the plane; 6 bits of the trunk, 8 of the plane.
PLANE_WAY_GROUP = 0x1000000
PLANE_TRUNK_GROUP = 0x900000

#: In GROUP_PAGE: bit of the egress port that selects a trunk, by its ordinal, instead of a page.
TRUNK_SELECTOR = 0x8000

#: Meters of ports have the port number as id, alone or added to 0x20000 and 0x30000, and no port has the number 0; this
#: is the meter of ICMP errors about balanced connections.
BALANCER_METER = 0x20000

#: The meter of copies to second places of VMs that move; above those of ports.
COPY_METER = 0x40000

#: Meters of answers to probes of appliances: from here on, eight for each number of an appliance.
PROBE_METERS = 0x50000

#: Ethernet destination of IGMP reports between switches: that of all IGMPv3 routers (224.0.0.22).  OpenFlow cannot
#: match IGMP types, and a report of version 2 has the address of its group as destination, like data.
REPORTS_MAC = 0x01005E000016
