"""Changes that are sent ahead of an Associate: which, in which order, and what becomes of one that was not due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.switches import SwitchRefusedRules
from ryu_apps.evb.events.effect import Apply, Effect
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.ports.backlog import AT_ONCE
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.topology.station_limits import StationLimits
from ryu_apps.evb.vsi.departures import Cause
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_bridge_model import FABRIC, SERVING, TYPES
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, Vm, World
from tests.worlds.copied import TRIANGLE, at, copying
from tests.worlds.copied import VM as COPIED

VM, OTHER = Vm(1), Vm(2)
RR, ASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE


def staged(port: PortId = HV3, world: World | None = None) -> World:
    """A VM at hv1 that is staged elsewhere; its flip is prepared."""
    world = world or World()
    world.connect()
    world.ask(HV1, VM, ASSOCIATE)
    world.ask(port, VM, RR)
    world.advance(0.02)
    return world


def places(world: World, dpid: int) -> set[PortId]:
    """Ports at which a switch lets frames from VMs in."""
    rules = [key for key in world.rules(dpid, CookieKind.GATE) if key.table == Table.INGRESS]
    return {PortId(dpid, field.value) for key in rules for field in key.match if field.name == "in_port"}


def test_the_switch_of_the_new_place_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    world, sent = staged(), []
    looks = world.engine.ahead

    def ahead(event: FrameReceived, now: float) -> list[Effect]:
        effects = looks(event, now)
        sent.extend(effect.dpid for effect in effects if isinstance(effect, Apply))
        return effects

    monkeypatch.setattr(world.engine, "ahead", ahead)
    world.ask(HV3, VM, ASSOCIATE)
    assert sent == [S2, S1]
    assert world.answer(HV3).success and (places(world, S1), places(world, S2)) == (set(), {HV3})


def test_no_answer_before_the_switches_have_confirmed() -> None:
    world = staged()
    answers = len(world.sent[HV3])
    world.hold.update((S1, S2))
    world.ask(HV3, VM, ASSOCIATE)
    assert world.foreseen == 1 and len(world.sent[HV3]) == answers
    world.release()
    assert world.answer(HV3).success and len(world.sent[HV3]) == answers + 1


def test_an_event_in_between_is_looked_at() -> None:
    """All that was foreseen before it does not count."""
    world = staged()
    world.ask(HV2, OTHER, ASSOCIATE)
    world.advance(0.02)
    world.feed(PortChanged(HV3, False))
    world.feed(PortChanged(HV3, True))
    world.ask(HV3, VM, ASSOCIATE)
    assert world.answer(HV3).success


def suspend(world: World) -> None:
    world.ask(HV3, VM, ASSOCIATE, suspended=True)


def another_address(world: World) -> None:
    world.send(HV3, VM.tlv(ASSOCIATE), OTHER.address)


def another_type(world: World) -> None:
    world.ask(HV3, Vm(1, type=VM.type._replace(version=2)), ASSOCIATE)


def before_the_staging_is_confirmed(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, Vm(3), RR)
    world.ask(HV3, Vm(3), ASSOCIATE)


def where_it_was_not_announced(world: World) -> None:
    world.ask(HV2, VM, ASSOCIATE)


def of_a_vm(world: World) -> None:
    """A VM behind the port sends the station's frame."""
    twin, frames = staged(), []
    twin.observers.append(lambda event, effects: frames.append(event))
    twin.ask(HV3, VM, ASSOCIATE)
    frame = next(event for event in frames if isinstance(event, FrameReceived))
    world.feed(replace(frame, data=frame.data[:6] + VM.mac.to_bytes(6) + frame.data[12:]))


def while_it_is_let_go(world: World) -> None:
    world.hold.add(S2)
    world.ask(HV3, VM, VdpMode.DEASSOCIATE)
    world.ask(HV3, VM, ASSOCIATE)


def behind_others_of_the_port(world: World) -> None:
    world.hold.add(S2)
    for number in range(5, 5 + AT_ONCE):
        world.ask(HV3, Vm(number), RR)
    world.ask(HV3, VM, ASSOCIATE)


def after_an_announcement_to_the_owner_before(world: World) -> None:
    world.ask(HV2, VM, RR, migrating=True)
    world.ask(HV4, VM, ASSOCIATE, migrating=True)
    world.advance(0.02)
    before = world.foreseen
    world.ask(HV2, VM, ASSOCIATE)
    world.foreseen -= before


def with_a_flip_that_is_outdated(world: World) -> None:
    # Without a pause: its own clock stands still.
    world.send(HV2, OTHER.tlv(ASSOCIATE), OTHER.address)
    world.send(HV3, VM.tlv(ASSOCIATE), VM.address)


