"""``evbridge explain`` says of a frame what ``ofproto/trace`` of a real Open vSwitch says: lookups, rules, outputs.

The rules are those that the switch shows over OpenFlow; a frame that goes over the trunk is traced in both switches.
Connections, fragments and back ends that the frames teach count for the frames behind them, in both.
"""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

import pytest

from ryu_apps.evb.explanation.cluster import Port, PortView, SwitchView
from ryu_apps.evb.explanation.frame_reader import read_frame
from ryu_apps.evb.explanation.journey import End, Visit, travel
from ryu_apps.evb.explanation.words import table_name
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.ethernet import NEAREST_CUSTOMER_BRIDGE
from ryu_apps.southbound.dump import DumpError, read_switch
from tests.interop.dummy_switches import DummySwitches, TracedStep, dummy_switches, flow_text, lookups, outputs
from tests.interop.octets import Ends, echo, ipv6, part, tcp, udp
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, NMS_MAC, S1, S2
from tests.worlds.explained import (
    BLUE,
    BUYER,
    FARM,
    GUEST,
    NEWCOMER,
    RED,
    SERVER,
    TAGGED,
    WALLED,
    WEB_ADDRESS,
    WEB_MAC,
    explained_world,
)
from tests.worlds.rest import RestWorld

NAMES = {S1: "s1", S2: "s2"}
SEED, FRAMES = 16, 500
HASHED = "dp_hash=1"
TCP, UDP, ICMP, ICMPV6, IGMP = 6, 17, 1, 58, 2


class Sender(NamedTuple):
    """A VM or an end system: its port, its tag, its addresses."""

    name: str
    port: PortId
    vid: int | None
    mac: int
    address: str

    @property
    def address6(self) -> str:
        """Link-local, made from the MAC address (RFC 4291, appendix A)."""
        mac = self.mac
        interface = ((mac >> 24) ^ 0x020000) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF
        return str(IPv6Address(0xFE80 << 112 | interface))


def of_vm(name: str, port: PortId, vm: object, vid: int | None = None) -> Sender:
    return Sender(name, port, vid, vm.mac, str(vm.address))  # type: ignore[attr-defined]


SENDERS = (
    of_vm("guest", HV1, GUEST),
    of_vm("red", HV1, RED, TAGGED),
    of_vm("walled", HV2, WALLED),
    of_vm("buyer", HV2, BUYER),
    of_vm("server", HV3, SERVER),
    of_vm("blue", HV3, BLUE, TAGGED),
    of_vm("farm", HV4, FARM),
    of_vm("newcomer", HV4, NEWCOMER),
    Sender("nms", NMS, None, NMS_MAC, "192.0.2.8"),
    Sender("client", CLIENT, None, CLIENT_MAC, "192.0.2.7"),
)
BALANCER = Sender("balancer", HV4, None, WEB_MAC, WEB_ADDRESS)
NOBODY = Sender("nobody", HV4, None, 0x525400FFFFFF, "10.0.100.99")
EVERYBODY = Sender("everybody", HV4, None, 0xFFFFFFFFFFFF, "255.255.255.255")
GROUP = Sender("group", HV4, None, 0x01005E010101, "239.1.1.1")
RESERVED = Sender("reserved", HV4, None, 0x0180C2000003, "10.0.100.1")
TARGETS = (*SENDERS, BALANCER, BALANCER, EVERYBODY, GROUP, NOBODY, RESERVED)

KINDS = (
    *("web", "web", "tcp", "tcp", "ack", "udp", "ping", "tcp6", "ping6", "arp", "solicitation", "advertisement"),
    *(
        "first",
        "later",
        "first6",
        "later6",
        "router",
        "dhcp",
        "igmp",
        "spoofed",
        "stacked",
        "snap",
        "lldp",
        "ecp",
        "odd",
    ),
)
#: Destinations of the protocols of stations.
PROTOCOL_MACS = {"lldp": NEAREST_CUSTOMER_BRIDGE, "ecp": NEAREST_CUSTOMER_BRIDGE}
#: Tables that frames must have met, or the samples are poor.
MET = (
    *(Table.GUARD, Table.ANTISPOOF, Table.ACL_FROM, Table.FORWARD, Table.FLOOD_PAGE, Table.ACL_TO, Table.OUTPUT),
    *(Table.FIREWALL_TO, Table.CONNECTIONS, Table.LEARN_FROM, Table.FRAGMENTS, Table.SECOND_TAG),
    *(Table.BALANCE, Table.BALANCE_PICK, Table.BALANCER_PINS, Table.BALANCE_NOTE),
)


