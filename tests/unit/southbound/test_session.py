"""Connections, effects and events at the Ryu side; a datapath is its socket, its id and its xid counter."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace

import eventlet
import pytest
from eventlet.greenio import GreenSocket

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet

# isort: split
from ryu.base import app_manager
from ryu.controller.ofp_event import EventOFPPacketIn
from ryu.controller.ofp_handler import OFPHandler
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Mode, ReadRules, RequestRole, SendFrame, StandAside, Survey
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import (
    ChannelUp,
    Confirmed,
    ControllerRole,
    FrameReceived,
    FramesDropped,
    Rejected,
    SwitchDown,
)
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, cookie
from ryu_apps.evb.ports.turns import ROOM
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.southbound import session
from ryu_apps.southbound.channel import Channel
from ryu_apps.southbound.connection import Connection
from ryu_apps.southbound.encode import group_delete, message, meter_delete
from ryu_apps.southbound.session import MAX_BACKLOG, Southbound

GATE = RuleChange(add=(Rule(10, 1, match(metadata=1), cookie(CookieKind.GATE, 1)),))


@pytest.fixture(scope="module", autouse=True)
def ryu() -> Iterator[OFPHandler]:
    """The brick that Ryu's receive loop sends events through."""
    brick = OFPHandler()
    app_manager.register_app(brick)
    yield brick
    app_manager.unregister_app(brick)


@dataclass
class Datapath:
    id: int
    socket: Channel
    switch: socket.socket
    xid: int = 0xFFFFFFF0

    def sent(self) -> list[int]:
        """Message types that the switch has been sent, the survey left out."""
        self.switch.settimeout(0.5)
        octets, found = self.switch.recv(1 << 16), []
        while octets:
            found.append(octets[1])
            octets = octets[int.from_bytes(octets[2:4]) :]
        return [kind for kind in found if kind != ofp.OFPT_MULTIPART_REQUEST]


@dataclass
class World:
    southbound: Southbound
    events: list[Event]
    datapaths: list[Datapath] = field(default_factory=list)

    def connect(self, dpid: int) -> Datapath:
        near, far = socket.socketpair()
        datapath = Datapath(dpid, Channel(GreenSocket(near), dpid), far)
        self.datapaths.append(datapath)
        self.southbound.datapath_up(datapath)
        self.events[:] = [event for event in self.events if event != ChannelUp(dpid)]
        self.southbound.perform(Survey(dpid))
        datapath.sent()
        return datapath


@pytest.fixture
def world() -> Iterator[World]:
    events: list[Event] = []
    world = World(Southbound(events.append), events)
    yield world
    # A socket that is only collected leaves its listener with eventlet, which then ignores the next one of that number.
    for datapath in world.datapaths:
        datapath.socket.close()
        datapath.switch.close()


def test_a_change_for_a_switch_that_is_not_there_is_rejected(world: World) -> None:
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    assert world.events == [Rejected(1, 5, "switch not connected")]


def test_a_change_that_wants_no_answer_gets_none(world: World) -> None:
    world.southbound.perform(Apply(1, 0, GATE, Mode.ATOMIC))
    assert world.events == []


def test_a_lost_switch_goes_down_before_what_is_open_is_rejected(world: World) -> None:
    datapath = world.connect(1)
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    world.southbound.datapath_down(datapath)
    assert world.events == [SwitchDown(1), Rejected(1, 5, "switch disconnected")]


def test_a_connection_that_was_replaced_takes_nothing_with_it(world: World) -> None:
    old, new = world.connect(1), world.connect(1)
    world.events.clear()
    world.southbound.datapath_down(old)
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    assert world.events == []
    assert new.sent() == [ofp.OFPT_FLOW_MOD, ofp.OFPT_BARRIER_REQUEST]


def test_transaction_ids_are_those_of_the_datapath_and_never_zero(world: World) -> None:
    datapath = world.connect(1)
    used = set()
    for _ in range(20):
        world.southbound.perform(SendFrame(PortId(1, 1), b""))
        used.add(datapath.xid)
    assert len(used) == 20
    assert all(0 < xid <= 0xFFFFFFFF for xid in used)


