"""Multicast through simulated switches: frames go from edge to edge, and punted ones are fed to the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.flow.actions import CONTROLLER
from ryu_apps.evb.flow.match import REGISTERS, VLAN_PRESENT
from ryu_apps.evb.model import MulticastGroup, VsiTypeKey
from ryu_apps.evb.policy.model import PolicySet, VsiType
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.snooping.settings import Querying, Snooping
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import IgmpType, Report3
from ryu_apps.evb.wire.membership import MembershipFrame, MembershipMessage, group_mac, is_query
from ryu_apps.evb.wire.mld import MldType, Report2
from tests.worlds.bridge import CLIENT, CLIENT_MAC, NMS, NMS_MAC, OPEN, Vm, World, open_type, two_switches

#: Types of VSIs that are snooped.
SNOOPED, CONFIGURED, NARROW = VsiTypeKey(10, 1), VsiTypeKey(11, 1), VsiTypeKey(12, 1)
G, H, FIXED = IPv4Address("239.1.1.1"), IPv4Address("239.1.1.2"), IPv4Address("239.9.9.9")
#: Shares its Ethernet address with G.
TWIN = IPv4Address("239.129.1.1")
SIX, FIXED_6 = IPv6Address("ff0e::42"), IPv6Address("ff0e::99")
S, T = IPv4Address("10.0.200.1"), IPv4Address("10.0.200.2")
S6 = IPv6Address("2001:db8::1")
HOSTS = {NMS: NMS_MAC, CLIENT: CLIENT_MAC}
OFF = Snooping(Querying(on=False))


def snooped_type(key: VsiTypeKey, multicast: MulticastPolicy) -> VsiType:
    return replace(open_type(key), services=(("multicast", multicast),), digest=f"{key} {multicast}")


TYPES = {
    OPEN: open_type(OPEN),
    SNOOPED: snooped_type(SNOOPED, MulticastPolicy()),
    CONFIGURED: snooped_type(CONFIGURED, MulticastPolicy(groups=(FIXED, FIXED_6))),
    NARROW: snooped_type(NARROW, MulticastPolicy(max_groups=1, max_sources=1)),
}


def multicast_world(snooping: Snooping = OFF, fabric: Fabric | None = None) -> World:
    """World of two connected switches; by default without a querier, and with long keep-alive timeouts."""
    world = World(fabric=fabric or two_switches(Timers(rka=30)), policies=PolicySet(TYPES), snooping=snooping)
    world.connect()
    return world


def vm(number: int, key: VsiTypeKey = SNOOPED) -> Vm:
    return Vm(number, key)


@dataclass(frozen=True)
class Arrival:
    """One copy of a frame at an edge port."""

    port: PortId
    dst: int


def inject(world: World, port: PortId, fields: dict[str, int], message: MembershipFrame | None = None) -> list[Arrival]:
    """Send an untagged frame into an edge port; punted copies are fed to the engine when it has left all switches."""
    arrived, punted, under_way = [], [], [(port, fields | {"vlan_vid": 0})]
    for _ in range(50):
        if not under_way:
            break
        where, copy = under_way.pop()
        for emitted in forward(world.tables[where.dpid], {**copy, "in_port": where.port_no}):
            out = PortId(where.dpid, emitted.port)
            if emitted.port == CONTROLLER:
                punted.append((where, emitted.fields))
                continue
            interface = world.fabric.interface(out)
            assert interface is not None
            if interface.peer is None:
                arrived.append(Arrival(out, emitted.fields["eth_dst"]))
            else:
                hidden = ("in_port", "metadata", *REGISTERS)
                onward = {name: value for name, value in emitted.fields.items() if name not in hidden}
                under_way.append((interface.peer, onward))
    else:
        raise AssertionError("the frame is in a loop")
    for where, found in punted:
        assert message is not None, "only membership messages are punted"
        tci = found["vlan_vid"] & ~VLAN_PRESENT
        frame = replace(message, dst=found["eth_dst"], src=found["eth_src"], tci=tci)
        world.feed(FrameReceived(where, frame.encode()))
    return arrived


def stream(
    world: World, port: PortId, src: int, group: MulticastGroup, source: MulticastGroup | None = None
) -> list[Arrival]:
    """Send a datagram to a group."""
    if isinstance(group, IPv4Address):
        sender = source or IPv4Address(0x0A006400 + (src & 0xFF))
        ip = {"eth_type": 0x0800, "ipv4_src": int(sender), "ipv4_dst": int(group)}
    else:
        ip = {"eth_type": 0x86DD, "ipv6_src": int(source or S6), "ipv6_dst": int(group)}
    frame = {"eth_src": src, "eth_dst": group_mac(group), "ip_proto": 17, "udp_src": 1, "udp_dst": 2}
    return inject(world, port, frame | ip)


def receivers(
    world: World, group: MulticastGroup, source: MulticastGroup | None = None, port: PortId = CLIENT
) -> list[int]:
    """Receivers of a datagram of a host: the numbers of VMs (0: the other host), sorted; one for each copy."""
    found = stream(world, port, HOSTS[port], group, source)
    return sorted(0 if arrival.dst == group_mac(group) else arrival.dst & 0xFF for arrival in found)


def say(
    world: World, port: PortId, src: int, message: MembershipMessage, group: MulticastGroup | None = None
) -> list[Arrival]:
    """Send a membership message from a station or a host."""
    six = isinstance(message, mld.MldV1 | Report2 | mld.Query2)
    source: MulticastGroup = IPv6Address("fe80::5054:ff:fe00:1") if six else IPv4Address(0x0A006400 + (src & 0xFF))
    destination = group or _destination(message, six)
    frame = MembershipFrame(group_mac(destination), src, None, source, destination, message)
    fields = {"eth_src": src, "eth_dst": frame.dst}
    if six:
        kind = frame.encode()[14 + 40 + 8]
        fields |= {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": kind, "icmpv6_code": 0}
        fields |= {"ipv6_src": int(source), "ipv6_dst": int(destination)}
    else:
        fields |= {"eth_type": 0x0800, "ip_proto": 2, "ipv4_src": int(source), "ipv4_dst": int(destination)}
    return inject(world, port, fields, frame)


def _destination(message: MembershipMessage, six: bool) -> MulticastGroup:
    if isinstance(message, Report3):
        return IPv4Address("224.0.0.22")
    if isinstance(message, Report2):
        return IPv6Address("ff02::16")
    if is_query(message) and not int(message.group):
        return IPv6Address("ff02::1") if six else IPv4Address("224.0.0.1")
    if isinstance(message, igmp.IgmpV1V2 | mld.MldV1) and message.type in (IgmpType.LEAVE, MldType.DONE):
        return IPv6Address("ff02::2") if six else IPv4Address("224.0.0.2")
    return message.group


def join(
    world: World, port: PortId, one: Vm, group: MulticastGroup, *sources: MulticastGroup, version: int = 3
) -> list[Arrival]:
    """Join a group with a VM, from some sources or (none named) from all."""
    kind = RecordType.ALLOW if sources else RecordType.TO_EXCLUDE
    return tell(world, port, one, kind, group, *sources, version=version)


def leave(world: World, port: PortId, one: Vm, group: MulticastGroup, version: int = 3) -> list[Arrival]:
    """Leave a group with a VM."""
    return tell(world, port, one, RecordType.TO_INCLUDE, group, version=version)


def tell(
    world: World,
    port: PortId,
    one: Vm,
    kind: RecordType,
    group: MulticastGroup,
    *sources: MulticastGroup,
    version: int = 3,
) -> list[Arrival]:
    """Report a membership of a VM, in IGMP of a version or the corresponding MLD."""
    message: MembershipMessage
    joins = kind is not RecordType.TO_INCLUDE
    if isinstance(group, IPv4Address):
        plain = igmp.IgmpV1V2(IgmpType.V2_REPORT if joins else IgmpType.LEAVE, group)
        message = Report3((GroupRecord(kind, group, sources),)) if version == 3 else plain  # type: ignore[arg-type]
    else:
        done = mld.MldV1(MldType.V1_REPORT if joins else MldType.DONE, group)
        message = Report2((GroupRecord(kind, group, sources),)) if version == 3 else done  # type: ignore[arg-type]
    return say(world, port, one.mac, message)


def queries(world: World) -> list[tuple[PortId, int, MembershipMessage]]:
    """Queries that the bridge has sent since the last call: port, Ethernet destination, message."""
    found = []
    for frame in world.frames:
        if frame.data[12:14] in (b"\x08\x00", b"\x86\xdd", b"\x81\x00"):
            decoded = MembershipFrame.decode(frame.data)
            found.append((frame.port, decoded.dst, decoded.message))
    world.frames.clear()
    return found


def restart_changes_nothing(world: World) -> None:
    """Restart the controller; no rule is different afterwards, and none was written meanwhile."""
    before = world.snapshot()
    world.applied.clear()
    world.restart_controller()
    assert world.snapshot() == before
    assert not [apply for apply in world.applied if apply.change.add or apply.change.remove]
