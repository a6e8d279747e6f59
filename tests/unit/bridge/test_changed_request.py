"""A station that changes its mind about a VSI: what it asked for before goes, and no gate leads there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import Association, VdpMode
from tests.worlds.bridge import HV1, HV3, S1, VLAN, Vm, World

VM = Vm(7)
OTHER_MAC = 0x5254000000AA


def asked(mode: VdpMode, mac: int) -> Association:
    return replace(VM.tlv(mode), filter_info=FilterInfo.of(MacVid(vid=VLAN, mac=mac)))


def attachment(world: World) -> Attachment:
    vsi = world.engine.registry.named(VM.text)
    assert vsi is not None
    return vsi.attachments[HV1]


def request(world: World, mode: VdpMode, mac: int) -> None:
    world.advance(0.01)
    world.send(HV1, asked(mode, mac))
    assert world.answer(HV1).success


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


def test_only_the_newest_of_many_staged_filters_stays(world: World) -> None:
    request(world, VdpMode.PREASSOCIATE_RR, 0x525400000100)
    body, promised = len(world.rules(S1, CookieKind.VSI_BODY)), world.engine.ledger.used(S1)
    for mac in range(0x525400000101, 0x525400000110):
        request(world, VdpMode.PREASSOCIATE_RR, mac)
    assert len(world.rules(S1, CookieKind.VSI_BODY)) == body
    assert world.engine.ledger.used(S1) == promised
    assert attachment(world).holding.retired == []


def test_what_a_gate_led_to_goes_with_the_next_associate(world: World) -> None:
    request(world, VdpMode.ASSOCIATE, 0x525400000100)
    body = len(world.rules(S1, CookieKind.VSI_BODY))
    request(world, VdpMode.PREASSOCIATE_RR, 0x525400000101)
    request(world, VdpMode.ASSOCIATE, 0x525400000101)
    assert len(world.rules(S1, CookieKind.VSI_BODY)) == body


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR])
@pytest.mark.parametrize("mac", [0x525400000100, 0x525400000101])
def test_a_preassociate_behind_an_associate_shuts_the_gate(world: World, mode: VdpMode, mac: int) -> None:
    request(world, VdpMode.ASSOCIATE, 0x525400000100)
    request(world, mode, mac)
    assert world.rules(S1, CookieKind.GATE) == {}
    assert attachment(world).phase is Phase.STAGED


def test_a_preassociate_calls_off_an_associate_that_no_switch_has_confirmed(world: World) -> None:
    request(world, VdpMode.PREASSOCIATE_RR, 0x525400000100)
    world.hold = {1, 2}
    world.advance(0.01)
    world.send(HV1, asked(VdpMode.ASSOCIATE, 0x525400000100))
    world.advance(0.01)
    world.send(HV1, asked(VdpMode.PREASSOCIATE_RR, 0x525400000100))
    world.release()
    assert world.rules(S1, CookieKind.GATE) == {}
    assert attachment(world).phase is Phase.STAGED


def test_calling_off_gives_the_gate_back_to_where_it_was(world: World) -> None:
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    before = world.rules(1, CookieKind.GATE), world.rules(2, CookieKind.GATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.hold = {1, 2}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.release()
    assert (world.rules(1, CookieKind.GATE), world.rules(2, CookieKind.GATE)) == before


def refuse_change(world: World) -> None:
    world.advance(0.01)
    world.refuse[S1, Mode.STAGE] = "refused"
    world.send(HV1, asked(VdpMode.ASSOCIATE, OTHER_MAC))
    assert world.answer(HV1).keep


@pytest.fixture
def refused() -> World:
    """An associated VSI whose change of address the switch has refused."""
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    refuse_change(world)
    return world


def test_refused_change_that_is_asked_for_again_is_no_keep_alive(refused: World) -> None:
    refuse_change(refused)


def test_keep_alive_after_a_refused_change_is_about_what_is_in_force(refused: World) -> None:
    refused.applied.clear()
    refused.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert refused.answer(HV1).success and refused.applied == []
    assert refused.sent[HV1][-1].filter_info == VM.tlv(VdpMode.ASSOCIATE).filter_info