def while_a_switch_is_compared(world: World) -> None:
    world.slow_reads.add(S1)
    world.alter(S1)
    world.ask(HV3, VM, ASSOCIATE)


def of_a_vm_that_was_silent(world: World) -> None:
    world.ask(HV1, VM, ASSOCIATE, suspended=True)
    world.ask(HV1, VM, RR)
    world.advance(0.02)
    world.ask(HV1, VM, ASSOCIATE)


def with_an_end_to_acknowledge(world: World) -> None:
    attachment = next(found for found in world.engine.registry.attachments() if found.port == HV3)
    conversation = attachment.conversation
    assert conversation.newest is not None
    departures = world.engine.associations.departures
    departures.note(HV3, conversation.manager_id, conversation.newest, Cause.SUPERSEDED)
    world.ask(HV2, OTHER, RR)
    world.advance(0.02)
    world.ask(HV3, VM, ASSOCIATE)


OTHER_REQUESTS = [
    suspend,
    another_address,
    another_type,
    before_the_staging_is_confirmed,
    where_it_was_not_announced,
    of_a_vm,
    while_it_is_let_go,
    behind_others_of_the_port,
    after_an_announcement_to_the_owner_before,
    with_a_flip_that_is_outdated,
    while_a_switch_is_compared,
    of_a_vm_that_was_silent,
    with_an_end_to_acknowledge,
]


@pytest.mark.parametrize("asks", OTHER_REQUESTS)
def test_any_other_request_takes_its_steps(asks: Callable[[World], None]) -> None:
    world = staged()
    asks(world)
    assert world.foreseen == 0


def test_a_vsi_that_another_pod_may_have_takes_its_steps() -> None:
    world = World(alone=False)
    world.connect()
    world.ask(HV3, VM, RR)
    world.advance(0.02)
    world.ask(HV3, VM, ASSOCIATE)
    assert world.foreseen == 0


def test_a_back_end_of_a_load_balancer_takes_its_steps() -> None:
    world = World(FABRIC, policies=TYPES)
    world.connect()
    world.ask(HV3, SERVING[0], RR)
    world.advance(0.02)
    world.ask(HV3, SERVING[0], ASSOCIATE)
    assert world.answer(HV3).success and world.foreseen == 0


def test_copies_for_another_place_end_with_the_steps() -> None:
    world = World(copying(3, TRIANGLE))
    world.connect()
    world.ask(at(1), COPIED, ASSOCIATE)
    for dpid in (2, 3):
        world.ask(at(dpid), COPIED, RR)
    world.advance(0.02)
    world.ask(at(3), COPIED, ASSOCIATE)
    assert world.answer(at(3)).success and world.foreseen == 0


def test_addresses_that_the_last_station_has_changed_are_new_ones() -> None:
    world = World()
    world.connect()
    world.ask(HV1, VM, ASSOCIATE)
    world.send(HV3, VM.tlv(RR))
    world.advance(0.02)
    # While the switch has not confirmed them, the announcement is still to the present owner.
    world.hold.add(S1)
    world.send(HV1, VM.tlv(ASSOCIATE), VM.address, OTHER.address)
    world.send(HV3, VM.tlv(ASSOCIATE))
    assert world.foreseen == 0


def test_a_port_that_has_been_given_limits_keeps_to_them() -> None:
    world = staged()
    port = world.fabric.switches[S2].interfaces[HV3.port_no]
    world.fabric.switches[S2].interfaces[HV3.port_no] = replace(port, limits=StationLimits(vsis=(OTHER.text,)))
    world.restart_controller()
    world.ask(HV3, VM, RR)
    world.advance(0.02)
    world.ask(HV3, VM, ASSOCIATE)
    assert not world.answer(HV3).success and world.foreseen == 0


class Careless(World):
    """A world that does not compare what was sent ahead with what it should have been."""

    def _fed(self, event: Event) -> list[Effect]:
        ahead = self.engine.ahead(event, self.now) if isinstance(event, FrameReceived) else []
        return [*ahead, *self.engine.feed(event, self.now)]


def test_a_change_that_nothing_asks_for_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    world = staged(HV2, Careless())
    # The announcement at hv2 is to the owner before: the steps will refuse its Associate.
    monkeypatch.setattr(world.engine.associations, "would_admit", lambda attachment, now: True)
    world.ask(HV3, VM, ASSOCIATE, migrating=True)
    world.advance(0.02)
    seen = len(world.happened)
    world.ask(HV2, VM, ASSOCIATE)
    world.advance(0.02)
    refused = [event.dpid for event in world.happened[seen:] if isinstance(event, SwitchRefusedRules)]
    assert sorted(refused) == [S1, S2]
    assert not world.answer(HV2).success
    assert (places(world, S1), places(world, S2)) == (set(), {HV3})