def test_all_that_an_event_causes_leaves_in_one_write_a_switch(world: World) -> None:
    first, second = world.connect(1), world.connect(2)

    def deliver(event: Event) -> None:
        if event == SwitchDown(3):
            for dpid in (1, 2):
                world.southbound.perform(Apply(dpid, 5, GATE, Mode.ATOMIC, lane=7))
                world.southbound.perform(SendFrame(PortId(dpid, 1), b""))
            first.switch.setblocking(False)
            with pytest.raises(BlockingIOError):
                first.switch.recv(1)

    third = world.connect(3)
    world.southbound._deliver = deliver
    world.southbound.datapath_down(third)
    expected = [ofp.OFPT_FLOW_MOD, ofp.OFPT_BARRIER_REQUEST, ofp.OFPT_PACKET_OUT]
    assert first.sent() == second.sent() == expected


def test_the_gate_that_opens_has_its_change_before_other_switches(world: World) -> None:
    first, second = world.connect(1), world.connect(2)
    written: list[list[int]] = []

    def deliver(event: Event) -> None:
        if event == SwitchDown(3):
            world.southbound.perform(SendFrame(PortId(1, 1), b""))
            world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
            world.southbound.perform(Apply(2, 5, GATE, Mode.ATOMIC))
            written.append(first.sent())
            second.switch.setblocking(False)
            with pytest.raises(BlockingIOError):
                second.switch.recv(1)

    third = world.connect(3)
    world.southbound._deliver = deliver
    world.southbound.datapath_down(third)
    assert written == [[ofp.OFPT_PACKET_OUT, ofp.OFPT_FLOW_MOD, ofp.OFPT_BARRIER_REQUEST]]
    assert second.sent() == [ofp.OFPT_FLOW_MOD, ofp.OFPT_BARRIER_REQUEST]


def test_an_event_that_an_event_causes_waits_its_turn(world: World) -> None:
    order = []

    def deliver(event: Event) -> None:
        order.append(f"begin {type(event).__name__}")
        if isinstance(event, SwitchDown):
            world.southbound.perform(Apply(9, 5, GATE, Mode.ATOMIC))
        order.append(f"end {type(event).__name__}")

    datapath = world.connect(1)
    world.southbound._deliver = deliver
    world.southbound.datapath_down(datapath)
    assert order == ["begin SwitchDown", "end SwitchDown", "begin Rejected", "end Rejected"]


def test_a_mistake_in_the_engine_does_not_end_the_connection(world: World) -> None:
    def deliver(event: Event) -> None:
        raise RuntimeError("a bug")

    datapath = world.connect(1)
    world.southbound._deliver = deliver
    world.southbound.datapath_down(world.connect(2))
    world.southbound.perform(SendFrame(PortId(1, 1), b""))
    assert datapath.sent() == [ofp.OFPT_PACKET_OUT]