class Sample(NamedTuple):
    """A frame that a sender sends: its kind, and its octets."""

    sender: Sender
    target: Sender
    kind: str
    octets: bytes

    @property
    def words(self) -> str:
        return f"{self.kind} from {self.sender.name} to {self.target.name}"


def samples() -> Iterator[Sample]:
    chosen = random.Random(SEED)
    for _ in range(FRAMES):
        sender, target, kind = chosen.choice(SENDERS), chosen.choice(TARGETS), chosen.choice(KINDS)
        target = BALANCER if kind == "web" else target
        yield Sample(sender, target, kind, octets_of(sender, target, kind, chosen))


def octets_of(sender: Sender, target: Sender, kind: str, chosen: random.Random) -> bytes:
    eth_type, payload = payload_of(sender, target, kind, chosen)
    tags = b"" if sender.vid is None else struct.pack("!HH", 0x8100, sender.vid)
    tags += struct.pack("!HH", 0x8100, 7) if kind == "stacked" else b""
    head = PROTOCOL_MACS.get(kind, target.mac).to_bytes(6) + sender.mac.to_bytes(6) + tags
    return (head + eth_type.to_bytes(2) + payload).ljust(60, b"\0")


def payload_of(sender: Sender, target: Sender, kind: str, chosen: random.Random) -> tuple[int, bytes]:
    """Ethernet type and payload."""
    ends, six = Ends.of(sender.address, target.address), Ends.of(sender.address6, target.address6)
    port, service = 40000 + chosen.randrange(3), chosen.choice((80, 443, 22, 3306, 53))
    match kind:
        case "web":
            return 0x0800, part(ends, TCP, tcp(port, 80, flags=chosen.choice((0x02, 0x10, 0x11))))
        case "tcp" | "stacked":
            return 0x0800, part(ends, TCP, tcp(port, service))
        case "ack":
            return 0x0800, part(ends, TCP, tcp(service, port, flags=0x10))
        case "udp":
            return 0x0800, part(ends, UDP, udp(port, service, 20))
        case "ping":
            return 0x0800, part(ends, ICMP, echo(ends, 20))
        case "igmp":
            return 0x0800, part(ends, IGMP, bytes.fromhex("1600e8fdef010101"))
        case "spoofed":
            return 0x0800, part(Ends.of("10.0.100.77", target.address), TCP, tcp(port, service))
        case "dhcp":
            return 0x0800, part(ends, UDP, udp(67, 68, 20))
        case "first" | "later":
            offset = 0 if kind == "first" else 1480
            return 0x0800, part(ends, UDP, udp(port, service, 1472), offset, more=kind == "first")
        case "tcp6":
            return 0x86DD, ipv6(six, TCP, tcp(port, service))
        case "ping6":
            return 0x86DD, ipv6(six, ICMPV6, echo(six, 20))
        case "first6" | "later6":
            offset = 0 if kind == "first6" else 1480
            return 0x86DD, part(six, TCP, tcp(port, service), offset, more=kind == "first6")
        case "router":
            return 0x86DD, ipv6(six, ICMPV6, bytes([134, *bytes(15)]))
        case "solicitation":
            asked = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + six.target.packed + bytes([1, 1]) + sender.mac.to_bytes(6)
            return 0x86DD, ipv6(six, ICMPV6, asked)
        case "advertisement":
            told = bytes([136, 0, 0, 0, 0x60, 0, 0, 0]) + six.source.packed + bytes([2, 1]) + sender.mac.to_bytes(6)
            return 0x86DD, ipv6(six, ICMPV6, told)
        case "arp":
            return 0x0806, arp(sender, target, chosen.choice((1, 2)))
        case "snap":
            return 46, bytes.fromhex("aaaa030000000806") + arp(sender, target, 1)
        case "lldp":
            return 0x88CC, bytes(46)
        case "ecp":
            return 0x8940, bytes(46)
    return 0x88B5, bytes(46)


def arp(sender: Sender, target: Sender, operation: int) -> bytes:
    spa, tpa = ip_address(sender.address).packed, ip_address(target.address).packed
    head = bytes.fromhex("000108000604") + operation.to_bytes(2)
    return head + sender.mac.to_bytes(6) + spa + bytes(6) + tpa


