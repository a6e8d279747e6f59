"""Load balancers in every switch: who is asked for, by whom, and how their addresses are found.

The same everywhere; only who is in rotation changes (:mod:`ryu_apps.evb.vsi.pools`).  ARP requests and neighbour
solicitations for a virtual address are answered by the switch itself, so clients find it whether or not a
controller is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.rule import (
    CONTROLLER,
    VLAN_PRESENT,
    Action,
    Bucket,
    ClearInPort,
    Group,
    GroupType,
    MatchFields,
    Meter,
    Output,
    OutputGroup,
    RegLoad,
    Resubmit,
    Rule,
    SetField,
    StackPop,
    StackPush,
    match,
    whole,
)
from ryu_apps.evb.pipeline.load_balancing import (
    IPV4,
    IPV6,
    TCP,
    UDP,
    Client,
    PacketKind,
    decide,
    established_rules,
    learn_rules,
    look_up,
    return_rules,
    selection_rules,
    stash,
    staying,
)
from ryu_apps.evb.pipeline.tables import (
    BACKEND_GROUP,
    BALANCER_GROUP,
    BALANCER_METER,
    DIRECTION_MASK,
    TRANSLATED,
    TRUNK_MASK,
    VSI_MASK,
    Direction,
    Priority,
    Table,
    cookie,
)
from ryu_apps.evb.pipeline.tables import CookieKind as Owned
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric, Role

#: In FORWARD, above every address.
_RESOLVE = 250
_ARP, _REQUEST, _REPLY = 0x0806, 1, 2
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
#: Errors a second that a switch gives to the controller, and how many at once.
ERROR_RATE, ERROR_BURST = 20, 40
#: The option that says the Ethernet address of whom was asked for; the flags "solicited" and "override".
_TARGET_ADDRESS, _ANSWERED = 2, 0x60000000
_ETH_TYPES = {4: IPV4, 6: IPV6}
_IP_PROTOS = {TransportProtocol.TCP: TCP, TransportProtocol.UDP: UDP}

_BACKEND_BITS = 6

_COOKIE = cookie(Owned.INFRASTRUCTURE)
#: Frames of end systems at the host ports of this switch.
_HOSTS: MatchFields = {"metadata": (0, VSI_MASK | DIRECTION_MASK | TRUNK_MASK)}


def balancer_rules(balancers: tuple[LoadBalancer, ...]) -> Iterator[Rule]:
    """What every switch holds of them, whoever is there."""
    if not balancers:
        return
    # What the controller has translated has a tag, and goes to a back end as if it came from an end system.
    marked = (RegLoad(TRANSLATED, 1),)
    yield Rule(Table.INGRESS, Priority.EXACT, match(in_port=CONTROLLER), _COOKIE, marked, goto=Table.FORWARD)
    to_controller: tuple[Action, ...] = (Output(CONTROLLER),)
    yield Rule(Table.BALANCE_ERRORS, Priority.DEFAULT, (), _COOKIE, to_controller, meter=BALANCER_METER)
    yield from established_rules(_COOKIE)
    kinds = dict.fromkeys(kind for one in balancers for kind in _kinds(one))
    yield from return_rules({"metadata": (0, VSI_MASK | DIRECTION_MASK)}, kinds, Table.OUTPUT, _COOKIE)
    yield from staying((kind for kind in kinds if kind.ip_proto == UDP), _COOKIE)
    for one in balancers:
        yield from _service(one)
        yield from _of_hosts(one)
        yield from _backends(one)


def balancer_meters(balancers: tuple[LoadBalancer, ...]) -> tuple[Meter, ...]:
    """What bounds the errors that the controller is given, of each switch."""
    return (Meter(BALANCER_METER, ERROR_RATE, ERROR_BURST),) if balancers else ()


def clients(fabric: Fabric) -> frozenset[tuple[int, int]]:
    """The end systems that may use a load balancer: those in its VLAN, ``(vid, mac)``.

    Appliances are none: what they get has the addresses of others, and goes its own way.
    """
    vids = {one.vid for one in fabric.balancers}
    interfaces = [fabric.interface(port) for port in fabric.ports(Role.HOST)]
    hosts = [one for one in interfaces if one is not None and one.appliance is None]
    return frozenset((vid, mac) for one in hosts for vid in one.vids if vid in vids for mac in one.macs)


def group_id(balancer: LoadBalancer, version: int) -> int:
    """The group of its back ends that have an address of an IP version."""
    return BALANCER_GROUP | balancer.number << 1 | (version == 6)


def rotation(balancer: LoadBalancer, backends: Iterable[Backend]) -> Iterator[Group]:
    """The groups with those of its back ends that are to have new connections."""
    backends = tuple(backends)
    for kind in _kinds(balancer):
        version = 4 if kind.eth_type == IPV4 else 6
        buckets = (_bucket(kind, one, version) for one in backends)
        found = tuple(bucket for bucket in buckets if bucket is not None)
        yield Group(group_id(balancer, version), GroupType.SELECT, found)
    there = {one.name for one in backends}
    for number, one in enumerate(balancer.backends if balancer.protocol is TransportProtocol.UDP else ()):
        goes = Resubmit(Table.FORWARD if one.name in there else Table.BALANCE_ANEW)
        yield Group(_backend_group(balancer, number), GroupType.INDIRECT, (Bucket((goes,)),))


def hosts_cookie(balancer: LoadBalancer) -> int:
    """The cookie of what a switch learns of end systems that use it."""
    return cookie(Owned.STATE, 0, balancer.number)


def _kinds(one: LoadBalancer) -> list[PacketKind]:
    return [PacketKind(_ETH_TYPES[version], _IP_PROTOS[one.protocol]) for version in sorted(_versions(one))]


def _versions(one: LoadBalancer) -> set[int]:
    return {address.version for address in one.addresses}


def _backend_group(balancer: LoadBalancer, number: int) -> int:
    """The group that says whether a back end is in rotation; the configuration allows 64 of them for each balancer."""
    return BACKEND_GROUP | balancer.number << _BACKEND_BITS | number


def _backends(one: LoadBalancer) -> Iterator[Rule]:
    """Whom the pin of a datagram may name."""
    kinds = [kind for kind in _kinds(one) if kind.ip_proto == UDP]
    for number, backend in enumerate(one.backends):
        for kind in kinds:
            address, (ip_dst, port_dst) = backend.address(4 if kind.eth_type == IPV4 else 6), kind.destination
            if address is not None:
                named: MatchFields = {
                    **kind.match,
                    "eth_dst": backend.mac,
                    ip_dst: int(address),
                    port_dst: backend.port,
                }
                asked = (OutputGroup(_backend_group(one, number)),)
                yield Rule(Table.BALANCE_STAY, Priority.EXACT, match(reg3=one.number, **named), _COOKIE, asked)


def _bucket(kind: PacketKind, backend: Backend, version: int) -> Bucket | None:
    address, (ip_dst, port_dst) = backend.address(version), kind.destination
    if address is None:
        return None
    where = (SetField("eth_dst", backend.mac), SetField(ip_dst, int(address)), SetField(port_dst, backend.port))
    return Bucket((*where, Resubmit(Table.BALANCE_NOTE)), weight=backend.weight)


def _service(one: LoadBalancer) -> Iterator[Rule]:
    there: MatchFields = {"vlan_vid": VLAN_PRESENT | one.vid, "eth_dst": one.mac}
    yield Rule(Table.FORWARD, Priority.EXACT, match(**there), _COOKIE, goto=Table.BALANCE)
    for address in one.addresses:
        kind = PacketKind(_ETH_TYPES[address.version], _IP_PROTOS[one.protocol])
        ip_dst, port_dst = kind.destination
        wanted: MatchFields = {**there, **kind.match, ip_dst: int(address), port_dst: one.port}
        actions = (
            SetField("reg2", 0),
            SetField("reg3", one.number),
            *stash(kind),
            *look_up(kind),
            *decide(),
        )
        yield Rule(Table.BALANCE, Priority.EXACT, match(**wanted), _COOKIE, actions)
        yield from _errors(one, address)
        yield from _resolve(one, address)
    for kind in _kinds(one):
        chosen: MatchFields = {"reg3": one.number, "eth_type": kind.eth_type}
        group = group_id(one, 4 if kind.eth_type == IPV4 else 6)
        yield Rule(Table.BALANCE_PICK, Priority.EXACT, match(**chosen), _COOKIE, (OutputGroup(group),))


def _errors(one: LoadBalancer, address: IPv4Address | IPv6Address) -> Iterator[Rule]:
    """ICMP errors about what a back end has sent: a switch cannot rewrite what they quote, so the controller does."""
    eth_type = _ETH_TYPES[address.version]
    ip_dst, _ = PacketKind(eth_type, TCP).destination
    there: MatchFields = {"vlan_vid": VLAN_PRESENT | one.vid, "eth_dst": one.mac, ip_dst: int(address)}
    for fields in icmp_errors():
        if fields["eth_type"] == eth_type:
            punt: tuple[Action, ...] = (Output(CONTROLLER),)
            yield Rule(Table.BALANCE, Priority.EXACT, match(**there, **fields), _COOKIE, punt, meter=BALANCER_METER)


def _of_hosts(one: LoadBalancer) -> Iterator[Rule]:
    """End systems have a load balancer's connections among themselves."""
    scope: MatchFields = {**_HOSTS, "reg3": one.number}
    client = Client(
        hosts_cookie(one),
        0,
        Direction.NONE,
        Direction.NONE,
        one.max_connections,
        one.opening,
        one.idle,
        one.idle,
        one.closing,
    )
    yield from selection_rules(scope, _kinds(one), _COOKIE)
    yield from learn_rules(scope, _kinds(one), client, _COOKIE)


