"""Multicast: a VM receives the groups it has joined, and no others.

The body has the way of its reports (``docs/decisions/0014-multicast.rst``): a copy to the controller,
within the bound of the VSI's own meter, and on to routers, which are never other VMs that are snooped.
The groups that the VM receives are staged with the body, in rules that all VSIs of the VLAN share
(``vsi.multicast_groups``).

A VM is never a router: its queries end here.  Like neighbour discovery, membership messages pass the
ACL unless a rule denies them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Action,
    Output,
    SetField,
)
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Meter, Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    REPORTS_MAC,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    type_metadata,
    vsi_metadata,
)
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, UNJUDGED, Route, Service
from ryu_apps.evb.services.multicast.schema import NAME, SECTION, MulticastPolicy

IPV4, IPV6 = 0x0800, 0x86DD
IGMP, ICMPV6 = 2, 58
ALL_SYSTEMS = 0xE0000001
MLD_QUERY, MLD_REPORTS = 130, (131, 132, 143)

#: Reports a second that one VSI may send, and how many at once.
REPORT_RATE, REPORT_BURST = 50, 50
#: Meters of ports have the numbers of the ports; those of VSIs begin here and are used again after so many.
_FIRST_METER, _METERS = 0x10000, 0x1000

#: Above the default of an ACL and below its last rule.
_IMPLIED = 20
#: In ANTISPOOF, where a VM may speak that has no address yet; the rung of ``anti_spoofing``.
_WITHOUT_ADDRESS = 30

_IGMP: MatchFields = {"eth_type": IPV4, "ip_proto": IGMP}


def _mld(kind: int) -> MatchFields:
    return {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": kind}


def _messages(direction: Direction) -> Iterator[MatchFields]:
    """Messages that pass the ACL: reports from the VM, queries to it; OpenFlow has no field for the type of IGMP."""
    yield _IGMP
    for kind in MLD_REPORTS if direction is Direction.FROM_VM else (MLD_QUERY,):
        yield _mld(kind)


def meter_of(binding: VsiBinding) -> Meter:
    """The bound on one VSI's reports: a flood of them costs its neighbours nothing."""
    return Meter(_FIRST_METER + binding.vsi_index % _METERS, REPORT_RATE, REPORT_BURST)


class Room(NamedTuple):
    """Rules by table that one VSI may come to need, on its own switch and on every other one."""

    here: Counter[int]
    elsewhere: Counter[int]


def room_for_groups(multicast: MulticastPolicy, addresses: int, vids: int) -> Room:
    """Most rules for the memberships of a VSI, by the bounds of its type.

    Args:
        addresses: its (VID, MAC) pairs.
        vids: its VIDs; what a VLAN has once for all groups counts for each VSI.
    """
    matches = multicast.max_groups * addresses * (1 + multicast.max_sources)
    elsewhere = Counter[int]({Table.GROUPS: matches + VLAN_RULES * vids, Table.GROUP_GATE: 1})
    return Room(elsewhere + Counter[int]({Table.GROUP_PAGE: matches}), elsewhere)


#: Rules that a switch has for each VLAN with a snooped VSI; see ``pipeline.multicast``.
VLAN_RULES = 10


class MulticastService(Service):
    """Copies of membership reports for the snooper."""

    name = NAME
    section = SECTION
    tables = (Table.REPORTS,)

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        for direction, table in ((Direction.FROM_VM, Table.ACL_FROM), (Direction.TO_VM, Table.ACL_TO)):
            for fields in _messages(direction):
                passing = match(metadata=type_metadata(epoch, direction), **fields)
                yield Rule(
                    table, _IMPLIED, passing, owner, apply=route.set_rule_number(UNJUDGED), goto=route.after(table)
                )
        scope = type_metadata(epoch, Direction.FROM_VM)
        for fields in ({**_IGMP, "ipv4_src": 0}, *({**_mld(kind), "ipv6_src": 0} for kind in MLD_REPORTS)):
            yield Rule(Table.ANTISPOOF, _WITHOUT_ADDRESS, match(metadata=scope, **fields), owner, goto=Table.ACL_FROM)
        for fields in ({**_IGMP, "ipv4_dst": ALL_SYSTEMS}, _mld(MLD_QUERY)):
            yield Rule(Table.REPORTS, Priority.GUARD, match(metadata=scope, **fields), owner)
        following = route.after(Table.REPORTS)
        yield Rule(Table.REPORTS, Priority.DEFAULT, match(metadata=scope), owner, goto=following)

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        scope = vsi_metadata(binding.vsi_index, Direction.FROM_VM)
        meter, (counted, following) = meter_of(binding).meter_id, route.after_copy(Table.REPORTS)
        punt = (*counted, Output(CONTROLLER))
        punted: list[tuple[MatchFields, tuple[Action, ...]]] = [
            (_IGMP, (*punt, SetField("eth_dst", REPORTS_MAC))),
            *((_mld(kind), punt) for kind in MLD_REPORTS),
        ]
        for fields, actions in punted:
            matched = match(metadata=scope, **fields)
            yield Rule(Table.REPORTS, Priority.EXACT, matched, owner, actions, goto=following, meter=meter)

    def meters(self, vsi_type: VsiType, binding: VsiBinding) -> Iterable[Meter]:
        return (meter_of(binding),)


MULTICAST = MulticastService()
