"""ICMP errors about balanced connections: each end gets them about the addresses that it knows."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ryu_apps.evb.bridge.icmp_translator import MAX_WAITING
from ryu_apps.evb.events.effect import ReadRules, SendFrame
from ryu_apps.evb.events.switch import FrameReceived, RulesRead
from ryu_apps.evb.flow.actions import CONTROLLER, TABLES
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.pipeline.tables import BALANCER_METER
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.icmp_error import End, IcmpError
from ryu_apps.evb.wire.ip import Ipv4, Ipv6, checksum
from tests.unit.services.test_load_balancer import (
    CLIENTS,
    DEASSOC,
    REAL,
    W1,
    W2,
    WEB,
    WEB_MAC,
    A,
    active,
    balancer,
    talks,
    world_with,
)
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV4, NMS, S2, VLAN, World

ROUTER = {4: "198.51.100.1", 6: "2001:db8:1::1"}
MTU = 1280
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def quoted(source: End, target: End, octets: int = 8) -> bytes:
    """A segment whose first octets an error quotes, with right checksums."""
    tcp = source.port.to_bytes(2) + target.port.to_bytes(2) + bytes(8) + b"\x50\x10" + bytes(6)
    pseudo = source.address.packed + target.address.packed + len(tcp).to_bytes(4) + (6).to_bytes(4)
    tcp = tcp[:16] + checksum(pseudo + tcp).to_bytes(2) + tcp[18:]
    if source.address.version == 4:
        assert not isinstance(source.address, type(ip_address("::")))
        whole = Ipv4(source.address, target.address, 6, tcp, ttl=60).encode()  # type: ignore[arg-type]
        return whole[: 20 + octets]
    whole = Ipv6(source.address, target.address, 6, tcp, hop_limit=60).encode()  # type: ignore[arg-type]
    return whole[: 40 + octets]


def too_big(eth_src: int, about: tuple[End, End], vid: int = VLAN, octets: int = 8, router: str | None = None) -> bytes:
    """ICMP error of a router to the source of a segment that it cannot forward; ``eth_src`` is the router's."""
    source, target = about
    version = source.address.version
    who = ip_address(router or ROUTER[version])
    if version == 4:
        body = b"\x03\x04\0\0" + bytes(2) + MTU.to_bytes(2) + quoted(source, target, octets)
        body = body[:2] + checksum(body).to_bytes(2) + body[4:]
        packet: Ipv4 | Ipv6 = Ipv4(who, source.address, 1, body, ttl=64)  # type: ignore[arg-type]
    else:
        body = b"\x02\0\0\0" + MTU.to_bytes(4) + quoted(source, target, octets)
        pseudo = who.packed + source.address.packed + len(body).to_bytes(4) + (58).to_bytes(4)
        body = body[:2] + checksum(pseudo + body).to_bytes(2) + body[4:]
        packet = Ipv6(who, source.address, 58, body, hop_limit=64)  # type: ignore[arg-type]
    return IcmpError(WEB_MAC, eth_src, vid, packet, 6, source, target).encode()


def virtual(version: int) -> End:
    return End(ip_address(WEB[version]), 80)


def client_end(mac: int, version: int, port: int = 40000) -> End:
    return End(ip_address(CLIENTS[version][mac]), port)


@pytest.fixture
def world() -> World:
    world = world_with(balancer())
    active(world, A, HV4)
    active(world, W1, HV1)
    return world


def translated(world: World, port: PortId, frame: bytes) -> list[SendFrame]:
    """Frames that the controller sends in answer to a punted frame."""
    world.frames.clear()
    world.feed(FrameReceived(port, frame))
    return [sent for sent in world.frames if sent.port.port_no == TABLES]


def trunk(world: World) -> PortId:
    """By which the back end is heard at the client's switch."""
    interfaces = world.fabric.switches[S2].interfaces
    return next(PortId(S2, number) for number, interface in interfaces.items() if interface.peer is not None)


