"""Rules and groups of load balancers: virtual addresses, their resolution, and the back ends in rotation.

The same in every switch; only the back ends in rotation change (:mod:`ryu_apps.evb.vsi.pools`).  The switch itself
answers ARP requests and neighbour solicitations for a virtual address, so clients resolve it without a controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.flow.actions import (
    CONTROLLER,
    Action,
    ClearInPort,
    Output,
    OutputGroup,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.match import VLAN_PRESENT, MatchFields, match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Meter,
    Rule,
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
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role

#: In FORWARD, above the rules of all addresses.
_RESOLVE = 250
_ARP, _REQUEST, _REPLY = 0x0806, 1, 2
_ICMPV6, _SOLICITATION = 58, 135
#: Rate (packets a second) and burst of the ICMP errors that a switch sends to the controller.
ERROR_RATE, ERROR_BURST = 20, 40
_ETH_TYPES = {4: IPV4, 6: IPV6}
_IP_PROTOS = {TransportProtocol.TCP: TCP, TransportProtocol.UDP: UDP}

_BACKEND_BITS = 6

_COOKIE = cookie(Owned.INFRASTRUCTURE)
#: Frames of end systems at the host ports of this switch.
_HOSTS: MatchFields = {"metadata": (0, VSI_MASK | DIRECTION_MASK | TRUNK_MASK)}


def balancer_rules(balancers: tuple[LoadBalancer, ...]) -> Iterator[Rule]:
    """The rules of all load balancers in a switch; they do not depend on the back ends in rotation."""
    if not balancers:
        return
    # ICMP errors that the controller has translated return tagged and are forwarded like frames of end systems.
    marked = (RegLoad(TRANSLATED, 1),)
    yield Rule(Table.INGRESS, Priority.EXACT, match(in_port=CONTROLLER), _COOKIE, marked, goto=Table.FORWARD)
    to_controller: tuple[Action, ...] = (Output(CONTROLLER),)
    yield Rule(Table.BALANCE_ERRORS, Priority.DEFAULT, (), _COOKIE, to_controller, meter=BALANCER_METER)
    yield from established_rules(_COOKIE)
    kinds = dict.fromkeys(kind for balancer in balancers for kind in _kinds(balancer))
    yield from return_rules({"metadata": (0, VSI_MASK | DIRECTION_MASK)}, kinds, Table.OUTPUT, _COOKIE)
    yield from staying((kind for kind in kinds if kind.ip_proto == UDP), _COOKIE)
    for balancer in balancers:
        yield from _service(balancer)
        yield from _of_hosts(balancer)
        yield from _backends(balancer)


def balancer_meters(balancers: tuple[LoadBalancer, ...]) -> tuple[Meter, ...]:
    """The meter of ICMP errors from a switch to the controller."""
    return (Meter(BALANCER_METER, ERROR_RATE, ERROR_BURST),) if balancers else ()


def clients(fabric: Fabric) -> frozenset[tuple[int, int]]:
    """The end systems that may use a load balancer: those in its VLAN, ``(vid, mac)``.

    Appliances are excluded: they receive frames with addresses of other end systems, by the rules of their service.
    """
    vids = {balancer.vid for balancer in fabric.balancers}
    interfaces = [fabric.interface(port) for port in fabric.ports(Role.HOST)]
    hosts = [interface for interface in interfaces if interface is not None and interface.appliance is None]
    return frozenset((vid, mac) for host in hosts for vid in host.vids if vid in vids for mac in host.macs)


def group_id(balancer: LoadBalancer, version: int) -> int:
    """The group of its back ends that have an address of an IP version."""
    return BALANCER_GROUP | balancer.number << 1 | (version == 6)


def rotation(balancer: LoadBalancer, backends: Iterable[Backend]) -> Iterator[Group]:
    """The groups of a load balancer with the back ends that receive new connections."""
    backends = tuple(backends)
    # A group for each IP version, since a back end may have an address of one only.
    for kind in _kinds(balancer):
        version = 4 if kind.eth_type == IPV4 else 6
        buckets = (_bucket(kind, backend, version) for backend in backends)
        found = tuple(bucket for bucket in buckets if bucket is not None)
        yield Group(group_id(balancer, version), GroupType.SELECT, found)
    # UDP only: a TCP connection begins with a SYN, which goes to the select group in any case.
    in_rotation = {backend.name for backend in backends}
    for number, backend in enumerate(balancer.backends if balancer.protocol is TransportProtocol.UDP else ()):
        # A group and not a rule: it changes with the select group, in the bundle that opens or closes the gate.
        onward = Resubmit(Table.FORWARD if backend.name in in_rotation else Table.BALANCE_ANEW)
        yield Group(_backend_group(balancer, number), GroupType.INDIRECT, (Bucket((onward,)),))


def hosts_cookie(balancer: LoadBalancer) -> int:
    """The cookie of pins that a switch learns for end systems at host ports."""
    # One for each load balancer: a switch counts the limit of connections by cookie.  No VSI has index 0.
    return cookie(Owned.STATE, 0, balancer.number)


def _kinds(balancer: LoadBalancer) -> list[PacketKind]:
    return [PacketKind(_ETH_TYPES[version], _IP_PROTOS[balancer.protocol]) for version in sorted(_versions(balancer))]


def _versions(balancer: LoadBalancer) -> set[int]:
    return {address.version for address in balancer.addresses}


def _backend_group(balancer: LoadBalancer, number: int) -> int:
    """The group that tests if a back end is in rotation; the configuration allows 64 back ends for each balancer."""
    return BACKEND_GROUP | balancer.number << _BACKEND_BITS | number


def _backends(balancer: LoadBalancer) -> Iterator[Rule]:
    """Rules that lead a pinned datagram to the group of the back end that its pin has written."""
    kinds = [kind for kind in _kinds(balancer) if kind.ip_proto == UDP]
    # By the addresses that the pin has written: a pin has no number of a back end.
    for number, backend in enumerate(balancer.backends):
        for kind in kinds:
            address, (ip_dst, port_dst) = backend.address(4 if kind.eth_type == IPV4 else 6), kind.destination
            if address is not None:
                named: MatchFields = {
                    **kind.match,
                    "eth_dst": backend.mac,
                    ip_dst: int(address),
                    port_dst: backend.port,
                }
                test = (OutputGroup(_backend_group(balancer, number)),)
                yield Rule(Table.BALANCE_STAY, Priority.EXACT, match(reg3=balancer.number, **named), _COOKIE, test)


def _bucket(kind: PacketKind, backend: Backend, version: int) -> Bucket | None:
    address, (ip_dst, port_dst) = backend.address(version), kind.destination
    # A back end without an address of this IP version gets no connections of it.
    if address is None:
        return None
    where = (SetField("eth_dst", backend.mac), SetField(ip_dst, int(address)), SetField(port_dst, backend.port))
    # The learning happens behind the bucket: what a bucket changes is undone after the group.
    return Bucket((*where, Resubmit(Table.BALANCE_NOTE)), weight=backend.weight)


def _service(balancer: LoadBalancer) -> Iterator[Rule]:
    there: MatchFields = {"vlan_vid": VLAN_PRESENT | balancer.vid, "eth_dst": balancer.mac}
    yield Rule(Table.FORWARD, Priority.EXACT, match(**there), _COOKIE, goto=Table.BALANCE)
    for address in balancer.addresses:
        kind = PacketKind(_ETH_TYPES[address.version], _IP_PROTOS[balancer.protocol])
        ip_dst, port_dst = kind.destination
        wanted: MatchFields = {**there, **kind.match, ip_dst: int(address), port_dst: balancer.port}
        actions = (
            SetField("reg2", 0),
            SetField("reg3", balancer.number),
            *stash(kind),
            *look_up(kind),
            *decide(),
        )
        yield Rule(Table.BALANCE, Priority.EXACT, match(**wanted), _COOKIE, actions)
        yield from _errors(balancer, address)
        yield from _resolve(balancer, address)
    for kind in _kinds(balancer):
        chosen: MatchFields = {"reg3": balancer.number, "eth_type": kind.eth_type}
        group = group_id(balancer, 4 if kind.eth_type == IPV4 else 6)
        yield Rule(Table.BALANCE_PICK, Priority.EXACT, match(**chosen), _COOKIE, (OutputGroup(group),))


def _errors(balancer: LoadBalancer, address: IPv4Address | IPv6Address) -> Iterator[Rule]:
    """ICMP errors to the virtual address go to the controller: a switch cannot rewrite the packet they quote."""
    eth_type = _ETH_TYPES[address.version]
    ip_dst, _ = PacketKind(eth_type, TCP).destination
    there: MatchFields = {"vlan_vid": VLAN_PRESENT | balancer.vid, "eth_dst": balancer.mac, ip_dst: int(address)}
    for fields in icmp_errors():
        if fields["eth_type"] == eth_type:
            punt: tuple[Action, ...] = (Output(CONTROLLER),)
            yield Rule(Table.BALANCE, Priority.EXACT, match(**there, **fields), _COOKIE, punt, meter=BALANCER_METER)


def _of_hosts(balancer: LoadBalancer) -> Iterator[Rule]:
    """Rules for connections of end systems at host ports; they share one limit for each switch."""
    # Hosts have no body, so these rules are in every switch, for every balancer.
    scope: MatchFields = {**_HOSTS, "reg3": balancer.number}
    client = Client(
        hosts_cookie(balancer),
        0,
        Direction.NONE,
        Direction.NONE,
        balancer.max_connections,
        balancer.opening,
        # For TCP and for UDP: a load balancer has one protocol, and this is its timeout.
        balancer.idle,
        balancer.idle,
        balancer.closing,
    )
    yield from selection_rules(scope, _kinds(balancer), _COOKIE)
    yield from learn_rules(scope, _kinds(balancer), client, _COOKIE)


# --- address resolution ---------------------------------------------------------------------------
def _resolve(balancer: LoadBalancer, address: IPv4Address | IPv6Address) -> Iterator[Rule]:
    vlan = VLAN_PRESENT | balancer.vid
    if isinstance(address, IPv4Address):
        asked = match(vlan_vid=vlan, eth_type=_ARP, arp_op=_REQUEST, arp_tpa=int(address))
        yield Rule(Table.FORWARD, _RESOLVE, asked, _COOKIE, tuple(_arp_reply(balancer.mac, int(address))))
        return
    kind: MatchFields = {"vlan_vid": vlan, "eth_type": IPV6, "ip_proto": _ICMPV6, "icmpv6_type": _SOLICITATION}
    asked = match(**kind, ipv6_nd_target=int(address))
    yield Rule(Table.FORWARD, _RESOLVE, asked, _COOKIE, tuple(_solicitation_back(balancer.mac, int(address))))
    # Who says that it has the address would get its own question back, again and again.
    claimed = match(**kind, ipv6_nd_target=int(address), ipv6_src=int(address))
    yield Rule(Table.FORWARD, _RESOLVE + 1, claimed, _COOKIE)


def _arp_reply(mac: int, address: int) -> Iterator[Action]:
    yield from _back_to_sender(mac)
    # Copies go through the stack: ``set_field`` writes constants only.
    yield SetField("arp_op", _REPLY)
    yield from (StackPush(whole("arp_sha")), StackPop(whole("arp_tha")), SetField("arp_sha", mac))
    yield from (StackPush(whole("arp_spa")), StackPop(whole("arp_tpa")), SetField("arp_spa", address))
    yield Resubmit(Table.FORWARD)


def _solicitation_back(mac: int, address: int) -> Iterator[Action]:
    """The solicitation as the virtual address would send it to the sender.

    Its receiver notes the address in it (RFC 4861 7.2.3), and sends what waits for that.  An advertisement would need
    another type of option and flags, which the kernel's datapath of Open vSwitch cannot write: there the switch
    refuses such rules.
    """
    yield from _back_to_sender(mac)
    sender = whole("ipv6_src")
    yield from (StackPush(sender), StackPop(whole("ipv6_nd_target")), StackPush(sender), StackPop(whole("ipv6_dst")))
    yield from (SetField("ipv6_src", address), SetField("ipv6_nd_sll", mac))
    yield Resubmit(Table.FORWARD)


def _back_to_sender(mac: int) -> Iterator[Action]:
    # The answer leaves by the ingress port of the question, which OpenFlow suppresses otherwise.
    yield from (StackPush(whole("eth_src")), StackPop(whole("eth_dst")), SetField("eth_src", mac), ClearInPort())