def test_frames_for_a_switch_that_reads_nothing_are_dropped(world: World) -> None:
    datapath = world.connect(1)
    frame = SendFrame(PortId(1, 1), bytes(60000))
    for _ in range(2 * MAX_BACKLOG // 60000):
        world.southbound.perform(frame)
    assert MAX_BACKLOG <= datapath.socket.backlog < MAX_BACKLOG + 100_000


def through_ryu(datapath: Datapath, octets: bytes) -> bytes:
    """Octets of a message that reach Ryu; a barrier reply for another app comes behind."""
    other = message(ofp.OFPT_BARRIER_REPLY, b"")
    datapath.switch.sendall(octets + other)
    received = b""
    with eventlet.Timeout(30):
        while not received.endswith(other):
            received += datapath.socket.recv(8)
    return received.removesuffix(other)


PUNTED = message(ofp.OFPT_PACKET_IN, bytes(16) + bytes.fromhex("0001000c8000000400000001") + bytes(4) + b"\0\0frame")


def test_a_packet_in_goes_on_to_ryu_only_if_somebody_else_wants_it(world: World, ryu: OFPHandler) -> None:
    datapath = world.connect(1)
    assert through_ryu(datapath, PUNTED) == b""
    ryu.register_observer(EventOFPPacketIn, "another_app")
    assert through_ryu(datapath, PUNTED) == PUNTED
    ryu.unregister_observer(EventOFPPacketIn, "another_app")
    assert through_ryu(datapath, PUNTED) == b""


def test_what_cannot_be_read_is_left_to_ryu(world: World) -> None:
    rubbish = message(ofp.OFPT_PACKET_IN, bytes(24))
    assert through_ryu(world.connect(1), rubbish) == rubbish


def packet_in(port: int, data: bytes) -> bytes:
    """A frame that our rule at a port has handed over."""
    body = struct.pack("!IHBBQ", 0xFFFFFFFF, len(data), 1, 0, cookie(CookieKind.INFRASTRUCTURE))
    fields = struct.pack("!HHII", 1, 12, 0x80000004, port) + bytes(4)
    octets = body + fields + bytes(2) + data
    return struct.pack("!BBHI", 4, ofp.OFPT_PACKET_IN, 8 + len(octets), 0) + octets


def test_a_quiet_port_is_served_between_the_frames_of_a_noisy_one(world: World) -> None:
    connection = surveyed(world)
    served: list[int] = []
    world.southbound._deliver = lambda event: served.append(event.port.port_no)  # type: ignore[union-attr]
    for _ in range(50):
        connection.receive(packet_in(1, bytes(60)))
    connection.receive(packet_in(2, bytes(60)))
    world.southbound._settle()
    assert served.index(2) == 1
    with eventlet.Timeout(30):
        while world.southbound.unread:
            eventlet.sleep(0)
    assert sorted(served) == [1] * 50 + [2]


def test_frames_that_are_read_and_not_served_are_told(world: World) -> None:
    connection = surveyed(world)
    for port in (1, 2):
        connection.receive(packet_in(port, bytes(60)))
    world.southbound._settle(serve=False)
    assert world.southbound.unread == {PortId(1, 1), PortId(1, 2)}
    world.southbound._settle()
    assert world.southbound.unread == frozenset()


def test_what_has_effects_without_number_takes_no_frames_in(world: World) -> None:
    connection = surveyed(world)
    for _ in range(ROOM):
        connection.receive(packet_in(1, bytes(60)))
    for _ in range(20):
        world.southbound.perform(SendFrame(PortId(1, 2), b""))
    assert world.events == []


def test_a_slow_machine_reads_a_flood_before_it_serves_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request takes longer than the next frame needs to come; the port stays within its budget for ever."""
    now = 0.0
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: now))
    served: list[int] = []

    def deliver(event: Event) -> None:
        nonlocal now
        if isinstance(event, FrameReceived):
            now += 0.003
            served.append(event.port.port_no)

    datapath = world.connect(1)
    world.southbound._connections[1].driver._surveyed = True
    world.southbound._deliver = deliver
    datapath.switch.sendall(packet_in(1, bytes(60)) * 1500 + packet_in(2, bytes(60)))
    reader = eventlet.spawn(datapath.socket.recv, 1)
    with eventlet.Timeout(30):
        while 2 not in served:
            eventlet.sleep(0)
    reader.kill()
    datapath.socket.close()
    assert served.index(2) <= 6 * session._SLICE


def test_what_had_arrived_is_dealt_with_before_anything_is_held_against_a_station(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long other processes have the processor in between: an hour at each look at the clock."""
    clock = SimpleNamespace(monotonic=count(step=3600).__next__, thread_time=time.thread_time)
    monkeypatch.setattr(session, "time", clock)
    near, far = socket.socketpair()
    channel = Channel(GreenSocket(near), "switch")
    heard: list[bytes] = []
    channel.attach(lambda octets: bool(heard.append(octets)) or True, lambda _: None)
    world.southbound._connections[7] = SimpleNamespace(channel=channel)  # type: ignore[assignment]
    reader = eventlet.spawn(channel.recv, 1)
    eventlet.sleep(0)
    far.sendall(packet_in(1, bytes(60)) * 500)
    world.southbound.catch_up()
    assert len(heard) == 500
    reader.kill()
    channel.close()


def test_confirmations_come_before_frames_that_arrived_with_them(world: World) -> None:
    connection, told = surveyed(world), []
    world.southbound._deliver = told.append
    for _ in range(3):
        connection.receive(packet_in(1, bytes(60)))
    world.southbound._events.append(Confirmed(1, 5))
    world.southbound._settle()
    assert told[0] == Confirmed(1, 5)


def test_dropped_frames_are_told_with_their_number(world: World) -> None:
    connection, told = surveyed(world), []
    world.southbound._deliver = told.append
    for _ in range(ROOM + 36):
        connection.receive(packet_in(1, bytes(60)))
    world.southbound._settle()
    assert FramesDropped(PortId(1, 1), 36) in told


def surveyed(world: World) -> Connection:
    """A connection whose switch has said what it is."""
    world.connect(1)
    connection = world.southbound._connections[1]
    connection.driver._surveyed = True
    world.events.clear()
    return connection


@pytest.mark.parametrize("octets", [group_delete(5), meter_delete(5)], ids=["group", "meter"])
def test_groups_and_meters_that_another_app_changes_make_the_switch_be_asked(world: World, octets: bytes) -> None:
    """Its switch tells everybody of it but who shares the connection."""
    datapath = world.connect(1)
    connection = world.southbound._connections[1]
    connection.driver._surveyed = True
    datapath.socket.sendall(octets)
    datapath.switch.settimeout(0.5)
    sent = datapath.switch.recv(1 << 16)
    assert sent.startswith(octets)
    assert int.from_bytes(sent[len(octets) + 8 : len(octets) + 10]) == ofp.OFPMP_METER_CONFIG


def test_what_else_another_app_sends_asks_for_nothing(world: World) -> None:
    datapath = world.connect(1)
    world.southbound._connections[1].driver._surveyed = True
    datapath.socket.sendall(message(ofp.OFPT_BARRIER_REQUEST, b""))
    assert datapath.sent() == [ofp.OFPT_BARRIER_REQUEST]


def test_a_switch_is_told_of_and_sent_nothing_but_a_request_until_it_is_served(world: World) -> None:
    near, far = socket.socketpair()
    datapath = Datapath(1, Channel(GreenSocket(near), 1), far)
    world.datapaths.append(datapath)
    world.southbound.datapath_up(datapath)
    assert world.events == [ChannelUp(1)]
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    world.southbound.perform(SendFrame(PortId(1, 1), b""))
    world.southbound.perform(ReadRules(1, 6, OURS))
    world.southbound.perform(RequestRole(1, ControllerRole.MASTER, 7))
    assert datapath.sent() == [ofp.OFPT_ROLE_REQUEST]
    assert world.events[1:] == [Rejected(1, 5, "this controller is not MASTER of the switch")]
    world.southbound.perform(Survey(1))
    world.southbound.perform(SendFrame(PortId(1, 1), b""))
    assert datapath.sent()[-1] == ofp.OFPT_PACKET_OUT


def test_who_stands_aside_sends_nothing_more_and_rejects_what_is_open(world: World) -> None:
    datapath = world.connect(1)
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    datapath.sent()
    world.events.clear()
    world.southbound.perform(StandAside(1))
    world.southbound.perform(SendFrame(PortId(1, 1), b""))
    world.southbound.perform(Apply(1, 6, GATE, Mode.ATOMIC))
    reason = "this controller is not MASTER of the switch"
    assert world.events == [Rejected(1, 5, reason), Rejected(1, 6, reason)]
    world.southbound.perform(RequestRole(1, ControllerRole.SLAVE, 7))
    assert datapath.sent() == [ofp.OFPT_ROLE_REQUEST]


def test_frames_of_a_switch_that_is_left_are_not_taken(world: World) -> None:
    connection = surveyed(world)
    world.southbound.perform(StandAside(1))
    world.events.clear()
    connection.receive(packet_in(1, bytes(60)))
    world.southbound._settle()
    assert world.events == []


def test_next_receiver_gets_all_switches_and_no_answer_to_the_one_before(world: World) -> None:
    datapath = world.connect(1)
    world.connect(2)
    world.southbound.perform(Apply(1, 5, GATE, Mode.ATOMIC))
    datapath.sent()
    world.southbound._connections[1].driver._surveyed = True
    world.events.clear()
    # A frame that has come, and that nobody has taken yet.
    world.southbound._turns.put(FrameReceived(PortId(1, 1), bytes(60)), 0.0)
    world.southbound.introduce(lambda _: False)
    assert world.events == [ChannelUp(1, kept=True), ChannelUp(2, kept=True)]
    # Nothing is sent before the switch has granted a role to the new one.
    world.southbound.perform(Apply(1, 6, GATE, Mode.ATOMIC))
    assert world.events[2:] == [Rejected(1, 6, "this controller is not MASTER of the switch")]
    world.southbound.perform(RequestRole(1, ControllerRole.MASTER, 8))
    assert datapath.sent() == [ofp.OFPT_ROLE_REQUEST]


def test_next_receiver_is_told_that_none_has_served_the_switches_with_the_records(world: World) -> None:
    world.connect(1)
    world.events.clear()
    world.southbound.introduce(lambda _: False, kept=False)
    assert world.events == [ChannelUp(1, kept=False)]