def copied(world: World, port: PortId, frame: bytes) -> tuple[list[PortId], list[int]]:
    """Edge ports that a frame leaves by, and the meters of the copies in the client's switch."""
    fields = fields_of(IcmpError.decode(frame))
    arrived = [arrival.port for arrival in world.carry(port, fields)]
    inside = {**fields, "vlan_vid": VLAN_PRESENT | VLAN, "vlan_pcp": 0}
    metered = passage(world.tables[S2], {**inside, "in_port": trunk(world).port_no}).metered
    return arrived, [meter.meter_id for meter in metered]


@VERSIONS
@pytest.mark.parametrize("by", ["the back end", "a router before it"])
@pytest.mark.parametrize(("at", "mac"), [(CLIENT, CLIENT_MAC), (HV4, A.mac)], ids=["end system", "VM"])
def test_an_error_of_a_back_end_reaches_the_client_about_the_virtual_address(
    world: World, at: PortId, mac: int, by: str, version: int
) -> None:
    talks(world, at, mac, HV1, W1, version=version)
    real = REAL[version][W1.mac]
    own, client = End(ip_address(real[0]), real[1]), client_end(mac, version)
    sender = real[0] if by == "the back end" else ROUTER[version]
    frame = IcmpError.decode(too_big(W1.mac, (client, own), octets=20, router=sender))
    frame = replace(frame, eth_dst=mac)
    if by == "the back end":
        arrived, meters = copied(world, HV1, frame.encode())
        assert arrived == [at], "what may be about a connection of its own reaches it first"
        assert meters == [BALANCER_METER]
    (sent,) = translated(world, trunk(world), frame.encode())
    error = IcmpError.decode(sent.data)
    seen = virtual(version).address if by == "the back end" else ip_address(sender)
    assert (error.eth_dst, error.source, error.destination) == (mac, client, virtual(version))
    assert (error.packet.source, error.packet.destination) == (seen, client.address)
    assert error.packet.payload[8:] == quoted(client, virtual(version), 20), "checksums as the client wrote them"
    fields = {**fields_of(error), "vlan_vid": VLAN_PRESENT | VLAN, "vlan_pcp": 0}
    assert [arrival.port for arrival in world.carry(PortId(S2, CONTROLLER), fields)] == [at], "and is not copied again"


@VERSIONS
def test_an_error_for_a_client_about_no_connection_is_not_translated(world: World, version: int) -> None:
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, version=version)
    real = REAL[version][W1.mac]
    own, client = End(ip_address(real[0]), real[1]), client_end(CLIENT_MAC, version)
    for about in ((client._replace(port=1), own), (client, own._replace(port=1)), (client, virtual(version))):
        frame = replace(IcmpError.decode(too_big(W1.mac, about)), eth_dst=CLIENT_MAC)
        assert translated(world, trunk(world), frame.encode()) == []
    assert world.engine.translator.counted[S2, "unknown"] == 3


def fields_of(error: IcmpError) -> dict[str, int]:
    version = error.packet.source.version
    return {
        "eth_src": error.eth_src,
        "eth_dst": error.eth_dst,
        "vlan_vid": 0,
        "eth_type": 0x0800 if version == 4 else 0x86DD,
        "ip_proto": error.packet.protocol,
        f"ipv{version}_src": int(error.packet.source),
        f"ipv{version}_dst": int(error.packet.destination),
        "icmpv4_type" if version == 4 else "icmpv6_type": error.packet.payload[0],
        "icmpv4_code" if version == 4 else "icmpv6_code": error.packet.payload[1],
    }


