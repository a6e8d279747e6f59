"""Appliances: the way of chosen frames to a VM that inspects them, and of what it sends from there.

The body of a type names an appliance by a number made of its name.  The rules here lead a frame to one of its instances
at the switch of the client, in both directions, so both take the same one.  On the way to a bump in the wire it has the
VID of one of its legs, on the way back that of frames that have passed.  A router gets it by its MAC address, and its
own address as source says that a frame has passed.

Each switch has a fast failover group for each share and direction: a trunk that is down takes the instances behind it
out without a controller.  Without an instance the last bucket gives the frame back to the body of its type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network

from ryu_apps.evb.flow.actions import Action, ClearInPort, OutputGroup, RegLoad, Resubmit, SetField
from ryu_apps.evb.flow.match import ANY_GROUP, GROUP_BIT, VLAN_PRESENT, Match, MatchFields, match
from ryu_apps.evb.flow.rule import Bucket, Group, GroupType, Rule
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.infrastructure import way_between
from ryu_apps.evb.pipeline.proxies import impostor
from ryu_apps.evb.pipeline.tables import (
    DIRECTION_MASK,
    STEER_GROUP,
    STEERED,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    metadata,
)
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.graph import TrunkGraph

#: Registers with the number of an appliance, and with the share of a frame.
NUMBER, _SHARE = "reg13", "reg14"
#: Shares of the traffic of an appliance: the three lowest bits of both addresses, added without carry.
SHARES = 8
_LOW_BITS = SHARES - 1
_IPV4, _IPV6 = 0x0800, 0x86DD
_ENDS = {_IPV4: ("ipv4_src", "ipv4_dst"), _IPV6: ("ipv6_src", "ipv6_dst")}
#: All addresses but those of groups.
_SINGLE: dict[int, tuple[IPv4Network | IPv6Network, ...]] = {
    _IPV4: tuple(IPv4Network("0.0.0.0/0").address_exclude(IPv4Network("224.0.0.0/4"))),
    _IPV6: tuple(IPv6Network("::/0").address_exclude(IPv6Network("ff00::/8"))),
}
#: The end of an IPv4 address that is taken for that of all hosts of a subnet; the masks of subnets are unknown here.
_LAST = 0xFF
#: Frames that have passed and are for no VM with an appliance: below the gates of those, above broadcasts.
_ELSEWHERE = Priority.WIDE + 10
#: In FORWARD: above IP multicast and queries, below gates.
_DISGUISED = Priority.EXACT - 20
#: Frames to groups in STEER_BACK, and those of routers in STEER_SHARE.
_FIRST = Priority.EXACT + 100

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)
#: The end of each fast failover group, which has to watch something: this group is always alive.
FAILED = Group(STEER_GROUP, GroupType.INDIRECT, (Bucket((Resubmit(Table.STEER_FAILED),)),))


def appliance_number(name: str) -> int:
    """Return the number by which bodies name an appliance, 32 bits made of its name."""
    return int.from_bytes(sha256(name.encode()).digest()[:4])


# --- rules of every switch ------------------------------------------------------------------------
def appliance_rules(appliances: tuple[Appliance, ...]) -> Iterator[Rule]:
    """The rules of a switch for the appliances of its fabric; the same at every switch."""
    if not appliances:
        return
    yield from _shares()
    yield Rule(Table.STEER_BACK, Priority.DEFAULT, (), _COOKIE, _as_any_frame())
    for vid in sorted({appliance.vid for appliance in appliances}):
        yield from _disguised(vid)
    for appliance in appliances:
        yield from _places(appliance)
        yield from _passed(appliance) if appliance.passed else _of_routers(appliance)


def _disguised(vid: int) -> Iterator[Rule]:
    """Drop frames to all or to a group whose IP destination is one host: copies of them would pass by appliances."""
    for eth_type, blocks in _SINGLE.items():
        name = _ENDS[eth_type][1]
        there: MatchFields = {"vlan_vid": VLAN_PRESENT | vid, "eth_dst": ANY_GROUP, "eth_type": eth_type}
        for block in blocks:
            value, mask = int(block.network_address), int(block.netmask)
            yield Rule(Table.FORWARD, _DISGUISED, match(**(there | {name: (value, mask)})), _COOKIE)
            if eth_type == _IPV4:
                last = match(**(there | {name: (value | _LAST, mask | _LAST)}))
                yield Rule(Table.FORWARD, _DISGUISED + 1, last, _COOKIE, goto=Table.FLOOD)


def _shares() -> Iterator[Rule]:
    """Shares by addresses alone: fragments and ICMP errors of an end go where its connections go."""
    for eth_type, (source, destination) in _ENDS.items():
        for low in range(SHARES):
            for other in range(SHARES):
                fields: MatchFields = {source: (low, _LOW_BITS), destination: (other, _LOW_BITS)}
                share = (SetField(_SHARE, low ^ other),)
                ends = match(eth_type=eth_type, **fields)
                yield Rule(Table.STEER_SHARE, Priority.EXACT, ends, _COOKIE, share, goto=Table.STEER_PLACE)


def _as_any_frame() -> tuple[Action, ...]:
    return RegLoad(STEERED, 1), Resubmit(Table.FORWARD), RegLoad(STEERED, 0)


def _places(appliance: Appliance) -> Iterator[Rule]:
    for direction in (Direction.FROM_VM, Direction.TO_VM):
        for share in range(SHARES):
            fields: MatchFields = {
                "vlan_vid": VLAN_PRESENT | appliance.vid,
                "metadata": (metadata(direction=direction), DIRECTION_MASK),
                NUMBER: appliance_number(appliance.name),
                _SHARE: share,
            }
            out = (OutputGroup(_group_id(appliance, share, direction)),)
            yield Rule(Table.STEER_PLACE, Priority.EXACT, match(**fields), _COOKIE, out)


def _passed(appliance: Appliance) -> Iterator[Rule]:
    """Rules for what a bump in the wire sends: it does not go to an appliance again."""
    returned = (
        *(ClearInPort(), SetField("vlan_vid", VLAN_PRESENT | appliance.passed)),
        *(SetField("metadata", 0), Resubmit(Table.FORWARD)),
    )
    for vid in (vid for instance in appliance.instances for vid in instance.legs):
        leg = VLAN_PRESENT | vid
        # What it says to all is its own: clients and their peers hear each other's broadcasts without it.
        yield Rule(Table.STEER_BACK, _FIRST, match(vlan_vid=leg, eth_dst=ANY_GROUP), _COOKIE)
        yield Rule(Table.STEER_BACK, Priority.EXACT, match(vlan_vid=leg), _COOKIE, returned)
    elsewhere = match(vlan_vid=VLAN_PRESENT | appliance.passed, eth_dst=(0, GROUP_BIT))
    again = SetField("vlan_vid", VLAN_PRESENT | appliance.vid), Resubmit(Table.FORWARD)
    yield Rule(Table.FORWARD, _ELSEWHERE, elsewhere, _COOKIE, again)


def _of_routers(appliance: Appliance) -> Iterator[Rule]:
    """Rules for what a router sends to a client."""
    for instance in appliance.instances:
        yield impostor(appliance.vid, instance.mac)
        fields: MatchFields = {
            "vlan_vid": VLAN_PRESENT | appliance.vid,
            "eth_src": instance.mac,
            "metadata": (metadata(direction=Direction.TO_VM), DIRECTION_MASK),
            NUMBER: appliance_number(appliance.name),
        }
        yield Rule(Table.STEER_SHARE, _FIRST, match(**fields), _COOKIE, (Resubmit(Table.ACL_TO),))


# --- groups ---------------------------------------------------------------------------------------
def appliance_groups(
    wiring: TrunkGraph, dpid: int, appliance: Appliance, homes: Mapping[str, Mapping[Direction, int]]
) -> Iterator[Group]:
    """The groups of an appliance at a switch.

    Args:
        homes: name of each instance that is in use -> the switch where frames in each direction come to it.
    """
    for share in range(SHARES):
        order = list(_order(appliance.instances, share, homes))
        for direction in (Direction.FROM_VM, Direction.TO_VM):
            buckets = (
                _bucket(wiring, dpid, homes[each.name][direction], _to_instance(each, direction)) for each in order
            )
            last = Bucket((OutputGroup(FAILED.group_id),), watch_group=FAILED.group_id)
            found = *(bucket for bucket in buckets if bucket is not None), last
            yield Group(_group_id(appliance, share, direction), GroupType.FAST_FAILOVER, found)


def _group_id(appliance: Appliance, share: int, direction: Direction) -> int:
    return STEER_GROUP + appliance.number * 2 * SHARES + share * 2 + (direction is Direction.TO_VM)


def _order(instances: tuple[ApplianceInstance, ...], share: int, used: Iterable[str]) -> Iterator[ApplianceInstance]:
    """Instances in use by preference: those that stay keep their shares when another one comes or goes."""
    first, turn = share % len(instances), share // len(instances)
    others = [*instances[first + 1 :], *instances[:first]]
    shift = turn % len(others) if others else 0
    return (each for each in (instances[first], *others[shift:], *others[:shift]) if each.name in used)


def _to_instance(instance: ApplianceInstance, direction: Direction) -> tuple[Action, ...]:
    leg = instance.inside if direction is Direction.FROM_VM else instance.outside
    where = SetField("eth_dst", instance.mac) if instance.mac else SetField("vlan_vid", VLAN_PRESENT | leg)
    # It may leave by the port by which it came in, and is no frame of the client from here on.
    return ClearInPort(), where, SetField("metadata", 0), Resubmit(Table.FORWARD)


def _bucket(wiring: TrunkGraph, dpid: int, home: int, actions: tuple[Action, ...]) -> Bucket | None:
    """A bucket that is alive while a way leads to the switch of the instance; None: none ever does."""
    if home == dpid:
        return Bucket(actions, watch_group=FAILED.group_id)
    way = way_between(wiring, dpid, home)
    return None if way is None else Bucket(actions, watch_group=way.group_id)


# --- gates ----------------------------------------------------------------------------------------
def passed_destinations(appliance: Appliance, bindings: Iterable[Binding]) -> Iterator[Match]:
    """Matches in FORWARD of frames that have passed a bump in the wire, for a client."""
    for vid, mac in bindings:
        if vid == appliance.vid and mac is not None and appliance.passed:
            yield match(vlan_vid=VLAN_PRESENT | appliance.passed, eth_dst=mac)


def leg_destinations(appliance: Appliance, bindings: Iterable[Binding]) -> Iterator[Match]:
    """Matches in FORWARD of frames for the legs of an instance that owns their whole VIDs."""
    for _, vid in parts_of(appliance, bindings):
        if vid != appliance.vid:
            yield match(vlan_vid=VLAN_PRESENT | vid, eth_dst=(0, GROUP_BIT))


def parts_of(appliance: Appliance, bindings: Iterable[Binding]) -> Iterator[tuple[ApplianceInstance, int]]:
    """Yield the parts of instances that a VSI with these VIDs and addresses is: a router, or a leg, with its VID."""
    owned = set(bindings)
    for instance in appliance.instances:
        for vid in instance.legs or (appliance.vid,):
            if Binding(vid, instance.mac or None) in owned:
                yield instance, vid
