"""Ports of a client that are used again, and datagrams: their back end is gone, or the last connection is closing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.other import BackendJudged
from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.pipeline.load_balancing import LIVES
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.balancer import TransportProtocol
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.services.test_load_balancer import (
    CLIENT_TYPE,
    DEASSOC,
    SMALL,
    W1,
    W2,
    A,
    active,
    balancer,
    for_backend,
    from_web,
    goes_on,
    ports,
    talks,
    to_web,
    world_with,
)
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, S1, S2, Vm, World
from tests.worlds.simulated_tcp import ACK, FIN, RST, SYN, Segment, send

IDLE, CLOSING, OPENING = 3600, 120, 10
#: Clients at s2: an end system and a VM.
CLIENTS = pytest.mark.parametrize(("at", "mac"), [(CLIENT, CLIENT_MAC), (HV4, A.mac)], ids=["end system", "VM"])
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture
def world() -> World:
    world = world_with(balancer())
    active(world, A, HV4)
    return world


def forgotten(world: World, seconds: int, dpid: int = S2) -> None:
    """Nobody says anything for so long."""
    for key, rule in world.rules(dpid, CookieKind.STATE).items():
        if rule.idle_timeout <= seconds:
            del world.tables[dpid].rules[key]


def ends(world: World, at: PortId, mac: int, server: PortId, vm: Vm, *, reset: bool = False, version: int = 4) -> None:
    """Both sides end a connection."""
    flags = RST if reset else FIN | ACK
    sent = to_web(mac, flags=flags, version=version)
    assert ports(send(world, at, sent)) == [server]
    assert ports(send(world, server, for_backend(sent, vm, version).answered(vm.mac, flags))) == [at]


@VERSIONS
@CLIENTS
@pytest.mark.parametrize("closed", [False, True])
def test_a_port_of_a_connection_with_a_back_end_that_is_gone_reaches_another(
    world: World, at: PortId, mac: int, closed: bool, version: int
) -> None:
    active(world, W1, HV1)
    talks(world, at, mac, HV1, W1, version=version)
    if closed:
        ends(world, at, mac, HV1, W1, version=version)
    active(world, W2, HV2)
    world.ask(HV1, W1, DEASSOC)
    talks(world, at, mac, HV2, W2, version=version)


@CLIENTS
def test_one_that_is_to_have_no_new_connections_keeps_those_it_has_until_their_ports_are_used_again(
    world: World, at: PortId, mac: int
) -> None:
    active(world, W1, HV1)
    active(world, W2, HV2)
    talks(world, at, mac, HV1, W1)
    world.feed(BackendJudged("web", "w1", up=False))
    goes_on(world, at, mac, HV1, W1)
    talks(world, at, mac, HV2, W2)
    answer = for_backend(to_web(mac, flags=FIN | ACK), W1).answered(W1.mac, RST)
    assert send(world, HV1, answer) == [(at, from_web(answer))], "what it still has to say comes from whom it was asked"


@CLIENTS
def test_while_the_controller_is_away(world: World, at: PortId, mac: int) -> None:
    """A back end that is down without anybody having said so is down for old ports and new ones; others are reached."""
    active(world, W1, HV1)
    talks(world, at, mac, HV1, W1)
    active(world, W2, HV2)
    world.ask(HV1, W1, DEASSOC)
    for dpid in (S1, S2):
        world.disconnect(dpid)
    talks(world, at, mac, HV2, W2)


def test_a_back_end_that_moves_meanwhile(world: World) -> None:
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1)
    world.ask(HV3, W1, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, W1, DEASSOC)
    world.ask(HV3, W1, VdpMode.ASSOCIATE)
    goes_on(world, CLIENT, CLIENT_MAC, HV3, W1)
    talks(world, CLIENT, CLIENT_MAC, HV3, W1)


@VERSIONS
@CLIENTS
@pytest.mark.parametrize("reset", [False, True])
def test_a_port_used_again_has_the_whole_timeout_again(
    world: World, at: PortId, mac: int, reset: bool, version: int
) -> None:
    active(world, W1, HV1)
    for _ in range(LIVES - 1):
        talks(world, at, mac, HV1, W1, version=version)
        ends(world, at, mac, HV1, W1, reset=reset, version=version)
        assert CLOSING in {rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()}
    talks(world, at, mac, HV1, W1, version=version)
    forgotten(world, CLOSING)
    assert [rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()] == [IDLE, IDLE]
    sent = to_web(mac, flags=ACK, version=version)
    assert ports(send(world, at, sent)) == [HV1]


@CLIENTS
def test_what_the_datapath_has_cached_of_the_last_connection_need_not_be_seen_of_the_next(
    world: World, at: PortId, mac: int
) -> None:
    """The tables see the SYN, which is repeated; what acknowledges it goes by the flow from before."""
    active(world, W1, HV1)
    talks(world, at, mac, HV1, W1)
    ends(world, at, mac, HV1, W1, reset=True)
    for _ in range(2):
        assert ports(send(world, at, to_web(mac, flags=SYN))) == [HV1]
    forgotten(world, CLOSING)
    goes_on(world, at, mac, HV1, W1)
    assert {rule.idle_timeout for rule in world.rules(S2, CookieKind.STATE).values()} == {IDLE}


@CLIENTS
def test_with_no_life_left_the_connection_still_gets_a_back_end_that_is_there(
    world: World, at: PortId, mac: int
) -> None:
    active(world, W1, HV1)
    for _ in range(LIVES + 2):
        talks(world, at, mac, HV1, W1)
        ends(world, at, mac, HV1, W1, reset=True)
    active(world, W2, HV2)
    world.ask(HV1, W1, DEASSOC)
    talks(world, at, mac, HV2, W2)
    goes_on(world, at, mac, HV2, W2)


def test_one_that_has_all_it_may_have_goes_on_with_the_ports_that_it_has() -> None:
    world = world_with(balancer())
    small = Vm(1, SMALL)
    active(world, small, HV4)
    active(world, W1, HV1)
    talks(world, HV4, small.mac, HV1, W1, 40000)
    assert send(world, HV4, to_web(small.mac, 40001)) == [], "a pair of pins for each of two"
    talks(world, HV4, small.mac, HV1, W1, 40000)
    active(world, W2, HV2)
    world.ask(HV1, W1, DEASSOC)
    talks(world, HV4, small.mac, HV2, W2, 40000)


def test_a_first_segment_that_is_repeated_is_picked_for_by_the_addresses_it_was_sent_to(world: World) -> None:
    """Open vSwitch picks by a hash of what the frame has by then: a copy that is late must not lead to another one."""
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1)
    rules = world.tables[S2].rules
    for key, rule in rules.items():
        if key.table == Table.BALANCE_PICK:
            rules[key] = replace(rule, apply=(Output(CLIENT.port_no + 1),))
    (picked,) = forward(world.tables[S2], {**to_web(CLIENT_MAC).fields, "in_port": CLIENT.port_no})
    assert Segment.of(picked.fields).target == to_web(CLIENT_MAC).target


def test_carried_pins_of_a_later_life_are_themselves(world: World) -> None:
    active(world, W1, HV1)
    for again in (True, False):
        talks(world, HV4, A.mac, HV1, W1)
        if again:
            ends(world, HV4, A.mac, HV1, W1)
    active(world, Vm(1, CLIENT_TYPE), HV2)
    forgotten(world, CLOSING, S1)
    goes_on(world, HV2, A.mac, HV1, W1)


def test_a_segment_of_the_first_life_that_is_late_goes_where_the_newest_does(world: World) -> None:
    active(world, W1, HV1)
    talks(world, CLIENT, CLIENT_MAC, HV1, W1)
    late: Segment = to_web(CLIENT_MAC, flags=SYN)
    assert ports(send(world, CLIENT, late)) == [HV1]
    goes_on(world, CLIENT, CLIENT_MAC, HV1, W1)


def datagram(segment: Segment) -> dict[str, int]:
    names = {"tcp_src": "udp_src", "tcp_dst": "udp_dst"}
    return {names.get(name, name): value for name, value in segment.fields.items() if name != "tcp_flags"} | {
        "ip_proto": 17
    }


def exchanges(world: World, at: PortId, mac: int, server: PortId, vm: Vm, version: int = 4, port: int = 40000) -> None:
    """A datagram to the virtual address, and its answer."""
    sent = to_web(mac, port, version=version)
    there = for_backend(sent, vm, version)
    (arrived,) = world.carry(at, datagram(sent))
    assert (arrived.port, arrived.fields) == (server, datagram(there))
    answer = there.answered(vm.mac)
    (back,) = world.carry(server, datagram(answer))
    assert (back.port, back.fields) == (at, datagram(from_web(answer, version)))


@pytest.fixture
def datagrams() -> World:
    world = world_with(balancer(TransportProtocol.UDP, idle=60))
    active(world, A, HV4)
    active(world, W1, HV1)
    return world


@VERSIONS
@CLIENTS
@pytest.mark.parametrize("judged", [False, True], ids=["let go", "taken out"])
def test_datagrams_whose_back_end_is_gone_go_to_another_and_stay_there(
    datagrams: World, at: PortId, mac: int, judged: bool, version: int
) -> None:
    exchanges(datagrams, at, mac, HV1, W1, version)
    active(datagrams, W2, HV2)
    exchanges(datagrams, at, mac, HV1, W1, version)
    if judged:
        datagrams.feed(BackendJudged("web", "w1", up=False))
    else:
        datagrams.ask(HV1, W1, DEASSOC)
    for _ in range(2):
        exchanges(datagrams, at, mac, HV2, W2, version)
    if judged:
        datagrams.feed(BackendJudged("web", "w1", up=True))
    else:
        active(datagrams, W1, HV1)
    exchanges(datagrams, at, mac, HV2, W2, version)


@CLIENTS
def test_datagrams_with_no_back_end_left_go_nowhere_until_one_comes(datagrams: World, at: PortId, mac: int) -> None:
    exchanges(datagrams, at, mac, HV1, W1)
    datagrams.ask(HV1, W1, DEASSOC)
    assert datagrams.carry(at, datagram(to_web(mac))) == []
    active(datagrams, W2, HV2)
    exchanges(datagrams, at, mac, HV2, W2)


@CLIENTS
def test_datagrams_follow_a_back_end_that_moves(datagrams: World, at: PortId, mac: int) -> None:
    exchanges(datagrams, at, mac, HV1, W1)
    active(datagrams, W2, HV2)
    datagrams.ask(HV3, W1, VdpMode.PREASSOCIATE_RR)
    exchanges(datagrams, at, mac, HV1, W1)
    datagrams.ask(HV3, W1, VdpMode.ASSOCIATE)
    exchanges(datagrams, at, mac, HV3, W1)


@CLIENTS
def test_datagrams_whose_back_end_the_configuration_does_not_know_any_more_go_to_another(
    datagrams: World, at: PortId, mac: int
) -> None:
    exchanges(datagrams, at, mac, HV1, W1)
    active(datagrams, W2, HV2)
    rules = datagrams.tables[S2].rules
    for key in [key for key in rules if key.table == Table.BALANCE_STAY and match(eth_dst=W1.mac)[0] in key.match]:
        del rules[key]
    datagrams.feed(BackendJudged("web", "w1", up=False))
    exchanges(datagrams, at, mac, HV2, W2)


def test_a_client_that_has_all_it_may_have_still_leaves_a_back_end_that_is_gone(datagrams: World) -> None:
    small = Vm(1, SMALL)
    datagrams.ask(HV4, A, DEASSOC)
    active(datagrams, small, HV4)
    for port in (40000, 40001):
        exchanges(datagrams, HV4, small.mac, HV1, W1, port=port)
    assert datagrams.carry(HV4, datagram(to_web(small.mac, 40002))) == []
    active(datagrams, W2, HV2)
    datagrams.ask(HV1, W1, DEASSOC)
    for port in (40000, 40001):
        exchanges(datagrams, HV4, small.mac, HV2, W2, port=port)
