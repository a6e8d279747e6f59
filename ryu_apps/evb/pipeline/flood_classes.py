"""Copies of broadcasts without extensions: one group for each class of frames and VID.

OpenFlow 1.3 cannot look each copy of a frame up in the access control list of the VSI that it is for.  So frames to
group addresses have *classes*, and a VSI is a member of a class if its type permits every frame of it in that VID.  A
bucket of a group sends the copy of one member, with its own address as destination.

Classes are judged by their fields alone, so the judgement is part of what is staged; a group has a member from its
Associate on.  Frames of a class that a type permits in part do not reach its VSIs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from operator import itemgetter

from ryu_apps.evb.flow.actions import (
    Action,
    Output,
    OutputGroup,
    PopVlan,
    SetField,
)
from ryu_apps.evb.flow.match import ANY_GROUP, VLAN_PRESENT, match
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.flood import FloodMember
from ryu_apps.evb.pipeline.tables import (
    FLOOD_GROUP,
    PORT_MASK,
    VSI_MASK,
    CookieKind,
    Priority,
    Table,
    cookie,
    metadata,
)

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_UDP, _ICMPV6 = 17, 58


class FloodClass(Enum):
    """A class of frames to group addresses: its number (1 to 15) and fields; more fields take precedence."""

    ARP = 1, {"eth_type": _ARP}
    ROUTER_SOLICITATION = 2, {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": 133}
    ROUTER_ADVERTISEMENT = 3, {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": 134}
    NEIGHBOUR_SOLICITATION = 4, {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": 135}
    NEIGHBOUR_ADVERTISEMENT = 5, {"eth_type": _IPV6, "ip_proto": _ICMPV6, "icmpv6_type": 136}
    DHCP_SERVER = 6, {"eth_type": _IPV4, "ip_proto": _UDP, "udp_dst": 67}
    DHCP_CLIENT = 7, {"eth_type": _IPV4, "ip_proto": _UDP, "udp_dst": 68}
    DHCPV6_SERVER = 8, {"eth_type": _IPV6, "ip_proto": _UDP, "udp_dst": 547}
    UDP_4 = 9, {"eth_type": _IPV4, "ip_proto": _UDP}
    UDP_6 = 10, {"eth_type": _IPV6, "ip_proto": _UDP}
    IPV4 = 11, {"eth_type": _IPV4}
    IPV6 = 12, {"eth_type": _IPV6}
    OTHER = 13, dict[str, int]()

    def __init__(self, number: int, fields: dict[str, int]) -> None:
        self.number = number
        self.fields = fields


#: The most addresses in one VID at a switch: a group-mod has at most 65,535 octets, a bucket 48.
MAX_MEMBERS = 1024
#: Group number of the copies that frames of every class get: those to host ports.
_EVERY_CLASS = 0
_CLASS_BITS = 4
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)

#: Metadata and MAC address (a port and 0 for a host port), and the bucket.
_Placed = tuple[tuple[int, int], Bucket]


def classification() -> Iterator[Rule]:
    """The rules of every switch without extensions that write the class of a frame in the bits of its port."""
    for found in FloodClass:
        fields = match(eth_dst=ANY_GROUP, **found.fields)
        number = metadata(port=found.number), PORT_MASK
        priority = Priority.WIDE + len(found.fields)
        yield Rule(Table.FLOOD_VID, priority, fields, _COOKIE, metadata=number, goto=Table.FLOOD_PAGE)


class ClassFlood:
    """The members of one VID on one switch without extensions, their rules and groups."""

    def __init__(self, vid: int, host_ports: tuple[int, ...], untagged: frozenset[int]) -> None:
        """
        Args:
            untagged: ports at which the VID is untagged.
        """
        self._vid = vid
        self._untagged = untagged
        self._members: set[FloodMember] = set()
        #: Buckets of each group, in order, so that the same members give the same group whatever came first.
        self._buckets: defaultdict[int, list[_Placed]] = defaultdict(list)
        self._groups: dict[int, Group] = {}
        for port_no in host_ports:
            group = self._group(_EVERY_CLASS, port_no in untagged)
            self._buckets[group].append(((port_no, 0), Bucket((Output(port_no),))))
        self._has_hosts = bool(host_ports)

    def add(self, member: FloodMember, earlier_page: int | None = None) -> None:
        """Add a member; there are no pages."""
        del earlier_page
        if member in self._members:
            return
        self._members.add(member)
        placed = _place(member), _copy(member)
        for group in self._changed(member):
            insort(self._buckets[group], placed, key=itemgetter(0))

    def remove(self, member: FloodMember) -> None:
        """Remove a member; without effect if it is not present."""
        if member not in self._members:
            return
        self._members.discard(member)
        for group in self._changed(member):
            del self._buckets[group][bisect_left(self._buckets[group], _place(member), key=itemgetter(0))]

    def _changed(self, member: FloodMember) -> list[int]:
        """Return the groups whose buckets change with a member; they are composed anew."""
        untagged = member.metadata & PORT_MASK in self._untagged
        groups = [self._group(number, untagged) for number in member.classes]
        for group in groups:
            self._groups.pop(group, None)
        return groups

    def page_of(self, member: FloodMember) -> None:
        """A member has no page."""
        del member

    @property
    def open(self) -> bool:
        """True if there is a receiver: it receives every group of IP multicast that its type permits."""
        return self._has_hosts or bool(self._members)

    def open_copies(self) -> Iterator[Action]:
        """None: a switch without extensions floods every group."""
        return iter(())

    def groups(self) -> tuple[Group, ...]:
        """All groups of the VID that have receivers."""
        for group, placed in self._buckets.items():
            if group not in self._groups:
                self._groups[group] = Group(group, GroupType.ALL, tuple(bucket for _, bucket in placed))
        return tuple(group for _, group in sorted(self._groups.items()) if group.buckets)

    def rules(self) -> RuleSet:
        """All flood rules of the VID; none without a receiver."""
        return rule_set(self._rules())

    def _rules(self) -> Iterator[Rule]:
        present = {group for group, placed in self._buckets.items() if placed}
        owner = cookie(CookieKind.MEMBERSHIP, self._vid)
        for number in (_EVERY_CLASS, *(found.number for found in FloodClass)):
            tagged, untagged = (
                [OutputGroup(group) for group in self._of_class(number, bare) if group in present]
                for bare in (False, True)
            )
            if number and not {self._group(number, bare) for bare in (False, True)} & present:
                continue  # as frames of every class
            if not tagged and not untagged:
                continue
            vid = VLAN_PRESENT | self._vid
            fields = {"metadata": (metadata(port=number), PORT_MASK)} if number else {}
            priority = Priority.EXACT if number else Priority.WIDE
            here = match(vlan_vid=vid, **fields)
            if not untagged:
                yield Rule(Table.FLOOD_PAGE, priority, here, owner, tuple(tagged))
                continue
            strip: tuple[Action, ...] = (*tagged, PopVlan())
            of_vid = metadata(vsi=self._vid), VSI_MASK
            yield Rule(Table.FLOOD_PAGE, priority, here, owner, strip, of_vid, Table.FLOOD_STRIPPED)
            both = metadata(vsi=self._vid, port=number), VSI_MASK | (PORT_MASK if number else 0)
            yield Rule(Table.FLOOD_STRIPPED, priority, match(metadata=both), owner, tuple(untagged))

    def _of_class(self, number: int, untagged: bool) -> tuple[int, ...]:
        """The groups of a frame of a class."""
        every = self._group(_EVERY_CLASS, untagged)
        return (every, self._group(number, untagged)) if number else (every,)

    def _group(self, number: int, untagged: bool) -> int:
        return FLOOD_GROUP | self._vid << _CLASS_BITS + 1 | number << 1 | untagged


def _place(member: FloodMember) -> tuple[int, int]:
    assert member.mac is not None, "a VSI that owns a whole VID is refused"
    return member.metadata, member.mac


def _copy(member: FloodMember) -> Bucket:
    port_no, mac = member.metadata & PORT_MASK, _place(member)[1]
    return Bucket((SetField("eth_dst", mac), Output(port_no)))