# --- who has this address? ------------------------------------------------------------------------
def _resolve(one: LoadBalancer, address: IPv4Address | IPv6Address) -> Iterator[Rule]:
    vlan = VLAN_PRESENT | one.vid
    if isinstance(address, IPv4Address):
        asked = match(vlan_vid=vlan, eth_type=_ARP, arp_op=_REQUEST, arp_tpa=int(address))
        yield Rule(Table.FORWARD, _RESOLVE, asked, _COOKIE, tuple(_arp_reply(one.mac, int(address))))
        return
    kind: MatchFields = {"vlan_vid": vlan, "eth_type": IPV6, "ip_proto": _ICMPV6, "ipv6_nd_target": int(address)}
    asked = match(**kind, icmpv6_type=_SOLICITATION)
    yield Rule(Table.FORWARD, _RESOLVE, asked, _COOKIE, tuple(_advertisement(one.mac, int(address))))
    # What only an advertisement has can be written only where it is known to be one.
    completed = (
        SetField("nd_options_type", _TARGET_ADDRESS),
        SetField("ipv6_nd_tll", one.mac),
        SetField("nd_reserved", _ANSWERED),
        Resubmit(Table.FORWARD),
    )
    yield Rule(Table.ADVERTISE, Priority.EXACT, match(**kind, icmpv6_type=_ADVERTISEMENT), _COOKIE, completed)


def _arp_reply(mac: int, address: int) -> Iterator[Action]:
    yield from _back_to_sender(mac)
    yield SetField("arp_op", _REPLY)
    yield from (StackPush(whole("arp_sha")), StackPop(whole("arp_tha")), SetField("arp_sha", mac))
    yield from (StackPush(whole("arp_spa")), StackPop(whole("arp_tpa")), SetField("arp_spa", address))
    yield Resubmit(Table.FORWARD)


def _advertisement(mac: int, address: int) -> Iterator[Action]:
    yield from _back_to_sender(mac)
    yield from (StackPush(whole("ipv6_src")), StackPop(whole("ipv6_dst")), SetField("ipv6_src", address))
    yield SetField("icmpv6_type", _ADVERTISEMENT)
    yield Resubmit(Table.ADVERTISE)


def _back_to_sender(mac: int) -> Iterator[Action]:
    yield from (StackPush(whole("eth_src")), StackPop(whole("eth_dst")), SetField("eth_src", mac), ClearInPort())
