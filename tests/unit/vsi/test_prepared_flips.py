"""Flips are prepared when the engine is idle, and not used when something has changed since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Apply, Effect, Mode, Prepare
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.flip_preparation import PAUSE, PORTION
from ryu_apps.evb.vsi.prepared_flips import ROOM
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, VLAN, Vm, World
from tests.worlds.prepared_flips import FlipComparison, flips_of
from tests.worlds.sets import DATABASE, WEB
from tests.worlds.sets import POLICIES as SETS

VM, OTHER = Vm(1), Vm(2)


class Preparations:
    """The world's preparations and changes of gates, in order."""

    def __init__(self, world: World) -> None:
        self.prepared: list[Prepare] = []
        self.sent: list[Apply] = []
        world.observers.append(self.observe)

    def observe(self, event: Event, effects: list[Effect]) -> None:
        self.prepared += [effect for effect in effects if isinstance(effect, Prepare)]
        self.sent += [effect for effect in effects if isinstance(effect, Apply) and effect.mode is Mode.ATOMIC]


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


@pytest.fixture
def seen(world: World) -> Preparations:
    return Preparations(world)


def prepared(world: World, vm: Vm = VM) -> bool:
    vsi = world.engine.registry.named(vm.text)
    assert vsi is not None
    (attachment,) = [found for found in vsi.attachments.values() if found.holding.program and vsi.owner is not found]
    assert attachment.holding.program is not None
    return flips_of(world.engine).is_prepared(attachment, attachment.holding.program)


def test_the_very_changes_that_were_prepared_are_sent(world: World, seen: Preparations) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV1).success and seen.prepared == [], "the answer goes first"
    world.advance(PAUSE)
    assert [effect.dpid for effect in seen.prepared] == [S1, S2]
    assert seen.sent == []
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert [id(apply.change) for apply in seen.sent] == [id(effect.change) for effect in seen.prepared]


def test_an_associate_that_comes_at_once_is_answered_without_preparation(world: World, seen: Preparations) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success
    assert seen.prepared == [] and len(seen.sent) == 2


def test_a_switch_that_is_away_is_not_prepared(world: World, seen: Preparations) -> None:
    world.disconnect(S2)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(PAUSE)
    assert [effect.dpid for effect in seen.prepared] == [S1]


def send(world: World, port: PortId, vm: Vm, mode: VdpMode) -> None:
    """Request without letting time pass, in which flips would be prepared."""
    world.send(port, vm.tlv(mode, migrating=mode is VdpMode.ASSOCIATE), vm.address)


CHANGES: dict[str, Callable[[World], object]] = {
    "another VSI comes": lambda world: send(world, HV2, Vm(3), VdpMode.ASSOCIATE),
    "another VSI goes": lambda world: world.feed(OperatorDeassociate(OTHER.text)),
    "it is associated elsewhere": lambda world: send(world, HV3, VM, VdpMode.ASSOCIATE),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_a_flip_has_it_prepared_again(world: World, what: str) -> None:
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(1)
    assert prepared(world)
    flips = FlipComparison(world)
    CHANGES[what](world)
    assert not prepared(world)
    world.advance(PAUSE)
    assert prepared(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV1).success and flips.used


def test_a_source_that_is_suspended_has_the_flip_prepared_again(world: World) -> None:
    """Its gate lets nothing in any more, so that rule need not be removed by the flip."""
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(1)
    assert prepared(world)
    world.send(HV3, VM.tlv(VdpMode.ASSOCIATE, suspended=True), VM.address)
    assert not prepared(world)
    world.advance(1)
    assert prepared(world)


def test_users_of_a_set_that_come_and_go_have_the_flip_of_a_member_prepared_again() -> None:
    world = World(policies=SETS)
    world.connect()
    member, user = Vm(13, type=WEB), Vm(11, type=DATABASE)
    world.ask(HV1, member, VdpMode.PREASSOCIATE_RR)
    world.advance(1)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.DEASSOCIATE):
        assert prepared(world, member)
        world.send(HV3, user.tlv(mode), user.address)
        assert not prepared(world, member)
        world.advance(1)


def test_a_flip_depends_on_the_silence_of_its_station(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(1)
    (attachment,) = world.engine.registry.attachments()
    assert prepared(world)
    attachment.silent = True
    assert not prepared(world)


def test_some_are_prepared_at_a_time_the_newest_first(world: World, seen: Preparations) -> None:
    vms = [Vm(number) for number in range(1, 2 * PORTION + 2)]
    for vm in vms:
        send(world, HV1 if vm.number % 2 else HV2, vm, VdpMode.PREASSOCIATE_RR)
    counts = []
    while not prepared(world, vms[0]):
        world.advance(PAUSE)
        counts.append(len(seen.prepared) // 2)
    assert counts == [PORTION, 2 * PORTION, 2 * PORTION + 1]


def test_those_that_were_staged_last_are_kept(world: World) -> None:
    vms = [Vm(number) for number in range(1, ROOM + 3)]
    for vm in vms:
        world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
    world.advance(1)
    assert [prepared(world, vm) for vm in vms] == [False, False] + ROOM * [True]


def test_a_vsi_that_owns_its_vid_is_not_prepared_and_is_associated_nevertheless(
    world: World, seen: Preparations
) -> None:
    """Its flip changes a rule that all such VSIs of the VID share."""
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        world.send(HV1, replace(VM.tlv(mode), filter_info=FilterInfo.of(Vid(vid=VLAN))))
        assert world.answer(HV1).success
        world.advance(1)
    assert seen.prepared == [] and seen.sent != []


def test_what_was_staged_before_a_restart_is_prepared_after_it(world: World) -> None:
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.restart_controller()
    world.advance(2 * PAUSE)
    assert prepared(world)