@VERSIONS
@pytest.mark.parametrize(("at", "mac"), [(CLIENT, CLIENT_MAC), (HV4, A.mac)], ids=["end system", "VM"])
def test_an_error_about_the_virtual_address_reaches_the_back_end_about_its_own(
    world: World, at: PortId, mac: int, version: int
) -> None:
    talks(world, at, mac, HV1, W1, version=version)
    # A VM has its own address, whatever is behind it.
    router = CLIENTS[version][mac] if mac == A.mac else ROUTER[version]
    frame = too_big(mac, (virtual(version), client_end(mac, version)), octets=20, router=router)
    # The switch gives it to the controller, a few a second,
    came_in = passage(world.tables[S2], {**fields_of(IcmpError.decode(frame)), "in_port": at.port_no})
    (punted,) = came_in.emitted
    assert punted.port == CONTROLLER and punted.fields["vlan_vid"] == VLAN_PRESENT | VLAN
    assert [arrival.meter_id for arrival in came_in.metered] == [BALANCER_METER]
    # which gives it back under other addresses,
    (sent,) = translated(world, at, frame)
    assert sent.port == PortId(S2, TABLES)
    error = IcmpError.decode(sent.data)
    real = REAL[version][W1.mac]
    own = End(ip_address(real[0]), real[1])
    assert (error.eth_dst, error.source, error.destination) == (W1.mac, own, client_end(mac, version))
    assert error.packet.source == ip_address(router) and error.packet.destination == own.address
    assert error.packet.payload[6:8] == MTU.to_bytes(2)
    assert error.packet.payload[8:] == quoted(own, client_end(mac, version), 20), "checksums as the back end wrote them"
    # and the switch leads it there as if it came from an end system.
    fields = {**fields_of(error), "vlan_vid": VLAN_PRESENT | VLAN, "vlan_pcp": 0}
    (arrived,) = world.carry(PortId(S2, CONTROLLER), fields)
    assert arrived.port == HV1


def test_it_goes_to_the_back_end_of_the_newest_connection(world: World) -> None:
    talks(world, CLIENT, CLIENT_MAC, HV1, W1)
    active(world, W2, HV2)
    world.ask(HV1, W1, DEASSOC)
    talks(world, CLIENT, CLIENT_MAC, HV2, W2)
    (sent,) = translated(world, CLIENT, too_big(CLIENT_MAC, (virtual(4), client_end(CLIENT_MAC, 4))))
    assert IcmpError.decode(sent.data).eth_dst == W2.mac


@VERSIONS
def test_an_error_about_no_connection_reaches_nobody(world: World, version: int) -> None:
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, version=version)
    there, here = virtual(version), client_end(CLIENT_MAC, version)
    for about in (
        (there, here._replace(port=40001)),
        (there._replace(port=81), here),
        (there._replace(address=ip_address(REAL[version][W1.mac][0])), here),
        (there, client_end(A.mac, version)),
    ):
        assert translated(world, CLIENT, too_big(CLIENT_MAC, about)) == []
    assert translated(world, NMS, too_big(CLIENT_MAC, (there, here))) == [], "the other switch knows no such pin"
    assert translated(world, CLIENT, too_big(CLIENT_MAC, (there, here), vid=200)) == []


@VERSIONS
def test_what_is_damaged_is_counted_and_nothing_else(world: World, version: int) -> None:
    talks(world, CLIENT, CLIENT_MAC, HV1, W1, version=version)
    whole = too_big(CLIENT_MAC, (virtual(version), client_end(CLIENT_MAC, version)), octets=20)
    for length in range(18, len(whole)):
        assert translated(world, CLIENT, whole[:length]) == []
    for at in range(18, len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 0x41
        translated(world, CLIENT, bytes(broken))
    assert len(translated(world, CLIENT, whole)) == 1
    assert world.engine.translator.counted[S2, "malformed"] >= len(whole) - 18


def test_a_switch_that_does_not_answer_costs_a_bounded_memory(world: World) -> None:
    translator = world.engine.translator
    asked: list[ReadRules] = []
    for _ in range(3 * MAX_WAITING):
        frame = too_big(CLIENT_MAC, (virtual(4), client_end(CLIENT_MAC, 4)))
        effects = world.engine.feed(FrameReceived(CLIENT, frame), world.now)
        asked += [effect for effect in effects if isinstance(effect, ReadRules)]
    assert len(asked) == 3 * MAX_WAITING
    for read in asked:
        world.feed(RulesRead(read.dpid, read.token, ()))
    assert translator.counted[S2, "unknown"] == MAX_WAITING
    assert translator.counted[S2, "forgotten"] == 2 * MAX_WAITING