@pytest.fixture(scope="module")
def world() -> RestWorld:
    return explained_world()


@pytest.fixture(scope="module")
def switches(world: RestWorld) -> Iterator[DummySwitches]:
    with dummy_switches() as found:
        for dpid, name in NAMES.items():
            found.add(name, dpid, world.fabric.switches[dpid].interfaces)
            found.install(name, world.tables[dpid])
        found.stop_time()
        yield found


@pytest.fixture(scope="module")
def views(world: RestWorld, switches: DummySwitches) -> dict[int, SwitchView]:
    return {dpid: view(world, switches, dpid) for dpid in NAMES}


def view(world: RestWorld, switches: DummySwitches, dpid: int) -> SwitchView:
    """A switch with the rules that it shows."""
    dump = read_switch(f"unix:{switches.folder}/{NAMES[dpid]}.mgmt")
    assert dump.dpid == dpid
    ports = {
        number: PortView(port.name, port.role_text, True, Port(*port.peer) if port.peer else None)
        for number, port in world.fabric.switches[dpid].interfaces.items()
    }
    rules, groups = {rule.key: rule for rule in dump.rules}, {group.group_id: group for group in dump.groups}
    table = FlowTable(rules, groups, {meter.meter_id: meter for meter in dump.meters})
    return SwitchView(dpid, NAMES[dpid], ports, table, read=True)


def test_a_switch_shows_what_it_was_given(
    world: RestWorld, switches: DummySwitches, views: dict[int, SwitchView]
) -> None:
    for dpid, found in views.items():
        assert found.table.rules == world.tables[dpid].rules
        assert found.table.groups == world.tables[dpid].groups
        assert found.table.meters == world.tables[dpid].meters


@pytest.mark.parametrize("target", ["nowhere", "unix:/nowhere.mgmt", "tcp:127.0.0.1:1", "tcp:here", "tcp:127.0.0.1:x"])
def test_a_switch_that_is_not_there_is_an_error(target: str) -> None:
    with pytest.raises(DumpError, match=target):
        read_switch(target)


def traced(switches: DummySwitches, visit: Visit, octets: bytes) -> str:
    """The trace of a visit: of the octets at the first switch, of the fields at the next.

    With a hash of the datapath a select group picks its bucket at once, else the trace would end there.
    """
    if visit.number == 0:
        return switches.trace(visit.switch.name, f"in_port={visit.frame['in_port']},{HASHED}", octets.hex())
    return switches.trace(visit.switch.name, f"{flow_text(visit.frame)},{HASHED}")


def told(visit: Visit) -> tuple[list[TracedStep], list[int]]:
    """Lookups and outputs of an explanation."""
    steps = [
        TracedStep(step.table, None if step.rule is None else (step.rule.priority, step.rule.cookie))
        for step in visit.trace.steps
        if hasattr(step, "table")
    ]
    sent = [departure.port.number for departure in visit.departures if departure.end is not End.WAY_BACK]
    return steps, sent


def test_all_frames(switches: DummySwitches, views: dict[int, SwitchView]) -> None:
    met: Counter[str] = Counter()
    for number, sample in enumerate(samples()):
        frame = read_frame(sample.octets)
        for visit in travel(Port(*sample.sender.port), frame, views.__getitem__):
            trace = traced(switches, visit, sample.octets)
            said = f"{number}: {sample.words} at {visit.switch.name}\n{trace}"
            assert told(visit) == (lookups(trace), outputs(trace, visit.switch.name)), said
            met.update(outcomes(visit))
            met.update(table_name(step.table) for step in told(visit)[0])
    assert [table.name for table in MET if not met[table.name]] == []
    assert met["dropped"] > 50, met
    assert met["over the trunk"] > 50, met
    assert met["to a VM or host"] > 50, met
    assert met["to the controller"] > 3, met
    assert met["learnt"] > 10, met


def outcomes(visit: Visit) -> Iterator[str]:
    if visit.last is not None:
        yield "dropped"
    ends: Mapping[End, str] = {
        End.LINK: "over the trunk",
        End.PORT: "to a VM or host",
        End.CONTROLLER: "to the controller",
    }
    yield from (ends[departure.end] for departure in visit.departures if departure.end in ends)
    yield from ("learnt" for step in visit.trace.steps if hasattr(step, "action"))
