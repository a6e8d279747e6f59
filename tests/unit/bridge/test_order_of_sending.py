"""Order of sending: the changes of the switches before the store writes, the answer before all that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.event_catalogue.vsis import UnsolicitedDeassociate, VsiActive
from ryu_apps.evb.events.effect import Apply, Effect, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import Saved
from ryu_apps.evb.events.switch import Confirmed, FrameReceived
from ryu_apps.evb.ports.outputs import AssociationReceived
from ryu_apps.evb.store import StoreEnded
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import Frame
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.evb_bridge import EvbBridge
from tests.worlds.bridge import HV1, HV3, S1, S2, Vm, World

VM = Vm(7)


class Bridge(EvbBridge):
    """The turns of the bridge around the engine of a world; what it does is noted, in order."""

    def __init__(self, engine: Engine) -> None:
        self.done: list[object] = []
        self.engine, self.member, self.owes, self._next = engine, None, 0, None
        self.southbound = SimpleNamespace(perform=self.done.append, flush=lambda: self.done.append("flush"))  # type: ignore[assignment]
        self.store = SimpleNamespace(begin=self._begin)  # type: ignore[assignment]
        self._observers = SimpleNamespace(note=lambda *_: None)  # type: ignore[assignment]

    def _begin(self, changes: Mapping[str, bytes | None], ended: StoreEnded, expected: object = None) -> None:
        self.done.append("write")

    @property
    def _serving(self) -> Engine:
        return self.engine

    def places(self, wanted: Callable[[Any], bool]) -> list[int]:
        """Places of what was done, by what it is."""
        return [number for number, done in enumerate(self.done) if wanted(done)]


@pytest.fixture
def world() -> World:
    """A VM at hv1, staged at hv3, and switches that do not answer."""
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(0.5)
    return world


def asked(world: World) -> FrameReceived:
    """The frame of an Associate at hv3; the engine does not get it."""
    frames: list[FrameReceived] = []
    feed, world.feed = world.feed, frames.append  # type: ignore[method-assign, assignment]
    world.send(HV3, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    world.feed = feed  # type: ignore[method-assign]
    return frames[0]


@pytest.mark.parametrize("ahead", [True, False])
def test_changes_have_left_when_the_store_writes(world: World, ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not ahead:
        monkeypatch.setattr(world.engine, "ahead", lambda event, now: [])
    bridge = Bridge(world.engine)
    bridge._take(asked(world))
    applies, (write,) = bridge.places(lambda done: isinstance(done, Apply)), bridge.places(lambda done: done == "write")
    flushes = bridge.places(lambda done: done == "flush")
    assert len(applies) == 2 and any(applies[-1] < flush < write for flush in flushes)


def test_frame_that_repeats_a_sent_one_is_acknowledged_again(world: World) -> None:
    frame, bridge = asked(world), Bridge(world.engine)
    for _ in range(2):
        bridge.done.clear()
        # Another object, as each packet-in is.
        bridge._take(replace(frame, data=bytes(bytearray(frame.data))))
        (acknowledgement,) = [done for done in bridge.done if isinstance(done, SendFrame)]
        assert Ecpdu.decode(Frame.decode(acknowledgement.data).payload).op is EcpOp.ACK


def test_frame_that_was_looked_at_and_is_not_the_next_is_forgotten(world: World) -> None:
    station, frame, now = world.engine.stations[HV3], asked(world), world.now
    assert station.peek(frame.data, now) is not None
    assert station.frame(b"", now) and not any(isinstance(output, SendFrame) for output in station.frame(b"", now))
    # Its ECPDU counts when it is processed, once.
    for expected in (1, 0):
        outputs = station.frame(frame.data, now)
        assert sum(isinstance(output, AssociationReceived) for output in outputs) == expected
        assert sum(isinstance(output, SendFrame) for output in outputs) == 1


def test_frame_that_was_looked_at_and_waits_is_examined_when_it_is_processed(world: World) -> None:
    station, frame, now = world.engine.stations[HV3], asked(world), world.now
    assert station.peek(frame.data, now) is not None
    station.remember(0x02_00_00_00_00_99)
    later = station.frame(frame.data, now + 1.0)
    assert not any(isinstance(output, AssociationReceived) for output in later)


@pytest.mark.parametrize("cluster", [False, True])
def test_answer_has_left_before_what_follows_from_the_open_gate(world: World, cluster: bool) -> None:
    bridge = Bridge(world.engine)
    if cluster:
        # Its store is written to without a wait.
        bridge.member = SimpleNamespace(save=bridge._begin)  # type: ignore[assignment]
    bridge._take(asked(world))
    tokens = {done.dpid: done.token for done in bridge.done if isinstance(done, Apply)}
    saved = max(tokens.values()) + 1
    for event in (Confirmed(S1, tokens[S1]), Saved(saved), Confirmed(S2, tokens[S2])):
        bridge.done.clear()
        bridge._take(event)
    assert not bridge.engine.has_rest
    answer, *others = bridge.places(lambda done: isinstance(done, SendFrame))
    sent = bridge.done[answer]
    assert isinstance(sent, SendFrame) and sent.port == HV3
    flush = bridge.places(lambda done: done == "flush")[0]
    changes = bridge.places(lambda done: isinstance(done, Apply) or done == "write")
    assert others and changes and answer < flush < min(*others, *changes)


def test_rest_is_done_first_if_the_next_event_comes_before_it(world: World) -> None:
    events: list[tuple[Event, list[Effect]]] = []
    engine = world.engine
    world.observers.append(lambda event, effects: events.append((event, effects)))
    rest, engine.rest = engine.rest, lambda now: []  # type: ignore[method-assign]
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    engine.rest = rest  # type: ignore[method-assign]
    world.advance(0.5)
    answered = next(n for n, (_, effects) in enumerate(events) if any(isinstance(e, VsiActive) for e in effects))
    assert not any(isinstance(effect, UnsolicitedDeassociate) for effect in events[answered][1])
    assert any(isinstance(effect, UnsolicitedDeassociate) for effect in events[answered + 1][1])
